"""The read model's tables, as those who write them see them.

The statements here name no schema: the connection's search path does, `history` for the projector and
`history_next` for a rebuild.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import asyncpg
from kronik.run import Run

from services.api.history import schema
from services.api.history.columns import INDEX, Row, row_of, run_of
from services.api.history.projections import Checkpoint, Fold
from services.api.history.schema import Table, statement

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

LIVE = "history"
NEXT = "history_next"

_MANY = 100
"""So many new rows are worth the round trips of a COPY."""
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
    await connection.execute(statement("first_checkpoint"), schema.VERSION)
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
    """Everything that the fold changed. The runs that it did not know must have no row yet."""
    new, old = _rows(fold, fold.changed - fold.known), _rows(fold, fold.changed & fold.known)
    if len(new) > _MANY:
        await copy(connection, schema.RUN, new)
    else:
        await _write(connection, schema.RUN, new)
    for table, rows in [(schema.RUN, old), *others(fold)]:
        await _write(connection, table, rows)
    await _mend(connection, [*new, *old])


def _rows(fold: Fold, ids: Iterable[int]) -> list[Row]:
    return [row_of(fold.runs[run_id]) for run_id in sorted(ids)]


async def copy(connection: Connection, table: Table, rows: Iterable[Row]) -> None:
    """Rows of which none is there yet: half the work of writing them, and Postgres takes them while they are made."""
    await connection.copy_records_to_table(table.name, columns=table.names, records=rows, timeout=None)


def others(fold: Fold) -> list[tuple[Table, list[Row]]]:
    """The rows that are not runs."""
    return [
        (schema.PARAM, fold.params),
        (schema.JOB, fold.jobs),
        (schema.SCHEDULE, fold.schedules),
        (schema.SLOT, fold.slots),
        (schema.PARKED, fold.parked),
        (schema.IDEMPOTENCY, first_of_each_key(fold.keys)),
    ]


def first_of_each_key(keys: Iterable[Row]) -> list[Row]:
    """One row per Idempotency-Key: the stream forgets ids after an hour, and Postgres refuses a key twice."""
    first: dict[str, Row] = {}
    for row in keys:
        first.setdefault(row[0], row)
    return list(first.values())


async def _write(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    if rows:
        await connection.execute(table.write, *(list(column) for column in zip(*rows, strict=True)))


_ID, _JOB, _WORK, _STATE = (INDEX[name] for name in ("id", "job_type", "work", "state"))


async def _mend(connection: Connection, runs: Sequence[Row]) -> None:
    """Failures that these successes make good, and those of these failures that were made good before they ended."""
    successes: dict[tuple[object, object], int] = {}
    for row in runs:
        if row[_STATE] == "succeeded":
            work = (row[_JOB], row[_WORK])
            successes[work] = max(successes.get(work, 0), row[_ID])
    if successes:
        jobs, works = zip(*successes, strict=True)
        await connection.execute(statement("mend"), list(jobs), list(works), list(successes.values()))
    if failed := [row[_ID] for row in runs if row[_STATE] == "failed"]:
        await connection.execute(statement("mended_already"), failed)
