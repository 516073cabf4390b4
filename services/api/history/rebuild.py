"""Rebuild: the read model made again from the first event, while the live one keeps serving and projecting.

    history_next:  tables ─▶ fold and COPY ─▶ keys and indexes ─▶ catch up ─┐ with the projector waiting:
    history:       ─────────── served and projected all the while ─────────┴▶ the last events, compare, swap

Interrupted, it leaves the live tables alone; begun again, it begins anew. The old tables stay
as the schema history_old until the next rebuild. No job ever runs because of this: events are only read.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Literal

from kronik import KronikError
from msgspec import Struct
from nats.aio.client import Client

from services.api.history import queries, stream, tables
from services.api.history.projections import (
    IDEMPOTENCY_COLUMNS,
    JOB_COLUMNS,
    PARKED_COLUMNS,
    RUN_COLUMNS,
    SCHEDULE_COLUMNS,
    SLOT_COLUMNS,
    START,
    Checkpoint,
    Row,
    position,
    read,
    run_row,
)
from services.api.history.projector import Change, fold_in, notify
from services.api.history.replay import Replay, Source, open_source
from services.api.history.stream import CheckpointMismatch
from services.api.history.tables import Connection
from services.infra.clock import monotonic_s
from services.log import connection as nats_connection
from services.log.event_reader import Stored

NEXT = "history_next"

_COPY_ROWS = 5_000
_CLOSE = 1_000
_LATE_AT_ONCE = 1_000


class RebuildRunning(KronikError):
    """Another rebuild of this read model is running."""


class Progress(Struct, frozen=True):
    """How far it is: event `sequence` of `last`. seconds: since the rebuild began."""

    phase: Literal["folding", "indexing", "catching up", "swapping"]
    sequence: int
    last: int
    seconds: float


class RebuildReport(Struct, frozen=True, kw_only=True):
    """What a rebuild did.

    first, last: the events it folded. events_per_s: over all of it, indexes and swap included.
    carried_over: runs older than the stream's first event, kept as they were.
    added, changed, removed: how the runs differ from those served until now; None where none were.
    mismatch: why the live tables did not belong to this stream, if they did not.
    """

    first: int
    last: int
    runs: int
    parked: int
    seconds: float
    events_per_s: float
    carried_over: int
    added: int | None
    changed: int | None
    removed: int | None
    mismatch: str | None


class _Compared(Struct, frozen=True):
    added: int | None = None
    changed: int | None = None
    removed: int | None = None


def _silent(_: Progress) -> None:
    pass


async def rebuild(nats_url: str, dsn: str, on_progress: Callable[[Progress], None] = _silent) -> RebuildReport:
    """Make the read model anew and put it in the old one's place.

    Works with the API running or not, and where the tables are empty or gone. Raises RebuildRunning,
    ReaderLost or LogUnavailable where NATS goes away, and what asyncpg raises.
    """
    nats = await nats_connection.connect(nats_url, "rebuild")
    try:
        connection = await tables.connect(dsn, NEXT)
        try:
            return await _Rebuild(nats, nats_url, connection, on_progress).run()
        finally:
            connection.terminate()
    finally:
        await nats_connection.close(nats)


class _Rebuild:
    def __init__(
        self, nats: Client, nats_url: str, connection: Connection, on_progress: Callable[[Progress], None]
    ) -> None:
        self._nats = nats
        self._url = nats_url
        self._db = connection
        self._on_progress = on_progress
        self._began = monotonic_s()
        self._last = 0
        self._late: list[Stored] = []

    async def run(self) -> RebuildReport:
        await self._claim()
        extent = await stream.extent(self._nats)
        self._last = extent.last
        async with open_source(self._nats, self._url, "history-rebuild", extent.first) as source:
            checkpoint = await self._fill(source)
            carried_over = await self._index_and_carry_over(extent.first)
            await self._fold_late()
            await self._set(START, checkpoint)
            checkpoint = await self._catch_up(source, checkpoint)
            return await self._finish(source, checkpoint, extent.first, carried_over)

    async def _claim(self) -> None:
        if not await self._db.fetchval(tables.statement("try_rebuilding")):
            raise RebuildRunning("another rebuild is running; wait for it, or end it")
        await self._db.execute(tables.statement("next_schema"))
        await self._db.execute(tables.statement("tables"))

    async def _fill(self, source: Source) -> Checkpoint:
        """Fold what the stream holds now. COPY of one part goes on while the next one is folded."""
        replay, rows, copying = Replay(), [], None
        async for batch in source.up_to(self._last):
            replay.take(batch)
            rows.extend([run_row(run) for run in replay.finished])
            if len(rows) >= _COPY_ROWS:
                if copying:
                    await copying
                copying, rows = asyncio.create_task(self._copy("run", RUN_COLUMNS, rows)), []
            self._tell("folding", source.passed)
        if copying:
            await copying
        await self._copy("run", RUN_COLUMNS, [*rows, *(run_row(run) for run in replay.fold.runs.values())])
        await self._copy_others(replay)
        self._late = replay.late
        return replay.checkpoint

    async def _copy_others(self, replay: Replay) -> None:
        fold = replay.fold
        await self._copy("job", JOB_COLUMNS, fold.jobs.values())
        await self._copy("schedule", SCHEDULE_COLUMNS, fold.schedules.values())
        await self._copy("slot", SLOT_COLUMNS, fold.slots)
        await self._copy("parked", PARKED_COLUMNS, fold.parked)
        await self._copy("idempotency", IDEMPOTENCY_COLUMNS, tables.first_of_each_key(fold.keys))

    async def _copy(self, table: str, columns: tuple[str, ...], rows: Iterable[Row]) -> None:
        await self._db.copy_records_to_table(table, schema_name=NEXT, columns=columns, records=rows, timeout=None)

    async def _index_and_carry_over(self, first: int) -> int:
        self._tell("indexing", self._last)
        await self._db.execute(tables.statement("indexes"), timeout=None)
        if first <= 1 or not await self._db.fetchval(tables.statement("has_live_tables")):
            return 0
        carried_over: int = await self._db.fetchval(tables.statement("carry_over"), first, timeout=None)
        return carried_over

    async def _fold_late(self) -> None:
        for begin in range(0, len(self._late), _LATE_AT_ONCE):
            await fold_in(self._db, self._late[begin : begin + _LATE_AT_ONCE])
        await self._db.execute("ANALYZE", timeout=None)

    async def _catch_up(self, source: Source, checkpoint: Checkpoint) -> Checkpoint:
        """Until the projector would not wait for long."""
        while True:
            ahead = await self._goal() - source.passed
            if ahead <= _CLOSE:
                return checkpoint
            checkpoint = await self._advance(source, checkpoint)

    async def _advance(self, source: Source, checkpoint: Checkpoint) -> Checkpoint:
        async for batch in source.up_to(await self._goal()):
            checkpoint = await self._fold_on(batch, checkpoint)
            self._tell("catching up", source.passed)
        return checkpoint

    async def _fold_on(self, batch: list[Stored], checkpoint: Checkpoint) -> Checkpoint:
        reached = position(read(batch[-1]))
        async with self._db.transaction():
            await fold_in(self._db, batch)
            await self._set(checkpoint, reached)
        return reached

    async def _set(self, old: Checkpoint, new: Checkpoint) -> None:
        assert await tables.move_checkpoint(self._db, old, new), "nobody else writes history_next"

    async def _goal(self) -> int:
        """Where the live tables stand, but at least where the stream ended when the rebuild began."""
        live = await self._live_checkpoint()
        there = await stream.extent(self._nats)
        return max(self._last, min(live.sequence, there.last))

    async def _live_checkpoint(self) -> Checkpoint:
        if not await self._db.fetchval(tables.statement("has_live_tables")):
            return START
        row = await self._db.fetchrow(queries.statement("position"))
        return Checkpoint(row["sequence"], row["event_id"]) if row else START

    async def _finish(self, source: Source, checkpoint: Checkpoint, first: int, carried_over: int) -> RebuildReport:
        """With the projector waiting at its lock: the last events, and the swap."""
        self._tell("swapping", source.passed)
        mismatch = await self._mismatch()
        async with self._db.transaction():
            await self._db.execute(tables.statement("lock_writing"), timeout=None)
            checkpoint = await self._advance(source, checkpoint)
            compared = await self._compare()
            runs, parked = await self._count()
            await self._swap()
            await notify(self._db, Change(checkpoint.sequence))
        seconds = monotonic_s() - self._began
        events = max(0, checkpoint.sequence - first + 1)
        return RebuildReport(
            first=first,
            last=checkpoint.sequence,
            runs=runs,
            parked=parked,
            seconds=seconds,
            events_per_s=events / seconds,
            carried_over=carried_over,
            added=compared.added,
            changed=compared.changed,
            removed=compared.removed,
            mismatch=mismatch,
        )

    async def _mismatch(self) -> str | None:
        try:
            await stream.check(self._nats, await self._live_checkpoint())
        except CheckpointMismatch as mismatch:
            return str(mismatch)
        return None

    async def _compare(self) -> _Compared:
        if not await self._db.fetchval(tables.statement("has_live_tables")):
            return _Compared()
        row = await self._db.fetchrow(tables.statement("compare"), timeout=None)
        assert row is not None
        return _Compared(row["added"], row["changed"], row["removed"])

    async def _count(self) -> tuple[int, int]:
        row = await self._db.fetchrow(tables.statement("count"))
        assert row is not None
        return row["runs"], row["parked"]

    async def _swap(self) -> None:
        await self._db.execute(tables.statement("drop_old"), timeout=None)
        if await self._db.fetchval(tables.statement("has_live_schema")):
            await self._db.execute(tables.statement("retire"))
        await self._db.execute(tables.statement("swap"))

    def _tell(self, phase: Literal["folding", "indexing", "catching up", "swapping"], sequence: int) -> None:
        self._on_progress(Progress(phase, sequence, max(self._last, sequence), monotonic_s() - self._began))
