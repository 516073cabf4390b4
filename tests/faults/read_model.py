"""The read model as Postgres itself sees it: hashes of whole tables, and the rows to compare with the raw stream."""

import hashlib
from typing import Any

import asyncpg

from services.api.history.rebuild import rebuild
from services.api.history.verify import verify
from tests.faults.flow import statuses
from tests.faults.system import System

TABLES = ("run", "job", "schedule", "slot", "parked", "idempotency", "checkpoint")


async def table_hashes(database_url: str) -> dict[str, str]:
    """A hash of every row of each table of the history, in an order of its own."""
    connection = await asyncpg.connect(database_url)
    try:
        return {table: await _hash(connection, table) for table in TABLES}
    finally:
        await connection.close()


async def _hash(connection: Any, table: str) -> str:
    rows = await connection.fetch(f'SELECT md5(t::text) AS row FROM history.{table} AS t ORDER BY t::text COLLATE "C"')
    return f"{len(rows)} rows {hashlib.md5(''.join(row['row'] for row in rows).encode()).hexdigest()}"


async def shown(database_url: str) -> dict[int, str]:
    """Each run's status as it is served."""
    connection = await asyncpg.connect(database_url)
    try:
        return {row["id"]: row["status"] for row in await connection.fetch("SELECT id, status FROM history.run")}
    finally:
        await connection.close()


async def assert_equals_stream(scene: System, api: str) -> int:
    """With nobody writing: the rows say what the raw stream says, and what assert_rebuilds_equal says."""
    await scene.projected(api, await scene.last_sequence())
    assert await shown(scene.database_url) == statuses(await scene.stream.anew())
    return await assert_rebuilds_equal(scene, api)


async def assert_rebuilds_equal(scene: System, api: str) -> int:
    """With nobody writing: `verify` finds no difference, and a rebuild makes the same rows to the last byte.

    How many events that were.
    """
    last = await scene.last_sequence()
    await scene.projected(api, last)
    report = await verify(scene.nats.url, scene.database_url)
    assert report.ok, report.differences[:10]
    assert report.last == last
    live = await table_hashes(scene.database_url)
    rebuilt = await rebuild(scene.nats.url, scene.database_url)
    assert (rebuilt.added, rebuilt.changed, rebuilt.removed) == (0, 0, 0)
    assert await table_hashes(scene.database_url) == live
    return last
