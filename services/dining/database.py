"""The dining database, as its jobs reach it: one connection per run, one transaction per step."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg
from kronik import PermanentError

from services.dining import statements

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

URL_SETTINGS = ("KRONIK_DINING_DATABASE_URL", "KRONIK_DATABASE_URL")
LOCK = statements.load("lock")


def database_url() -> str:
    """Where the schema `dining` is: the first of URL_SETTINGS that is set. Raises PermanentError if none is."""
    for name in URL_SETTINGS:
        if url := os.environ.get(name, "").strip():
            return url
    raise PermanentError(
        f"The dining database is not configured: set {URL_SETTINGS[0]},"
        f" or {URL_SETTINGS[1]} if it is in the service's own database"
    )


@asynccontextmanager
async def connect() -> AsyncIterator[Connection]:
    """A connection of this run's own, closed at the end. Raises PermanentError where no database is configured."""
    connection = await asyncpg.connect(database_url(), server_settings={"application_name": "kronik-job"})
    try:
        yield connection
    finally:
        await connection.close(timeout=5)


@asynccontextmanager
async def step(connection: Connection) -> AsyncIterator[None]:
    """One transaction, and the only one of all jobs' steps at that moment.

    Two runs can overlap when a runner is lost and its run is given to another, and an import may meet a
    maintenance. Steps are short, so they queue for one lock; every statement then sees what the step before it did.
    """
    async with connection.transaction():
        await connection.execute(LOCK)
        yield
