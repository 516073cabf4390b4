"""Rebuild: the read model made again from the first event, while the live one keeps serving and projecting.

    history_next:  tables ─▶ fold and COPY ─▶ keys and indexes ─▶ catch up ─┐ with the projector waiting:
    history:       ─────────── served and projected all the while ─────────┴▶ the last events, compare, swap

Interrupted, it leaves the live tables alone; begun again, it begins anew. The old tables stay
as the schema history_old until the next rebuild. No job ever runs because of this: events are only read.
"""

from collections.abc import Awaitable, Callable
from typing import Literal

from kronik import KronikError
from msgspec import Struct
from nats.aio.client import Client

from services.api.history import parts, schema, tables, upgrade
from services.api.history.columns import row_of, terms_of
from services.api.history.projections import Checkpoint, Fold
from services.api.history.projector import Change, fold_in, notify
from services.api.history.replay import Source, open_source
from services.api.history.schema import statement
from services.api.history.tables import Connection
from services.infra.clock import monotonic_s
from services.log import connection as nats_connection
from services.log import jetstream, subscription
from services.log.stored import START, Stored
from services.log.subscription import StreamReplaced

_UNTIL_THE_SWAP = "SET synchronous_commit = off; SET maintenance_work_mem = '256MB'"
"""A crash before the swap loses nothing that is served; the swap waits for the disk, and what was before it too."""
_IN_ORDER = "SET LOCAL enable_hashjoin = off"
"""Both tables by their keys, side by side: a hash of one would be written to disk and read again."""
_CLOSE = 1_000
_LATE_AT_ONCE = 1_000


Phase = Literal["folding", "indexing", "catching up", "comparing", "swapping"]


class RebuildRunning(KronikError):
    """Another rebuild of this read model is running."""


class Progress(Struct, frozen=True):
    """How far it is: event `sequence` of `last`. seconds: since the rebuild began."""

    phase: Phase
    sequence: int
    last: int
    seconds: float


class RebuildReport(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a rebuild did.

    first, last: the events it folded. events_per_s: over all of it, indexes and swap included.
    carried_over: runs older than the stream's first event, kept as they were.
    added, changed, removed: how the runs differ from those served until now; None where none were.
    fields: which fields differ, and in how many runs.
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
    fields: dict[str, int]
    mismatch: str | None


class Diff(Struct, frozen=True):
    """How the runs as folded afresh differ from those that are served; None where none are."""

    added: int | None = None
    changed: int | None = None
    removed: int | None = None
    fields: dict[str, int] = {}


def _silent(_: Progress) -> None:
    pass


async def _at_once(_: Diff) -> None:
    pass


async def rebuild(
    nats_url: str,
    dsn: str,
    on_progress: Callable[[Progress], None] = _silent,
    before_swap: Callable[[Diff], Awaitable[None]] = _at_once,
) -> RebuildReport:
    """Make the read model anew and put it in the old one's place.

    Works with the API running or not, and where the tables are empty or gone. before_swap: awaited with the
    difference; what it raises ends the rebuild, and the live tables stay. Raises RebuildRunning,
    ReaderLost or LogUnavailable where NATS goes away, PartLost where one of several processes fails, and what asyncpg
    raises.
    """
    nats = await nats_connection.connect(nats_url, "rebuild")
    try:
        connection = await tables.connect(dsn, tables.NEXT)
        try:
            report = await _Rebuild(nats, nats_url, dsn, connection, on_progress, before_swap).run()
            await connection.close()  # the lock is free when this returns: the next one may begin
            return report
        finally:
            connection.terminate()
    finally:
        await nats_connection.close(nats)


class _Rebuild:
    def __init__(
        self,
        nats: Client,
        nats_url: str,
        dsn: str,
        connection: Connection,
        on_progress: Callable[[Progress], None],
        before_swap: Callable[[Diff], Awaitable[None]],
    ) -> None:
        self._nats = nats
        self._nats_url = nats_url
        self._dsn = dsn
        self._db = connection
        self._on_progress = on_progress
        self._before_swap = before_swap
        self._began = monotonic_s()
        self._last = 0
        self._late: list[Stored] = []

    async def run(self) -> RebuildReport:
        await self._claim()
        extent = (await jetstream.stream_info(self._nats)).state
        self._last = extent.last_seq
        checkpoint = await self._fill(extent.first)
        async with open_source(self._nats, "history_rebuild", self._last + 1) as source:
            carried_over = await self._index_and_carry_over(extent.first)
            await self._fold_late()
            await self._db.execute(statement("first_checkpoint"), schema.VERSION)
            await self._set(START, checkpoint)
            checkpoint = await self._catch_up(source, checkpoint)
            diff = await self._compare(checkpoint)
            await self._before_swap(diff)
            checkpoint = await self._catch_up(source, checkpoint)
            return await self._finish(source, checkpoint, extent.first, carried_over, diff)

    async def _claim(self) -> None:
        if not await self._db.fetchval(statement("try_rebuilding")):
            raise RebuildRunning("another rebuild is running; wait for it, or end it")
        await self._db.execute(_UNTIL_THE_SWAP)
        await self._db.execute(statement("next_schema"))
        await upgrade.create(self._db)

    async def _fill(self, first: int) -> Checkpoint:
        """Fold what the stream holds now."""
        replay = await parts.fold(
            self._nats_url, self._dsn, parts.parts_of(first, self._last), lambda n: self._tell("folding", first - 1 + n)
        )
        runs = [*replay.finished, *replay.fold.runs.values()]
        for table, rows in [(schema.RUN, map(row_of, runs)), *tables.others(replay.fold)]:
            await tables.copy(self._db, table, rows)
        self._late = replay.late
        return replay.checkpoint

    async def _index_and_carry_over(self, first: int) -> int:
        self._tell("indexing", self._last)
        for ddl in (schema.KEYS_DDL, schema.INDEXES_DDL):
            await self._db.execute(ddl, timeout=None)
        carried_over = await self._carry_over(first)
        await self._db.execute(schema.ANALYZE, timeout=None)
        await self._db.execute(statement("mend_all"), timeout=None)
        await self._db.execute(statement("fill_tally"), timeout=None)
        await self._db.execute(schema.TALLY_DDL)
        return carried_over

    async def _carry_over(self, first: int) -> int:
        """How many runs are older than the stream."""
        if first <= 1 or not await self._db.fetchval(statement("has_live_tables")):
            return 0
        await self._make_comparable()
        answers = [await self._db.execute(table.carry_over, first, timeout=None) for table in schema.EVENTS]
        while unsorted := [row["id"] for row in await self._db.fetch(statement("unsorted"))]:
            fold = Fold(await tables.load_runs(self._db, unsorted))
            fold.changed.update(unsorted)
            fold.params.extend((term, run.id) for run in fold.runs.values() for term in terms_of(run.params))
            await tables.write(self._db, fold)
        return int(answers[0].rpartition(" ")[2])

    async def _fold_late(self) -> None:
        for begin in range(0, len(self._late), _LATE_AT_ONCE):
            await fold_in(self._db, self._late[begin : begin + _LATE_AT_ONCE])

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
        reached = batch[-1].position
        async with self._db.transaction():
            await fold_in(self._db, batch)
            await self._set(checkpoint, reached)
        return reached

    async def _set(self, old: Checkpoint, new: Checkpoint) -> None:
        assert await tables.move_checkpoint(self._db, old, new), "nobody else writes history_next"

    async def _goal(self) -> int:
        """Where the live tables stand, but at least where the stream ended when the rebuild began."""
        live = await self._live_checkpoint()
        there = (await jetstream.stream_info(self._nats)).state
        return max(self._last, min(live.sequence, there.last_seq))

    async def _live_checkpoint(self) -> Checkpoint:
        if not await self._db.fetchval(statement("has_live_tables")):
            return START
        row = await self._db.fetchrow(statement("position"))
        return Checkpoint(row["sequence"], row["event_id"]) if row else START

    async def _finish(
        self, source: Source, checkpoint: Checkpoint, first: int, carried_over: int, compared: Diff
    ) -> RebuildReport:
        """With the projector waiting at its lock: the last events, and the swap."""
        self._tell("swapping", source.passed)
        mismatch = await self._mismatch()
        await self._db.execute(statement("drop_old"), timeout=None)
        await self._db.execute("SET synchronous_commit = on")
        async with self._db.transaction():
            await self._db.execute(statement("lock_writing"), timeout=None)
            checkpoint = await self._advance(source, checkpoint)
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
            fields=compared.fields,
            mismatch=mismatch,
        )

    async def _mismatch(self) -> str | None:
        try:
            await subscription.check(self._nats, await self._live_checkpoint())
        except StreamReplaced as mismatch:
            return str(mismatch)
        return None

    async def _compare(self, checkpoint: Checkpoint) -> Diff:
        """Without a lock: what has moved since is left out."""
        self._tell("comparing", checkpoint.sequence)
        if not await self._db.fetchval(statement("has_live_tables")):
            return Diff()
        await self._make_comparable()
        both_at = min(checkpoint.sequence, (await self._live_checkpoint()).sequence) or checkpoint.sequence
        async with self._db.transaction():
            await self._db.execute(_IN_ORDER)
            row = await self._db.fetchrow(schema.COMPARE, both_at, timeout=None)
        assert row is not None
        added, removed, changed, *fields = row.values()
        names = list(row.keys())[3:]
        return Diff(added, changed, removed, {name: found for name, found in zip(names, fields, strict=True) if found})

    async def _make_comparable(self) -> None:
        """Tables of an earlier version get the columns they lack."""
        live = await tables.connect(self._dsn)
        try:
            await upgrade.prepare(live)
        finally:
            live.terminate()

    async def _count(self) -> tuple[int, int]:
        row = await self._db.fetchrow(statement("count"))
        assert row is not None
        return row["runs"], row["parked"]

    async def _swap(self) -> None:
        if await self._db.fetchval(statement("has_live_schema")):
            await self._db.execute(statement("retire"))
        await self._db.execute(statement("swap"))

    def _tell(self, phase: Phase, sequence: int) -> None:
        self._on_progress(Progress(phase, sequence, max(self._last, sequence), monotonic_s() - self._began))
