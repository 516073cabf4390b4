"""The questions that the API and the panel ask the read model. Instants are UTC, `_ms` are milliseconds."""

from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

import asyncpg
import msgspec
from kronik import in_force
from kronik.events import JobDefined, Schedule, ScheduleChanged, Warning
from kronik.run import Phase, Run, Status
from msgspec import Struct

from services.api.history.projections import RUN_COLUMNS, Checkpoint, NamedRow, Parked, run_row
from services.infra import sql

Before: TypeAlias = tuple[datetime, int]
"""Where a page of the history ends: startedAt and id of its last run. The next page begins behind it."""

if TYPE_CHECKING:
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
else:
    Pool = asyncpg.Pool  # a name that can be resolved when handlers are registered

_warnings = msgspec.json.Decoder(list[Warning])
_definitions = msgspec.json.Decoder(JobDefined)
_changes = msgspec.json.Decoder(ScheduleChanged)


class JobRun(Struct, frozen=True, kw_only=True, rename="camel"):
    """A run as the API and the panel show it: the nine fields of the read model, then finer ones.

    started_at: when the first attempt started; when it was triggered, until one has.
    result_summary: JSON text, or None. error_message: of a run that is retrying, the last attempt's.
    warnings: the first hundred of warning_count.
    ignored: events that came after the end; anything but 0 is a defect.
    """

    id: int
    job_type: str
    status: Status
    started_at: datetime
    completed_at: datetime | None
    duration_ms: int | None
    result_summary: str | None
    error_message: str | None
    triggered_by: str
    phase: Phase
    attempt: int
    failures: int
    triggered_at: datetime
    retry_at: datetime | None
    scheduled_for: datetime | None
    rerun_of: int | None
    params: msgspec.Raw
    warnings: list[Warning]
    warning_count: int
    cancel_requested_by: str | None
    cancelled_by: str | None
    ignored: int


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


async def history(
    pool: Pool,
    *,
    job_type: str | None = None,
    status: Status | None = None,
    triggered_by: str | None = None,
    limit: int = 10,
    before: Before | None = None,
) -> list[JobRun]:
    """Runs, newest first, up to `limit` of them."""
    started_at, id = before or (None, None)
    rows = await pool.fetch(statement("history"), job_type, status, triggered_by, started_at, id, limit)
    return [_job_run(row) for row in rows]


async def run(pool: Pool, id: int) -> JobRun | None:
    row = await pool.fetchrow(statement("run"), id)
    return _job_run(row) if row else None


async def last_runs_by_job(pool: Pool) -> dict[str, JobRun]:
    """The newest run of every job type that is defined."""
    return {row["job_type"]: _job_run(row) for row in await pool.fetch(statement("last_runs_by_job"))}


async def jobs(pool: Pool) -> list[DefinedJob]:
    """Every job that a runner has announced, by job type."""
    return [_defined_job(row) for row in await pool.fetch(statement("jobs"), None)]


async def job(pool: Pool, job_type: str) -> DefinedJob | None:
    row = await pool.fetchrow(statement("jobs"), job_type)
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


async def parked(pool: Pool, limit: int = 100) -> list[Parked]:
    """Messages that could not be projected, newest first."""
    return [Parked(**row) for row in await pool.fetch(statement("parked"), limit)]


async def parked_count(pool: Pool) -> int:
    count: int = await pool.fetchval(statement("parked_count"))
    return count


async def slots(pool: Pool, job_type: str | None = None, limit: int = 100) -> list[Slot]:
    """Due slots that did not become a run, newest first."""
    return [Slot(**row) for row in await pool.fetch(statement("slots"), job_type, limit)]


def job_run_of(run: Run) -> JobRun:
    """What the history will say of this run once it is projected."""
    return _job_run(dict(zip(RUN_COLUMNS, run_row(run), strict=True)))


def _job_run(row: NamedRow) -> JobRun:
    return JobRun(
        id=row["id"],
        job_type=row["job_type"],
        status=row["status"],
        started_at=row["started_at"],
        completed_at=row["completed_at"],
        duration_ms=row["duration_ms"],
        result_summary=row["result_summary"],
        error_message=row["error_message"],
        triggered_by=row["triggered_by"],
        phase=row["phase"],
        attempt=row["attempt"],
        failures=row["failures"],
        triggered_at=row["triggered_at"],
        retry_at=row["retry_at"],
        scheduled_for=row["scheduled_for"],
        rerun_of=row["rerun_of"],
        params=msgspec.Raw(row["params_json"].encode()),
        warnings=_warnings.decode(row["warnings_json"]),
        warning_count=row["warning_count"],
        cancel_requested_by=row["cancel_requested_by"],
        cancelled_by=row["cancelled_by"],
        ignored=row["ignored"],
    )


def _defined_job(row: asyncpg.Record) -> DefinedJob:
    change = row["change_json"]
    definition = _definitions.decode(row["definition_json"])
    changed = _changes.decode(change) if change else None
    return DefinedJob(definition, changed, in_force.is_retired(row["defined_at"], row["changed_at"] or 0, changed))


def statement(name: str) -> str:
    return sql.load("services.api.history", f"sql/{name}.sql")
