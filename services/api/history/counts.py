"""How many runs there are, by job and status and by day, and how long a job usually takes."""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final

from kronik.run import Status
from msgspec import Struct

from services.api.history import queries
from services.api.history.queries import Pool
from services.api.history.run_filter import BY_STATUS, RunFilter
from services.api.history.schema import statement
from services.api.history.selection import Moment

LAST: Final = 100
"""So many of the last successes say what is usual."""

_STATUS_OF: Final[dict[str, Status]] = {state: status for status, states in BY_STATUS.items() for state in states}
_BEGIN, _END = date(1970, 1, 1), date(9999, 1, 1)


class ByStatus(Struct, frozen=True):
    """Runs by status, each counted exactly."""

    RUNNING: int = 0
    SUCCESS: int = 0
    PARTIAL: int = 0
    FAILED: int = 0


class Usual(Struct, frozen=True, rename="camel"):
    """How long the last successes took. successes: how many of them there are, up to a hundred."""

    median_ms: int
    p95_ms: int
    successes: int


class JobSummary(Struct, frozen=True, rename="camel"):
    """unresolved: failed, not cancelled and not made good since. usual: None before the first success."""

    job_type: str
    counts: ByStatus
    unresolved: queries.Count
    usual: Usual | None


class Day(Struct, frozen=True, rename="camel"):
    """A job's runs that were asked for on a day."""

    day: date
    job_type: str
    counts: ByStatus


async def summary(pool: Pool, moment: Moment | None = None) -> list[JobSummary]:
    """Every job that has runs, by job type."""
    found = await _states(pool, moment)
    durations = await usual(pool, moment)
    return [
        JobSummary(
            job_type, _by_status(states), await _unresolved(pool, job_type, states, moment), durations.get(job_type)
        )
        for job_type, states in sorted(found.items())
    ]


async def usual(pool: Pool, moment: Moment | None = None) -> dict[str, Usual]:
    """By job type; without those that never succeeded."""
    until, at = (moment.sequence, moment.time) if moment else (None, None)
    rows = await pool.fetch(statement("usual"), LAST, until, at)
    return {row["job_type"]: Usual(round(row["median_ms"]), round(row["p95_ms"]), row["successes"]) for row in rows}


async def days(
    pool: Pool, zone: str, first: date, last: date, job_type: str | None = None, moment: Moment | None = None
) -> list[Day]:
    """By day and job; zone: an IANA name, whose midnights part the days. Days and jobs without runs are left out."""
    rows = await _by_day(pool, zone, first, last + timedelta(days=1), job_type, moment)
    grouped: dict[tuple[date, str], dict[str, int]] = {}
    for day, job, state, count in rows:
        grouped.setdefault((day, job), {})[state] = count
    return [Day(day, job, _by_status(states)) for (day, job), states in grouped.items()]


async def _states(pool: Pool, moment: Moment | None) -> dict[str, dict[str, int]]:
    if moment is None:
        rows: Iterable[tuple[str, str, int]] = [tuple(row) for row in await pool.fetch(statement("summary"))]
    else:
        rows = [row[1:] for row in await _by_day(pool, "UTC", _BEGIN, _END, None, moment)]
    found: dict[str, dict[str, int]] = {}
    for job_type, state, count in rows:
        states = found.setdefault(job_type, {})
        states[state] = states.get(state, 0) + count
    return found


async def _by_day(
    pool: Pool, zone: str, since: date, until: date, job_type: str | None, moment: Moment | None
) -> list[tuple[date, str, str, int]]:
    if moment is None:
        rows = await pool.fetch(statement("days"), zone, since, until, job_type)
    else:
        asked = (zone, since, until, job_type, moment.sequence, moment.time)
        rows = await pool.fetch(statement("days_then"), *asked)
    return [tuple(row) for row in rows]


async def _unresolved(pool: Pool, job_type: str, states: dict[str, int], moment: Moment | None) -> queries.Count:
    """The tally knows it now; at a moment of the past it depends on what succeeded until then."""
    if moment is None:
        return queries.Count(states.get("failed", 0), exact=True)
    return await queries.count(pool, RunFilter(job_types=(job_type,), unresolved=True), moment)


def _by_status(states: dict[str, int]) -> ByStatus:
    """Rows of an earlier version have no state yet, and are counted when they have been rebuilt."""
    counts: dict[str, int] = {}
    for state, count in states.items():
        if status := _STATUS_OF.get(state):
            counts[status] = counts.get(status, 0) + count
    return ByStatus(**counts)
