"""Verify: the stream folded afresh, compared row by row with what is served. It writes nothing.

Both sides are taken at the same checkpoint: the rows from one snapshot of Postgres, the stream up to
where that snapshot stands. A run is compared when it has ended, and forgotten; of all of them only a bit each is kept.
Those with events after their end are few, and are folded again at the end.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from operator import itemgetter
from typing import Any, Literal

import asyncpg
from kronik import KronikError
from kronik.events import Recorded
from kronik.run import Run
from msgspec import Struct
from nats.aio.client import Client

from services.api.history import schema, stream, tables, upgrade
from services.api.history.columns import INDEX, Row, row_of
from services.api.history.projections import Checkpoint, Fold, Parked, read, run_id_of
from services.api.history.replay import Replay, open_source
from services.api.history.schema import Table, statement
from services.api.history.tables import Connection
from services.infra.clock import monotonic_s
from services.log import connection as nats_connection
from services.log import jetstream, subscription
from services.log.stored import Stored

LISTED = 1_000
"""So many differences are listed; all are counted."""

_STATE = INDEX["state"]
_served: Callable[[asyncpg.Record], Row] = itemgetter(*schema.RUN.names)
_AT_ONCE = 2_000
_INT4 = 2**31 - 1


class Progress(Struct, frozen=True):
    """How far it is: event `position` of `total`, then row by row."""

    phase: Literal["folding", "comparing"]
    position: int
    total: int


class OtherVersion(KronikError):
    """The history was made by another version of Kronik: there is nothing to compare it with before a rebuild."""


class Difference(Struct, frozen=True):
    """One row that is served otherwise than the stream says. id: its key.

    missing: not served at all; surplus: served, and the stream knows nothing of it; changed: `field` differs.
    """

    table: str
    id: str
    kind: Literal["missing", "surplus", "changed"]
    field: str | None = None
    served: str | None = None
    folded: str | None = None


class VerifyReport(Struct, frozen=True, kw_only=True, rename="camel"):
    """differing: rows that differ, all of them; differences: what differs in the first thousand.

    too_old: runs served that are older than the stream's first event, which nothing can be said about.
    """

    first: int
    last: int
    runs: int
    too_old: int
    seconds: float
    differing: int
    differences: list[Difference]

    @property
    def ok(self) -> bool:
        return self.differing == 0


def _silent(_: Progress) -> None:
    pass


async def verify(nats_url: str, dsn: str, on_progress: Callable[[Progress], None] = _silent) -> VerifyReport:
    """Compare. Raises OtherVersion, StreamReplaced where history and stream don't belong together, ReaderLost,
    LogUnavailable.
    """
    nats = await nats_connection.connect(nats_url, "verify")
    try:
        async with _snapshot(dsn) as (connection, checkpoint):
            if await upgrade.model(connection) != schema.VERSION:
                raise OtherVersion("the history was made by another version of Kronik: run `kronik rebuild`")
            await subscription.check(nats, checkpoint)
            return await _Verify(nats, connection, checkpoint, on_progress).run()
    finally:
        await nats_connection.close(nats)


@asynccontextmanager
async def _snapshot(dsn: str) -> AsyncIterator[tuple[Connection, Checkpoint]]:
    connection = await tables.connect(dsn)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            row = await connection.fetchrow(statement("position"))
            yield connection, Checkpoint(row["sequence"], row["event_id"]) if row else Checkpoint(0, "")
    finally:
        connection.terminate()


class _Verify:
    def __init__(
        self,
        nats: Client,
        connection: Connection,
        checkpoint: Checkpoint,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._nats = nats
        self._db = connection
        self._end = checkpoint.sequence
        self._on_progress = on_progress
        self._began = monotonic_s()
        self._seen = bytearray(checkpoint.sequence // 8 + 1)
        self._matched = 0
        self._terms = 0
        self._differing: dict[tuple[str, str], list[Difference]] = {}
        self._listed = 0

    async def run(self) -> VerifyReport:
        self._first = (await jetstream.stream_info(self._nats)).state.first
        replay = await self._fold()
        parked = await self._fold_late(replay)
        await self._find_surplus()
        too_old: int = await self._db.fetchval("SELECT count(*) FROM run WHERE id < $1", self._first, timeout=None)
        for table, rows in tables.others(replay.fold):
            if table is not schema.PARAM:
                await self._compare(table, [*rows, *parked] if table is schema.PARKED else rows)
        await self._compare_kept()
        return VerifyReport(
            first=self._first,
            last=self._end,
            runs=self._matched,
            too_old=too_old,
            seconds=monotonic_s() - self._began,
            differing=len(self._differing),
            differences=[difference for found in self._differing.values() for difference in found][:LISTED],
        )

    async def _fold(self) -> Replay:
        replay = Replay()
        async with open_source(self._nats, "history_verify", self._first) as source:
            async for batch in source.up_to(self._end):
                replay.take(batch)
                self._sum_up_terms(replay.fold)
                await self._compare_runs(replay.finished)
                self._on_progress(Progress("folding", source.passed, self._end))
        open_runs = list(replay.fold.runs.values())
        for begin in range(0, len(open_runs), _AT_ONCE):
            await self._compare_runs(open_runs[begin : begin + _AT_ONCE])
        return replay

    def _sum_up_terms(self, fold: Fold) -> None:
        self._terms += sum((term & _INT4) * (run_id & _INT4) for term, run_id in fold.params)
        fold.params.clear()

    async def _compare_runs(self, runs: Sequence[Run]) -> None:
        if not runs:
            return
        records = await self._db.fetch(schema.statement("load_runs"), [run.id for run in runs])
        served = {record["id"]: _served(record) for record in records}
        for run in runs:
            self._seen[run.id >> 3] |= 1 << (run.id & 7)
            self._compare_run(run.id, row_of(run), served.get(run.id))

    def _compare_run(self, run_id: int, folded: Row | None, served: Row | None) -> None:
        self._matched += served is not None
        if served is None and folded is not None:
            self._note(Difference("run", str(run_id), "missing"))
        elif served is not None and _without_mending(served) != folded:
            self._note_changed(schema.RUN, str(run_id), _without_mending(served), folded)

    async def _fold_late(self, replay: Replay) -> list[Row]:
        """Events after a run's end change its row, and those of no run are parked; returned are the latter's rows."""
        late = [(stored, read(stored), run_id_of(stored) or 0) for stored in replay.late]
        too_old = await tables.load_runs(self._db, (run_id for _, _, run_id in late if run_id < self._first))
        parked: list[Row] = []
        for stored, event, run_id in late:
            if self._was_seen(run_id):
                run = await self._fold_again(run_id)
                self._differing.pop(("run", str(run_id)), None)
                self._matched -= 1
                await self._compare_runs([run] if run else [])
                parked += _parked(stored, event, {run_id: run} if run else {})
            elif run_id not in too_old:
                parked += _parked(stored, event, {})
        return parked

    def _was_seen(self, run_id: int) -> bool:
        return run_id <= self._end and bool(self._seen[run_id >> 3] & 1 << (run_id & 7))

    async def _fold_again(self, run_id: int) -> Run | None:
        """The run by its events up to the checkpoint."""
        fold = Fold()
        async for stored in stream.stored_of_run(self._nats, run_id):
            if stored.sequence <= self._end:
                fold.take(stored, read(stored))
        return fold.runs.get(run_id)

    async def _find_surplus(self) -> None:
        """Row by row only where there are more rows than were compared."""
        self._on_progress(Progress("comparing", self._end, self._end))
        served: int = await self._db.fetchval("SELECT count(*) FROM run WHERE id >= $1", self._first, timeout=None)
        if served == self._matched:
            return
        async for record in self._db.cursor("SELECT id FROM run WHERE id >= $1", self._first, prefetch=_AT_ONCE):
            if not self._was_seen(record["id"]):
                self._note(Difference("run", str(record["id"]), "surplus"))

    async def _compare(self, table: Table, folded: Iterable[Row]) -> None:
        """A small table, whole. What is older than the stream can't be compared."""
        keyed = [table.names.index(name) for name in table.key]
        by_key = {" ".join(str(row[index]) for index in keyed): row for row in folded}
        for record in await self._db.fetch(table.whole):
            row = tuple(record[name] for name in table.names)
            key = " ".join(str(row[index]) for index in keyed)
            expected = by_key.pop(key, None)
            if expected is None and record[table.age] >= self._first:
                self._note(Difference(table.name, key, "surplus"))
            elif expected is not None and expected != row:
                self._note_changed(table, key, row, expected)
        for key in sorted(by_key):
            self._note(Difference(table.name, key, "missing"))

    async def _compare_kept(self) -> None:
        """What is made of all rows together: which failures were made good, the terms of params, the tally."""
        for record in await self._db.fetch(statement("wrongly_mended"), LISTED, timeout=None):
            self._note(Difference("run", str(record["id"]), "changed", "state", record["served"], record["folded"]))
        terms = await self._db.fetchval(statement("sum_of_terms"), self._first, timeout=None)
        if int(terms) != self._terms:
            self._note(Difference("param", "all", "changed", "term", str(terms), str(self._terms)))
        for record in await self._db.fetch(statement("wrong_tally"), LISTED, timeout=None):
            key = f"{record['job_type']} {record['state']} {record['quarter']}"
            self._note(Difference("tally", key, "changed", "count", str(record["served"]), str(record["counted"])))

    def _note_changed(self, table: Table, key: str, served: Row, folded: Row | None) -> None:
        for field, one, other in zip(table.names, served, folded or (None,) * len(table.names), strict=True):
            if one != other:
                self._note(Difference(table.name, key, "changed", field, _shown(one), _shown(other)))

    def _note(self, difference: Difference) -> None:
        """All are counted; the first are kept."""
        found = self._differing.setdefault((difference.table, difference.id), [])
        if self._listed < LISTED:
            self._listed += 1
            found.append(difference)


def _without_mending(row: Row) -> Row:
    """The row as its own events tell it."""
    return (*row[:_STATE], "failed", *row[_STATE + 1 :]) if row[_STATE] == "mended" else row


def _parked(stored: Stored, event: Recorded | Parked, runs: dict[int, Run]) -> list[Row]:
    """The row of an event that belongs to none of these runs; none for one that is in its run already."""
    fold = Fold(runs)
    fold.take(stored, event)
    return fold.parked


def _shown(value: Any) -> str | None:
    return None if value is None else str(value)[:500]
