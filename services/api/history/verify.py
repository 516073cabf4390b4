"""Verify: the stream folded afresh, compared row by row with what is served. It writes nothing.

Both sides are taken at the same checkpoint: the rows from one snapshot of Postgres, the stream up to
where that snapshot stands. Of each folded row only its hash is kept; the few that differ are folded again.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Literal

from kronik.events import Recorded
from kronik.run import Run
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
    Checkpoint,
    Fold,
    Parked,
    Row,
    read,
    run_id_in,
    run_row,
)
from services.api.history.replay import Replay, open_source
from services.api.history.tables import Connection
from services.infra.clock import monotonic_s
from services.log import connection as nats_connection
from services.log.event_reader import Stored

LISTED = 1_000
"""So many differences are listed; all are counted."""

_FETCH = 2_000


class Progress(Struct, frozen=True):
    """How far it is: event `position` of `total`, then row by row."""

    phase: Literal["folding", "comparing"]
    position: int
    total: int


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


class VerifyReport(Struct, frozen=True, kw_only=True):
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
    """Compare. Raises CheckpointMismatch where history and stream don't belong together, ReaderLost, LogUnavailable."""
    nats = await nats_connection.connect(nats_url, "verify")
    try:
        async with _snapshot(dsn) as (connection, checkpoint):
            await stream.check(nats, checkpoint)
            return await _Verify(nats, nats_url, connection, checkpoint, on_progress).run()
    finally:
        await nats_connection.close(nats)


@asynccontextmanager
async def _snapshot(dsn: str) -> AsyncIterator[tuple[Connection, Checkpoint]]:
    connection = await tables.connect(dsn)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            row = await connection.fetchrow(queries.statement("position"))
            yield connection, Checkpoint(row["sequence"], row["event_id"]) if row else Checkpoint(0, "")
    finally:
        connection.terminate()


class _Verify:
    def __init__(
        self,
        nats: Client,
        url: str,
        connection: Connection,
        checkpoint: Checkpoint,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._nats = nats
        self._url = url
        self._db = connection
        self._end = checkpoint.sequence
        self._on_progress = on_progress
        self._began = monotonic_s()
        self._hashes: dict[int, int] = {}
        self._differing: set[tuple[str, str]] = set()
        self._differences: list[Difference] = []

    async def run(self) -> VerifyReport:
        self._first = (await stream.extent(self._nats)).first
        replay = await self._fold()
        parked = await self._fold_late(replay)
        runs, too_old = await self._compare_runs()
        fold = replay.fold
        await self._compare("job", JOB_COLUMNS, fold.jobs.values())
        await self._compare("schedule", SCHEDULE_COLUMNS, fold.schedules.values())
        await self._compare("slot", SLOT_COLUMNS, fold.slots)
        await self._compare("parked", PARKED_COLUMNS, [*fold.parked, *parked])
        await self._compare("idempotency", IDEMPOTENCY_COLUMNS, tables.first_of_each_key(fold.keys))
        return VerifyReport(
            first=self._first,
            last=self._end,
            runs=runs,
            too_old=too_old,
            seconds=monotonic_s() - self._began,
            differing=len(self._differing),
            differences=self._differences,
        )

    async def _fold(self) -> Replay:
        replay = Replay()
        async with open_source(self._nats, self._url, "history-verify", self._first) as source:
            async for batch in source.up_to(self._end):
                replay.take(batch)
                self._hashes.update((run.id, hash(run_row(run))) for run in replay.finished)
                self._on_progress(Progress("folding", source.passed, self._end))
        self._hashes.update((run.id, hash(run_row(run))) for run in replay.fold.runs.values())
        return replay

    async def _fold_late(self, replay: Replay) -> list[Row]:
        """Events after a run's end change its row, and those of no run are parked; returned are the latter's rows."""
        late = [(stored, read(stored), run_id_in(stored.subject)) for stored in replay.late]
        too_old = await tables.load_runs(self._db, (run_id for _, _, run_id in late if run_id < self._first))
        parked: list[Row] = []
        for stored, event, run_id in late:
            if run_id in self._hashes:
                run = await self._fold_again(run_id)
                self._hashes[run_id] = hash(run_row(run)) if run else 0
                parked += _parked(stored, event, {run_id: run} if run else {})
            elif run_id not in too_old:
                parked += _parked(stored, event, {})
        return parked

    async def _fold_again(self, run_id: int) -> Run | None:
        """The run by its events up to the checkpoint."""
        fold = Fold()
        async for stored in stream.stored_of_run(self._nats, run_id):
            if stored.sequence <= self._end:
                fold.take(stored, read(stored))
        return fold.runs.get(run_id)

    async def _compare_runs(self) -> tuple[int, int]:
        """How many were compared, and how many are too old to be."""
        seen = too_old = 0
        async for record in self._db.cursor(tables.statement("all_runs"), prefetch=_FETCH):
            row = tuple(record[column] for column in RUN_COLUMNS)
            seen += 1
            folded = self._hashes.pop(record["id"], None)
            if folded is None and record["id"] < self._first:
                too_old += 1
            elif folded is None:
                self._note(Difference("run", str(record["id"]), "surplus"))
            elif folded != hash(row):
                run = await self._fold_again(row[0])
                self._note_changed("run", RUN_COLUMNS, str(row[0]), row, run_row(run) if run else None)
            if seen % _FETCH == 0:
                self._on_progress(Progress("comparing", seen, seen + len(self._hashes)))
        for run_id in sorted(self._hashes):
            self._note(Difference("run", str(run_id), "missing"))
        return seen - too_old, too_old

    async def _compare(self, table: str, columns: tuple[str, ...], folded: Iterable[Row]) -> None:
        """A small table, whole. What is older than the stream can't be compared."""
        by_key = {str(row[0]): row for row in folded}
        for record in await self._db.fetch(tables.statement(f"all_{table}")):
            row = tuple(record[column] for column in columns)
            expected = by_key.pop(str(row[0]), None)
            if expected is None and record["age"] >= self._first:
                self._note(Difference(table, str(row[0]), "surplus"))
            elif expected is not None and expected != row:
                self._note_changed(table, columns, str(row[0]), row, expected)
        for key in sorted(by_key):
            self._note(Difference(table, key, "missing"))

    def _note_changed(self, table: str, columns: tuple[str, ...], key: str, served: Row, folded: Row | None) -> None:
        for field, one, other in zip(columns, served, folded or (None,) * len(columns), strict=True):
            if one != other:
                self._note(Difference(table, key, "changed", field, _shown(one), _shown(other)))

    def _note(self, difference: Difference) -> None:
        self._differing.add((difference.table, difference.id))
        if len(self._differences) < LISTED:
            self._differences.append(difference)


def _parked(stored: Stored, event: Recorded | Parked, runs: dict[int, Run]) -> list[Row]:
    """The row of an event that belongs to none of these runs; none for one that is in its run already."""
    fold = Fold(runs)
    fold.take(stored, event)
    return fold.parked


def _shown(value: Any) -> str | None:
    return None if value is None else str(value)[:500]
