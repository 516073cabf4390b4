"""Where a nats-server of ours stages atomic batches: in memory, where this machine has room for that (docs/adr/0013).

    prepare()   before a server starts: the link from its store leads to what the last one staged, or there is none
    (server)    ends what it was storing when it was killed, from there; then it removes the link
    look()      again and again while it runs: links anew, to an empty directory

The server makes the directory itself where it comes first. Whatever it has staged there stays, since it is what a batch
is completed from: only an empty directory is replaced.
"""

import asyncio
import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from kronik import subjects

_ROOM_BYTES: Final = 256 * 1024**2
"""Postgres shares it, and a container has 64 MB by default: of little we take nothing."""
_SCARCE_BYTES: Final = 32 * 1024**2
"""Somebody else fills it: a batch that can't be staged can't be stored."""
_LOOK_EVERY_S: Final = 0.25
_LOOK_AGAIN_S: Final = 1.0
"""Where all is as it should be."""


def _memories() -> list[Path]:
    """Directories that lie in memory where there are any."""
    return [Path("/dev/shm"), *(Path(each) for each in [os.environ.get("XDG_RUNTIME_DIR")] if each)]


class Staging:
    """Of the server on one store, a directory that exists. memories: where to, the first that has room."""

    def __init__(self, store: Path, memories: Sequence[Path] | None = None) -> None:
        self._store = store.resolve()
        self._memories = _memories() if memories is None else memories
        # A copy of the store is another one, also where a container has it at the same path.
        found = self._store.stat()
        whose = f"{self._store} {found.st_dev} {found.st_ino}"
        self._name = f"kronik-batches-{hashlib.sha256(whose.encode()).hexdigest()[:16]}"

    def prepare(self) -> None:
        """To be called before a server starts, while none runs. A store that was moved or copied brings along what was
        staged for it; what lay in memory before a reboot is gone, and the link with it."""
        for link in self._links():
            staged = link.readlink() if link.is_symlink() else None
            if staged is None or (staged.is_dir() and self._is_ours(staged)):
                continue
            link.unlink()
            if staged.is_dir():
                with contextlib.suppress(OSError):  # of a server that runs: it changes meanwhile
                    shutil.copytree(staged, link)

    async def keep(self) -> None:
        """Look until cancelled. Not before the server has started."""
        while True:
            good = self.look()
            await asyncio.sleep(_LOOK_AGAIN_S if good else _LOOK_EVERY_S)

    def look(self) -> bool:
        """Link what is not linked, or leads to what somebody has cleaned up: systemd does, when a user logs out.

        Whether it was all linked already.
        """
        links = list(self._links())
        linked = [link.is_symlink() and link.is_dir() for link in links]
        # The server works on the same files: what it was faster with is seen at the next look.
        with contextlib.suppress(OSError):
            for link, good in zip(links, linked, strict=True):
                if not good:
                    self._link(link)
                elif shutil.disk_usage(link).free < _SCARCE_BYTES:
                    _unlink(link)
        return bool(linked) and all(linked)

    def leave(self) -> None:
        """After the server's end: take away what is empty. What is staged stays for the next server, unless the store
        is gone."""
        gone = not self._store.exists()
        for memory in self._memories:
            directory = memory / self._name
            if self._owned(directory):
                _remove(directory, whole=gone)
        for link in self._links():
            if link.is_symlink() and not link.is_dir():
                link.unlink()

    def _links(self) -> Iterator[Path]:
        for stream in self._store.glob(f"jetstream/*/streams/{subjects.STREAM}"):
            if (stream / "meta.inf").exists():
                yield stream / "batches"

    def _link(self, link: Path) -> None:
        account = link.parts[-4]
        if (directory := self._empty_directory(account)) is None:
            return
        if link.is_symlink():
            link.unlink()
        elif link.is_dir():
            link.rmdir()  # raises where a batch lies there
        link.symlink_to(directory)

    def _empty_directory(self, account: str) -> Path | None:
        """Where there is no link no server stages there, and what an earlier one has left nobody needs."""
        for memory in self._memories:
            with contextlib.suppress(OSError):
                if shutil.disk_usage(memory).free < _ROOM_BYTES:
                    continue
                directory = memory / self._name
                directory.mkdir(mode=0o700, exist_ok=True)
                if self._owned(directory):
                    shutil.rmtree(directory / account, ignore_errors=True)
                    (directory / account).mkdir(mode=0o700)
                    return directory / account
        return None

    def _owned(self, directory: Path) -> bool:
        """Others may write beside it: one of theirs could have our name."""
        return directory.is_dir() and not directory.is_symlink() and directory.stat().st_uid == os.geteuid()

    def _is_ours(self, staged: Path) -> bool:
        return staged.parent.name == self._name and staged.parent.parent in self._memories


def _unlink(link: Path) -> None:
    """The next batch is staged on the disk. Raises OSError where one is staged behind the link."""
    link.readlink().rmdir()
    link.unlink()


def _remove(directory: Path, *, whole: bool) -> None:
    if whole:
        shutil.rmtree(directory, ignore_errors=True)
        return
    for each in (*directory.iterdir(), directory):
        with contextlib.suppress(OSError):
            each.rmdir()
