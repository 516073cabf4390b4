"""What is kept between starts."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from services.infra.settings import InvalidSettings
from services.log.accounts import USERS
from services.stack import credentials, ready, state
from services.stack.ready import Ready
from services.stack.state import StateDirectory, StateInUse, StateUnusable

READY = Ready(url="http://127.0.0.1:1", token="t", nats_url="nats://127.0.0.1:2", database_url="postgresql://h/d")


@pytest.fixture
def directory(tmp_path: Path) -> StateDirectory:
    made = StateDirectory(tmp_path / "state")
    made.prepare()
    return made


def test_secrets_are_made_once_and_readable_by_their_owner_alone(directory: StateDirectory) -> None:
    first = credentials.load_secrets(directory)
    assert set(USERS) <= set(first.nats)
    assert len({*first.nats.values(), first.postgres}) == len(first.nats) + 1
    assert credentials.load_secrets(directory) == first
    assert stat.S_IMODE(directory.secrets.stat().st_mode) == 0o600


def test_a_user_that_a_newer_version_brings_gets_a_password(directory: StateDirectory) -> None:
    state.write(directory.secrets, credentials.Secrets(nats={"api": "kept"}, postgres="kept"))
    secrets = credentials.load_secrets(directory)
    assert (secrets.nats["api"], secrets.postgres) == ("kept", "kept")
    assert secrets.nats["runner"]


def test_the_token_is_kept(directory: StateDirectory) -> None:
    credentials.keep_token(directory, credentials.load_secrets(directory), "token")
    assert credentials.load_secrets(directory).token == "token"


def test_ports_stay(directory: StateDirectory) -> None:
    ports = credentials.load_ports(directory)
    assert len({ports.nats, ports.postgres, ports.sandbox, ports.api}) == 4
    assert credentials.load_ports(directory) == ports


def test_a_file_is_replaced_whole_or_not_at_all(directory: StateDirectory) -> None:
    state.write(directory.ready, ["before"])
    with pytest.raises(TypeError):
        state.write(directory.ready, object())
    assert state.read(directory.ready, list[str]) == ["before"]
    assert [path.name for path in directory.root.iterdir() if path.name.startswith(".")] == []


def test_a_broken_file_is_said(directory: StateDirectory) -> None:
    directory.secrets.write_text("{")
    with pytest.raises(StateUnusable, match=r"secrets\.json can't be read"):
        credentials.load_secrets(directory)


def test_a_state_directory_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidSettings, match=r"KRONIK_STATE_DIR='.*file': can't be used: File exists"):
        StateDirectory(tmp_path / "file").prepare()


def test_a_running_up_is_found_and_withdrawn(directory: StateDirectory, tmp_path: Path) -> None:
    copy = tmp_path / "copy.json"
    ready.announce(directory, READY, copy)
    found = ready.find(directory)
    assert found is not None
    assert (found.url, found.up.pid) == (READY.url, os.getpid())
    assert state.read(copy, Ready) == READY
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    ready.withdraw(directory, copy)
    assert ready.find(directory) is None
    assert not copy.exists()


def test_the_ready_file_of_a_dead_up_is_ignored(directory: StateDirectory) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    gone = state.this_process("up", dead.pid)
    dead.wait()
    fields = {name: getattr(READY, name) for name in READY.__struct_fields__}
    state.write(directory.ready, ready.Running(**fields, up=gone))
    assert ready.find(directory) is None


def test_one_up_at_a_time(directory: StateDirectory) -> None:
    with (
        directory.locked(),
        pytest.raises(StateInUse, match=f"pid {os.getpid()}"),
        StateDirectory(directory.root).locked(),
    ):
        pass
    with StateDirectory(directory.root).locked():
        pass
