"""What of a child's log a person sees, and that a log does not grow without end."""

import os
from pathlib import Path

import pytest

from services.stack import log_watch
from services.stack.log_watch import LogWatch, problem


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b'{"level":"info","event":"runner_ready"}', None),
        (b'{"level":"warning","event":"nats_error","error":"refused"}', "warning: nats_error error=refused"),
        (b'{"level":"error","event":"request_failed","exception":"Traceback"}', "error: request_failed"),
        (b'{"level":"erro', None),
        (b"[12] 2026/11/23 19:26:05.25 [INF] Server is ready", None),
        (b"[12] 2026/11/23 19:26:05.25 [ERR] JetStream failed", "[ERR] JetStream failed"),
        (b"2026-11-23 UTC [1] LOG:  listening", None),
        (b"2026-11-23 UTC [1] FATAL:  could not write", "FATAL:  could not write"),
        (b"2026-11-23 UTC [1] FATAL:  the database system is starting up", None),
        (b"", None),
    ],
)
def test_problems_are_shown_and_nothing_else(line: bytes, shown: str | None) -> None:
    assert problem(line) == shown


def error(event: str) -> str:
    return f'{{"level":"error","event":"{event}"}}\n'


def write(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "runner.log"


def test_only_what_is_new_is_shown(log: Path, said: list[str]) -> None:
    write(log, error("yesterday"))
    watch = LogWatch(log.parent, said.append)
    write(log, error("one"))
    watch.look()
    write(log, error("two"))
    watch.look()
    watch.look()
    assert said == ["runner: error: one", "runner: error: two"]


def test_a_line_is_shown_once_it_is_whole(log: Path, said: list[str]) -> None:
    watch = LogWatch(log.parent, said.append)
    whole = error("split")
    write(log, whole[:12])
    watch.look()
    write(log, whole[12:])
    watch.look()
    assert said == ["runner: error: split"]


def test_a_flood_is_counted(log: Path, said: list[str]) -> None:
    watch = LogWatch(log.parent, said.append)
    write(log, error("again") * 50)
    watch.look()
    assert len(said) == 6
    assert said[-1] == f"runner: and 45 more, see {log}"


def test_a_large_log_begins_anew_and_one_older_is_kept(
    log: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_watch, "_LARGEST_BYTES", 1000)
    watch = LogWatch(log.parent, said.append)
    child = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(child, b"x" * 1000 + b"\n")
    watch.look()
    os.write(child, error("after").encode())
    os.close(child)
    watch.look()
    assert log.read_text() == error("after")
    assert log.with_suffix(".log.1").stat().st_size == 1001
    assert said == ["runner: error: after"]
