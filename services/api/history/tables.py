"""The read model's tables, as those who write them see them.

The statements here name no schema: the connection's search path does, `history` for the projector and
`history_next` for a rebuild.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import asyncpg
from kronik.run import Run

from services.api.history.projections import Checkpoint, Fold, Row, changed_rows, run_of
from services.infra import sql

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

LIVE = "history"

_ABANDON_S = 0.5


async def connect(dsn: str, schema: str = LIVE) -> Connection:
    """A connection whose statements are about this schema."""
    settings = {"search_path": schema, "application_name": "kronik-history", "timezone": "UTC"}
    connecting = asyncio.ensure_future(asyncpg.connect(dsn, timeout=10, command_timeout=300, server_settings=settings))
    try:
        return await asyncio.shield(connecting)
    except asyncio.CancelledError:
        await _abandon(connecting)
        raise


async def _abandon(connecting: "asyncio.Future[Connection]") -> None:
    """asyncpg, cancelled at the moment of success, would leave the connection open and to nobody."""
    await asyncio.wait({connecting}, timeout=_ABANDON_S)
    if connecting.done() and not connecting.cancelled() and connecting.exception() is None:
        connecting.result().terminate()
    connecting.cancel()


async def checkpoint(connection: Connection) -> Checkpoint:
    await connection.execute(statement("first_checkpoint"))
    row = await connection.fetchrow(statement("checkpoint"))
    assert row is not None
    return Checkpoint(row["sequence"], row["event_id"])


async def move_checkpoint(connection: Connection, old: Checkpoint, new: Checkpoint) -> bool:
    """Compare and set; False: somebody else has moved it."""
    answer = await connection.execute(
        statement("move_checkpoint"), old.sequence, old.event_id, new.sequence, new.event_id
    )
    return answer == "UPDATE 1"


async def load_runs(connection: Connection, ids: Iterable[int]) -> dict[int, Run]:
    """Those of the runs that have a row."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    return {row["id"]: run_of(row) for row in await connection.fetch(statement("load_runs"), wanted)}


async def write(connection: Connection, fold: Fold) -> None:
    """Everything that the fold changed."""
    await _write(connection, "runs", list(changed_rows(fold)))
    await _write(connection, "jobs", list(fold.jobs.values()))
    await _write(connection, "schedules", list(fold.schedules.values()))
    await _write(connection, "slots", fold.slots)
    await _write(connection, "parked", fold.parked)
    await _write(connection, "idempotency", first_of_each_key(fold.keys))


def first_of_each_key(keys: Iterable[Row]) -> list[Row]:
    """One row per Idempotency-Key: the stream forgets ids after an hour, and Postgres refuses a key twice."""
    first: dict[str, Row] = {}
    for row in keys:
        first.setdefault(row[0], row)
    return list(first.values())


async def _write(connection: Connection, name: str, rows: Sequence[Row]) -> None:
    if rows:
        await connection.execute(statement(f"write_{name}"), *(list(column) for column in zip(*rows, strict=True)))


def statement(name: str) -> str:
    return sql.load("services.api.history", f"sql/{name}.sql")
