"""The questions of who looks after many jobs at once: what ran lately, what is open, what failed, what did not run.

With a moment each is answered as it would have been then.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec
from kronik.events import ScheduleChanged
from kronik.run import Phase, Status
from msgspec import Struct

from services.api.history import queries, selection
from services.api.history.queries import JobRun, Page, Pool, Slot
from services.api.history.run_filter import RunFilter, State
from services.api.history.schema import statement
from services.api.history.selection import Moment, Place

_changes = msgspec.json.Decoder(ScheduleChanged)


class Bar(Struct, frozen=True):
    """A run, as far as a chart shows it."""

    id: int
    job_type: str
    status: Status
    phase: Phase
    started_at: datetime
    completed_at: datetime | None
    duration_ms: int | None
    cancelled_by: str | None


class Failure(Struct, frozen=True):
    """A failed run. made_good: a later run of the same job with the same params completed."""

    id: int
    job_type: str
    started_at: datetime
    error: str
    made_good: bool


class Stopped(Struct, frozen=True):
    """A run that somebody cancelled."""

    id: int
    job_type: str
    completed_at: datetime
    cancelled_by: str


class Asked(Struct, frozen=True):
    """That somebody asked for a run."""

    id: int
    job_type: str
    triggered_by: str
    triggered_at: datetime
    rerun_of: int | None
    correlation_id: str | None


class Neighbours(Struct, frozen=True):
    """Of one run: the runs of its job before and after it, and its reruns."""

    before: int | None
    after: int | None
    reruns: tuple[int, ...]


async def recent(pool: Pool, limit: int = 30, moment: Moment | None = None) -> dict[str, list[Bar]]:
    """The last runs of every job, oldest first."""
    if moment:
        return _by_job(map(_bar, await queries.newest_by_job(pool, limit, moment)))
    return _by_job(Bar(*row) for row in await pool.fetch(statement("recent"), limit))


WINDOW: Final = 150
"""So many runs of a job are drawn over time, the last ones."""


async def window(
    pool: Pool, since: datetime, limit: int = WINDOW, moment: Moment | None = None
) -> dict[str, list[Bar]]:
    """The last runs of every job that started since then, or were open then, oldest first."""
    if moment:
        runs = await queries.newest_by_job(pool, limit, moment)
        return _by_job(_bar(run) for run in runs if run.started_at >= since)
    return _by_job(Bar(*row) for row in await pool.fetch(statement("window"), since, limit))


async def failures(pool: Pool, since: datetime, limit: int = 200, moment: Moment | None = None) -> list[Failure]:
    """Runs that failed and were not cancelled, newest first; of each job up to `limit`."""
    if moment:
        return await _failures_then(pool, since, limit, moment)
    return [Failure(*row) for row in await pool.fetch(statement("failures"), since, limit)]


async def _failures_then(pool: Pool, since: datetime, limit: int, moment: Moment) -> list[Failure]:
    runs = await queries.history(pool, RunFilter(since=since, statuses=("FAILED",)), limit, moment)
    standing = await queries.history(pool, RunFilter(since=since, unresolved=True), limit, moment)
    ids = {run.id for run in standing}
    return [
        Failure(run.id, run.job_type, run.started_at, run.error_message or "", run.id not in ids)
        for run in runs
        if run.cancelled_by is None
    ]


async def cancelled(pool: Pool, limit: int = 100, moment: Moment | None = None) -> list[Stopped]:
    """Runs that somebody cancelled, the newest first."""
    return [Stopped(**row) for row in await pool.fetch(statement("cancelled"), limit, moment and moment.time)]


async def askers(pool: Pool, limit: int = 500) -> list[str]:
    """Everybody who ever asked for a run: CRON, ADMIN:<userId>, SERVICE:<name>."""
    return [row["name"] for row in await pool.fetch(statement("askers"), limit)]


async def asked(pool: Pool, wanted: RunFilter, limit: int, moment: Moment | None = None) -> list[Asked]:
    """The newest of them, a thousand for what fifty whole runs cost."""
    statement = selection.page(wanted, limit, moment=moment, names=Asked.__struct_fields__)
    return [Asked(*row) for row in await pool.fetch(statement.text, *statement.values)]


async def tally(pool: Pool, since: datetime, moment: Moment | None = None) -> dict[State, int]:
    """How many runs were asked for since then, by state; to the quarter of an hour. Of a moment, the ended ones."""
    if moment:
        ended: dict[State, Status] = {"succeeded": "SUCCESS", "partial": "PARTIAL"}
        wanted = {state: RunFilter(since=since, statuses=(status,)) for state, status in ended.items()}
        return {state: (await queries.count(pool, one, moment)).count for state, one in wanted.items()}
    return {row["state"]: row["count"] for row in await pool.fetch(statement("tallied_since"), since)}


async def skipped(pool: Pool, since: datetime, limit: int = 300, moment: Moment | None = None) -> list[Slot]:
    """Slots since then that did not become a run, newest first."""
    until = moment.sequence if moment else None
    return [Slot(**row) for row in await pool.fetch(statement("skipped"), since, limit, until)]


async def neighbours(pool: Pool, run: JobRun, moment: Moment | None = None) -> Neighbours:
    same = RunFilter(job_types=(run.job_type,))
    before = await queries.page(pool, same, limit=1, place=Place(run.id), moment=moment)
    after = await queries.page(pool, same, limit=1, place=Place(run.id, "newer"), moment=moment)
    reruns = await queries.history(pool, RunFilter(rerun_of=run.id), 20, moment)
    return Neighbours(_first(before), _first(after), tuple(one.id for one in reversed(reruns)))


def _first(page: Page) -> int | None:
    return page.runs[0].id if page.runs else None


def _bar(run: JobRun) -> Bar:
    return Bar(
        run.id,
        run.job_type,
        run.status,
        run.phase,
        run.started_at,
        run.completed_at,
        run.duration_ms,
        run.cancelled_by,
    )


def _by_job(bars: Iterable[Bar]) -> dict[str, list[Bar]]:
    found: dict[str, list[Bar]] = defaultdict(list)
    for bar in bars:
        found[bar.job_type].append(bar)
    return dict(found)


class Changed(Struct, frozen=True):
    """An admin's change of a job."""

    job_type: str
    sequence: int
    changed_at: datetime
    change: ScheduleChanged


async def changes(pool: Pool, since: datetime, until: datetime, limit: int = 200) -> list[Changed]:
    """Changes of schedules within this time, newest first."""
    rows = await pool.fetch(statement("changes"), since, until, limit)
    return [
        Changed(row["job_type"], row["sequence"], row["changed_at"], _changes.decode(row["change_json"]))
        for row in rows
    ]
