"""The questions that the API and the panel ask the read model. Instants are UTC, `_ms` are milliseconds."""

from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeAlias

import asyncpg
import msgspec
from kronik import in_force
from kronik.events import JobDefined, Schedule, ScheduleChanged
from kronik.run import Run
from msgspec import Struct

from services.api.history import columns, selection
from services.api.history.columns import JobRun as JobRun
from services.api.history.columns import row_of
from services.api.history.projections import Checkpoint, Parked
from services.api.history.run_filter import ALL, RunFilter
from services.api.history.schema import statement
from services.api.history.selection import Moment, Place, Statement

if TYPE_CHECKING:
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
else:
    Pool = asyncpg.Pool  # a name that can be resolved when handlers are registered

_definitions = msgspec.json.Decoder(JobDefined)
_changes = msgspec.json.Decoder(ScheduleChanged)


_COUNT_WITHIN: Final = "SET LOCAL statement_timeout = 1000"
COUNTED: Final = 10_000
"""What a filter selects is counted so far, and estimated beyond."""


class DefinedJob(Struct, frozen=True):
    """A job as its runner announced it, with the newest change of it by an admin, if there was one."""

    definition: JobDefined
    change: ScheduleChanged | None
    retired: bool = False

    @property
    def schedule(self) -> Schedule | None:
        """The one that holds. None: by hand alone."""
        return in_force.schedule(self.definition.schedule, self.change)


class Slot(Struct, frozen=True, rename="camel"):
    """A due slot that did not become a run."""

    sequence: int
    job_type: str
    scheduled_for: datetime
    outcome: str
    reason: str
    recorded_at: datetime


class Page(Struct, frozen=True):
    """Runs, newest first. older, newer: whether there are more on that side."""

    runs: list[JobRun]
    older: bool
    newer: bool


async def page(
    pool: Pool, wanted: RunFilter = ALL, *, limit: int = 10, place: Place | None = None, moment: Moment | None = None
) -> Page:
    """A page of what the filter selects, behind the place or from the newest on.

    Ids never change, so whoever follows the pages sees every run once.
    """
    asked = selection.page(wanted, limit + 1, place, moment)
    found = [_shown(row) for row in await pool.fetch(asked.text, *asked.values)]
    more = len(found) > limit
    if place is None or place.direction == "older":
        return Page(found[:limit], older=more, newer=place is not None and place.end is None)
    return Page(found[:limit][::-1], older=True, newer=more)


async def history(pool: Pool, wanted: RunFilter = ALL, limit: int = 10, moment: Moment | None = None) -> list[JobRun]:
    """The newest runs that the filter selects."""
    return (await page(pool, wanted, limit=limit, moment=moment)).runs


class Count(Struct, frozen=True):
    """exact: counted; otherwise estimated: there are more than 10,000, or counting takes too long."""

    count: int
    exact: bool


async def count(pool: Pool, wanted: RunFilter = ALL, moment: Moment | None = None) -> Count:
    """How many runs the filter selects."""
    if moment is None and selection.only_groups(wanted):
        asked = selection.tallied(wanted)
        kept: int | None = await pool.fetchval(asked.text, *asked.values)
        if kept is not None:
            return Count(kept, exact=True)
    asked = selection.count(wanted, COUNTED + 1, moment)
    found = await _counted(pool, asked)
    if found is not None and found <= COUNTED:
        return Count(found, exact=True)
    estimated = selection.estimate(wanted, moment)
    plan = msgspec.json.decode(await pool.fetchval(estimated.text, *estimated.values))
    return Count(max(found or 0, plan[0]["Plan"]["Plan Rows"]), exact=False)


async def _counted(pool: Pool, asked: Statement) -> int | None:
    """None where it takes too long: a page that says "about" at once is worth more."""
    try:
        async with pool.acquire() as connection, connection.transaction(readonly=True):
            await connection.execute(_COUNT_WITHIN)
            found: int = await connection.fetchval(asked.text, *asked.values)
            return found
    except asyncpg.QueryCanceledError:
        return None


async def run(pool: Pool, id: int, moment: Moment | None = None) -> JobRun | None:
    """None where there is none, or was none at the moment."""
    if moment is not None:
        found = await page(pool, limit=1, place=Place(id - 1, "newer"), moment=moment)
        return next((run for run in found.runs if run.id == id), None)
    row = await pool.fetchrow(statement("run"), id)
    return _shown(row) if row else None


async def last_runs_by_job(pool: Pool, moment: Moment | None = None) -> dict[str, JobRun]:
    """The newest run of every job type that has any."""
    return {run.job_type: run for run in await newest_by_job(pool, 1, moment)}


async def newest_by_job(pool: Pool, limit: int, moment: Moment | None = None) -> list[JobRun]:
    """The newest runs of every job type, up to `limit` of each, oldest first."""
    asked = selection.newest_by_job(moment, limit)
    return [_shown(row) for row in await pool.fetch(asked.text, *asked.values)]


async def jobs(pool: Pool, moment: Moment | None = None) -> list[DefinedJob]:
    """Every job that a runner has announced, by job type."""
    return [_defined_job(row) for row in await pool.fetch(statement("jobs"), None, _until(moment))]


async def job(pool: Pool, job_type: str, moment: Moment | None = None) -> DefinedJob | None:
    row = await pool.fetchrow(statement("jobs"), job_type, _until(moment))
    return _defined_job(row) if row else None


async def known_job_types(pool: Pool) -> list[str]:
    """The job types that runners have announced."""
    return [row["job_type"] for row in await pool.fetch(statement("known_job_types"))]


async def has_runs(pool: Pool, job_type: str) -> bool:
    """Whether a job of this type has ever run: its definition may be gone, or not be there yet."""
    return bool(await pool.fetchval(statement("has_runs"), job_type))


async def run_of_key(pool: Pool, event_id: str) -> int | None:
    """The run that was triggered with this Idempotency-Key's event id."""
    found: int | None = await pool.fetchval(statement("run_of_key"), event_id)
    return found


async def position(pool: Pool) -> Checkpoint:
    """The last event that is in the read model."""
    row = await pool.fetchrow(statement("position"))
    return Checkpoint(row["sequence"], row["event_id"]) if row else Checkpoint(0, "")


async def asked_before(pool: Pool, sequence: int) -> datetime | None:
    """When the last run up to this sequence was asked for."""
    found: datetime | None = await pool.fetchval(statement("asked_before"), sequence)
    return found


async def first_asked(pool: Pool) -> datetime | None:
    """When the oldest run was asked for."""
    found: datetime | None = await pool.fetchval(statement("first_asked"))
    return found


async def parked(pool: Pool, limit: int = 100, moment: Moment | None = None) -> list[Parked]:
    """Messages that could not be projected, newest first."""
    return [Parked(**row) for row in await pool.fetch(statement("parked"), limit, _until(moment))]


async def readable(pool: Pool) -> None:
    """Raises what Postgres raises where no run can be read; waits while the table is locked."""
    await pool.fetchval(statement("readable"))


async def parked_count(pool: Pool) -> int:
    count: int = await pool.fetchval(statement("parked_count"))
    return count


async def slots(pool: Pool, job_type: str | None = None, limit: int = 100, moment: Moment | None = None) -> list[Slot]:
    """Due slots that did not become a run, newest first."""
    return [Slot(**row) for row in await pool.fetch(statement("slots"), job_type, limit, _until(moment))]


def job_run_of(run: Run) -> JobRun:
    """What the history will say of this run once it is projected."""
    return columns.shown(row_of(run))


def _shown(row: asyncpg.Record) -> JobRun:
    return columns.shown(row[name] for name in columns.SHOWN)


def _until(moment: Moment | None) -> int | None:
    return moment.sequence if moment else None


def _defined_job(row: asyncpg.Record) -> DefinedJob:
    change = row["change_json"]
    definition = _definitions.decode(row["definition_json"])
    changed = _changes.decode(change) if change else None
    return DefinedJob(definition, changed, in_force.is_retired(row["defined_at"], row["changed_at"] or 0, changed))
