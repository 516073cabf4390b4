"""Where batches are staged: the directories and the link, without a server; integration/test_staging.py has one."""

import shutil
from pathlib import Path

import pytest

from services.stack import staging
from services.stack.staging import Staging


@pytest.fixture(autouse=True)
def room_for_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "_ROOM_BYTES", 1)
    monkeypatch.setattr(staging, "_SCARCE_BYTES", 0)


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    made = tmp_path / "memory"
    made.mkdir()
    return made


@pytest.fixture
def link(tmp_path: Path) -> Path:
    return stream(tmp_path / "store") / "batches"


def stream(store: Path) -> Path:
    made = store / "jetstream" / "KRONIK" / "streams" / "JOBS"
    made.mkdir(parents=True)
    (made / "meta.inf").touch()
    return made


def stage(link: Path) -> Path:
    """What a server does with a batch."""
    (link / "batch").mkdir(parents=True)
    return link / "batch"


def of(tmp_path: Path, *memories: Path) -> Staging:
    return Staging(tmp_path / "store", memories)


def test_it_lies_in_memory_readable_by_its_owner_alone(tmp_path: Path, link: Path, memory: Path) -> None:
    of(tmp_path, memory).look()
    assert link.readlink().parent.parent == memory
    assert link.readlink().parent.stat().st_mode & 0o077 == 0
    assert list(link.iterdir()) == []


def test_a_stream_that_is_not_there_yet_is_not_made(tmp_path: Path, memory: Path) -> None:
    (tmp_path / "store" / "jetstream").mkdir(parents=True)
    of(tmp_path, memory).look()
    assert list((tmp_path / "store" / "jetstream").iterdir()) == []


def test_what_the_server_has_staged_itself_stays_until_it_is_done(tmp_path: Path, link: Path, memory: Path) -> None:
    batch, ours = stage(link), of(tmp_path, memory)
    ours.look()
    assert not link.is_symlink()
    assert batch.is_dir()
    batch.rmdir()
    ours.look()
    assert link.is_symlink()


def test_what_a_killed_server_staged_is_there_for_the_next_one_and_gone_behind_it(
    tmp_path: Path, link: Path, memory: Path
) -> None:
    of(tmp_path, memory).look()
    stage(link)
    again = of(tmp_path, memory)
    again.prepare()
    again.look()
    assert (link / "batch").is_dir()
    link.unlink()  # as the server does once it has completed the batch
    again.look()
    assert list(link.iterdir()) == []


def test_a_link_that_leads_nowhere_is_made_anew(tmp_path: Path, link: Path, memory: Path) -> None:
    """As after a reboot, and where somebody cleans up behind a user that logs out."""
    ours = of(tmp_path, memory)
    ours.look()
    shutil.rmtree(link.readlink())
    ours.look()
    assert link.is_dir()
    shutil.rmtree(link.readlink())
    ours.prepare()
    assert not link.is_symlink()


def test_a_store_that_was_copied_has_what_was_staged_for_it_and_shares_nothing(
    tmp_path: Path, link: Path, memory: Path
) -> None:
    of(tmp_path, memory).look()
    stage(link)
    shutil.copytree(tmp_path / "store", tmp_path / "copy", symlinks=True)
    copy = Staging(tmp_path / "copy", [memory])
    copy.prepare()
    its = tmp_path / "copy" / link.relative_to(tmp_path / "store")
    assert not its.is_symlink()
    assert (its / "batch").is_dir()
    (its / "batch").rmdir()
    copy.look()
    assert its.is_symlink()
    assert its.readlink() != link.readlink()
    assert (link / "batch").is_dir()


def test_memory_without_room_or_of_somebody_else_is_passed_over(
    tmp_path: Path, link: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = of(tmp_path, tmp_path / "none", memory)
    monkeypatch.setattr(staging, "_ROOM_BYTES", 2**60)
    ours.look()
    assert not link.exists()
    monkeypatch.setattr(staging, "_ROOM_BYTES", 1)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (memory / ours._name).symlink_to(theirs)
    ours.look()
    assert not link.exists()
    assert list(theirs.iterdir()) == []


def test_memory_that_somebody_else_fills_is_left_once_nothing_is_staged_there(
    tmp_path: Path, link: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = of(tmp_path, memory)
    ours.look()
    batch = stage(link)
    monkeypatch.setattr(staging, "_SCARCE_BYTES", 2**60)
    monkeypatch.setattr(staging, "_ROOM_BYTES", 2**60)
    ours.look()
    assert batch.is_dir()
    batch.rmdir()
    ours.look()
    assert not link.is_symlink()


def test_nothing_is_left_behind_but_what_is_staged(tmp_path: Path, link: Path, memory: Path) -> None:
    ours = of(tmp_path, memory)
    ours.look()
    batch = stage(link)
    ours.leave()
    assert batch.is_dir()
    batch.rmdir()
    ours.leave()
    assert list(memory.iterdir()) == []
    assert not link.is_symlink()
    ours.look()
    stage(link)
    shutil.rmtree(tmp_path / "store")
    ours.leave()
    assert list(memory.iterdir()) == []
