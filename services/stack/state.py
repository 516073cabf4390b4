"""The state directory: where `kronik up` keeps data, secrets, ports and logs, and how others find it running."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import psutil
from kronik import KronikError
from msgspec import Struct

from services.infra.settings import InvalidSettings

T = TypeVar("T")

_SAME_START_S = 2.0
"""Start times of processes are computed from the boot time, which moves a little when the clock is set."""


class StateInUse(KronikError):
    """Another `kronik up` runs on this state directory; the message names its pid."""


class StateUnusable(KronikError):
    """The state directory, or a file in it, can't be read or written; the message says which and why."""


class Process(Struct, frozen=True):
    """A process that can be told from a later one with the same pid. started: seconds since 1970."""

    name: str
    pid: int
    started: float

    def find(self) -> psutil.Process | None:
        """The process, if it still runs."""
        try:
            process = psutil.Process(self.pid)
            alive = process.status() != psutil.STATUS_ZOMBIE
            same = abs(process.create_time() - self.started) < _SAME_START_S
        except psutil.NoSuchProcess:
            return None
        return process if alive and same else None


def this_process(name: str, pid: int) -> Process:
    """What to write down of a process that runs. Raises psutil.NoSuchProcess."""
    return Process(name, pid, psutil.Process(pid).create_time())


class StateDirectory:
    """Paths below one directory. Only its owner can read it; as root others may pass through, but not look:
    Postgres, which is not root, has its data inside."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.logs = self.root / "logs"
        self.nats = self.root / "nats"
        self.nats_config = self.root / "nats.conf"
        self.nats_accounts = self.root / "accounts.conf"
        self.services = self.root / "services.json"
        self.postgres = self.root / "postgres"
        self.secrets = self.root / "secrets.json"
        self.ports = self.root / "ports.json"
        self.processes = self.root / "processes.json"
        self.ready = self.root / "ready.json"
        self.demo = self.root / "demo.json"
        self._lock = self.root / "up.lock"

    def prepare(self) -> None:
        """Make what is missing. Raises InvalidSettings."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self.root.chmod(0o711 if os.geteuid() == 0 else 0o700)
            for directory in (self.logs, self.nats):
                directory.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise InvalidSettings([f"KRONIK_STATE_DIR={str(self.root)!r}: can't be used: {error.strerror}"]) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """For the one `up` on this directory; the lock ends with the process, however that ends. Raises StateInUse."""
        with self._lock.open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                pid = lock.read().strip() or "unknown"
                raise StateInUse(
                    f"kronik up is already running on {self.root} (pid {pid}); stop it,"
                    f" or give this one a state directory of its own: KRONIK_STATE_DIR=…"
                ) from None
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            yield


def read(path: Path, kind: type[T]) -> T | None:
    """What was written there, None if nothing was. Raises StateUnusable."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise StateUnusable(f"{path} can't be read: {getattr(error, 'strerror', error)}") from error


def write(path: Path, value: object) -> None:
    """Replace the file in one step, readable by its owner alone. Raises StateUnusable."""
    text = msgspec.json.format(msgspec.json.encode(value)) + b"\n"
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made 0600
        with os.fdopen(handle, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError as error:
        raise StateUnusable(f"{path} can't be written: {error.strerror}") from error
