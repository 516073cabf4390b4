"""Jobs over HTTP: what there is to run, when it runs by itself, and changing that."""

import uuid
from datetime import datetime
from typing import Annotated, Any

import msgspec
from kronik import in_force, subjects
from kronik.events import JobDefined, Pause, RetryPolicy, Schedule, ScheduleChanged
from kronik.schedule import QUEUE_LIMIT, CatchUp, Overlap, WhenFull
from kronik.show import Show, Text
from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter
from litestar.status_codes import HTTP_200_OK
from msgspec import UNSET, Meta, Struct, UnsetType

from services.api.access.gate import needs
from services.api.access.store import Identity
from services.api.commands.trigger import unknown_job_type
from services.api.history import queries
from services.api.history.queries import DefinedJob, JobRun, Pool
from services.api.past import History
from services.api.problems import BUSY, NO_SCHEDULE, Problem, documented, invalid
from services.api.request_schemas import refuse_lookalikes
from services.infra import slots
from services.infra.clock import Clock
from services.infra.schedule_words import in_words
from services.log.append import Appended, EventLog, Expected

_NEXT = 5
_TRIES = 5
_ZONE = "Europe/Copenhagen"
_QUEUE = {"max_queued", "when_full"}
_GIVEN = ("tz", "catch_up", "overlap", "deadline_ms", *sorted(_QUEUE))


class JobView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A job: as its runner defined it, as an admin scheduled it, and as it last ran.

    schedule: the one that holds; null: by hand alone. schedule_in_words: per language.
    comes_from: of each field that an admin can change, `code` or who gave it. changed_by: who changed the job last.
    pause: who paused it, why and until when; null: it is not paused. retired: out of use until it is announced again.
    max_queued: how many of its runs may wait; null: any number. next_slots: the next five instants; none while paused.
    """

    job_type: str
    title: Text
    description: str
    params_schema: dict[str, Any]
    result_schema: dict[str, Any]
    show: tuple[Show, ...]
    timeout_ms: int
    retry: RetryPolicy
    concurrency: int
    schedule: Schedule | None
    schedule_in_words: Text
    comes_from: dict[str, str]
    paused: bool
    pause: Pause | None
    retired: bool
    max_queued: int | None
    when_full: WhenFull
    changed_by: str | None
    next_slots: list[datetime]
    last_run: JobRun | None


# Shown alone: `slots.check` refuses the same, and says why in words. Litestar takes keywords from `extra`.
_CRON: dict[str, Any] = {
    "description": "minute hour day-of-month month weekday, each within its limits; 400 for what can't be a schedule",
    "extra": {"pattern": "^ *[0-9A-Za-z*/,#-]+( +[0-9A-Za-z*/,#-]+){4} *$"},
}
_TZ: dict[str, Any] = {"extra": {"enum": sorted(slots.zones())}}


class ScheduleRequest(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What to change; what is left out stays, and null leaves a field to the job's code.

    deadline_ms, max_queued: 0 means no limit, whatever the code says. paused_until: when the pause ends by itself.
    """

    paused: bool | UnsetType = UNSET
    pause_reason: Annotated[str, Meta(max_length=200)] | UnsetType | None = UNSET
    paused_until: Annotated[datetime, Meta(tz=True)] | UnsetType | None = UNSET
    cron: Annotated[str, Meta(max_length=slots.EXPRESSION_LIMIT, extra_json_schema=_CRON)] | UnsetType | None = UNSET
    tz: Annotated[str, Meta(extra_json_schema=_TZ)] | UnsetType | None = UNSET
    catch_up: CatchUp | UnsetType | None = UNSET
    overlap: Overlap | UnsetType | None = UNSET
    deadline_ms: Annotated[int, Meta(ge=0, le=2**53)] | UnsetType | None = UNSET
    max_queued: Annotated[int, Meta(ge=0, le=QUEUE_LIMIT)] | UnsetType | None = UNSET
    when_full: WhenFull | UnsetType | None = UNSET


JobType = Annotated[str, PathParameter(max_length=200, description="The job's type")]


class JobController(Controller):
    path = "/job"
    tags = ("jobs",)

    @get("/", responses=documented(401, 403, 503), summary="Every job, its schedule and its last run")
    async def jobs(self, pool: NamedDependency[Pool], log: NamedDependency[EventLog]) -> list[JobView]:
        last_runs = await queries.last_runs_by_job(pool)
        return [_view(job, last_runs.get(job.definition.job_type), log.clock) for job in await queries.jobs(pool)]

    @get("/{job_type:str}", responses=documented(400, 401, 403, 404, 503), summary="One job")
    async def job(self, job_type: JobType, pool: NamedDependency[Pool], log: NamedDependency[EventLog]) -> JobView:
        job = await _defined(pool, job_type)
        last_runs = await queries.history(pool, job_type=job_type, limit=1)
        return _view(job, last_runs[0] if last_runs else None, log.clock)

    @post(
        "/{job_type:str}/schedule",
        guards=[needs("admin")],
        status_code=HTTP_200_OK,
        responses=documented(400, 401, 403, 404, 409, 413, 503),
        summary="Pause, resume or change a job's schedule",
    )
    async def change_schedule(
        self,
        job_type: JobType,
        data: JSONBody[ScheduleRequest],
        request: Request[Any, Any, Any],
        past: NamedDependency[History],
        identity: NamedDependency[Identity],
    ) -> JobView:
        refuse_lookalikes(await request.body(), ScheduleRequest)
        job = await _defined(past.pool, job_type)
        change, sequence = await _change(past.log, job.definition, data, identity)
        await past.changes.reached(past.pool, sequence)
        last_runs = await queries.history(past.pool, job_type=job_type, limit=1)
        changed = DefinedJob(job.definition, change, retired=change.retired is not None and job.retired)
        return _view(changed, last_runs[0] if last_runs else None, past.log.clock)


async def _defined(pool: Pool, job_type: str) -> DefinedJob:
    job = await queries.job(pool, job_type.replace("\0", ""))
    if job is None:
        raise await unknown_job_type(pool, job_type)
    return job


def _view(job: DefinedJob, last_run: JobRun | None, clock: Clock) -> JobView:
    definition = job.definition
    limit = in_force.queue_limit(definition, job.change)
    return JobView(
        job_type=definition.job_type,
        title=definition.title,
        description=definition.description,
        params_schema=definition.params_schema,
        result_schema=definition.result_schema,
        show=definition.show,
        timeout_ms=definition.timeout_ms,
        retry=definition.retry,
        concurrency=definition.concurrency,
        schedule=job.schedule,
        schedule_in_words={"da": in_words(job.schedule, "da"), "en": in_words(job.schedule, "en")},
        comes_from=in_force.came_from(job.change),
        paused=in_force.pause(job.change, clock.now()) is not None,
        pause=in_force.pause(job.change, clock.now()),
        retired=job.retired,
        max_queued=limit.runs if limit else None,
        when_full=limit.when_full if limit else definition.when_full,
        changed_by=job.change.by if job.change else None,
        next_slots=_next_slots(job, clock),
        last_run=last_run,
    )


def _next_slots(job: DefinedJob, clock: Clock) -> list[datetime]:
    """None for a schedule that can't work: the runner that announced it says so in its log."""
    if job.schedule is None or job.retired or in_force.pause(job.change, clock.now()):
        return []
    try:
        return slots.next_slots(job.schedule, clock.now(), _NEXT)
    except slots.InvalidSchedule:
        return []


async def _change(
    log: EventLog, definition: JobDefined, wanted: ScheduleRequest, identity: Identity
) -> tuple[ScheduleChanged, int]:
    """Append the new state, made of the newest one in the stream; with its sequence."""
    subject = subjects.schedule(definition.job_type)
    request_id = f"schedule-{uuid.uuid4().hex}"
    for attempt in range(_TRIES):
        sequence, present = await _present(log, subject)
        change = _changed(definition, present, wanted, identity.by, log.clock.now())
        appended = await log.append(
            subject,
            change,
            id=f"{request_id}-{attempt}",
            expected=Expected(subject, sequence),
            about=definition.job_type,
        )
        if isinstance(appended, Appended):
            return change, appended.sequence
    raise Problem(BUSY, f"The schedule of {definition.job_type} is being changed by others: try again.")


async def _present(log: EventLog, subject: str) -> tuple[int, ScheduleChanged | None]:
    last = await log.last(subject)
    if last is None:
        return 0, None
    return last.sequence, last.data if isinstance(last.data, ScheduleChanged) else None


def _changed(
    definition: JobDefined, present: ScheduleChanged | None, wanted: ScheduleRequest, by: str, now: datetime
) -> ScheduleChanged:
    """Raises Problem for a schedule that can't work."""
    given = {name: value for name in _GIVEN if (value := getattr(wanted, name)) is not UNSET}
    if wanted.cron is not UNSET:
        given["expression"] = wanted.cron
    change = in_force.changed(present, by, **given, pause=_pause(present, wanted, by, now))
    if in_force.schedule(definition.schedule, change) is None and any(given.values()) and given.keys() - _QUEUE:
        named = ", ".join(in_force.FIELDS[name] for name, value in given.items() if value is not None)
        raise Problem(NO_SCHEDULE, f"{named}: there is no schedule to change. Send cron as well.")
    if change.expression and not change.tz and definition.schedule is None:
        change = in_force.changed(change, by, tz=_ZONE)
    _check(in_force.schedule(definition.schedule, change))
    return change


def _check(schedule: Schedule | None) -> None:
    try:
        if schedule is not None:
            slots.check(schedule.expression, schedule.tz)
    except slots.InvalidSchedule as error:
        raise invalid("cron" if error.field == "expression" else "tz", str(error).partition(": ")[2]) from error


def _pause(present: ScheduleChanged | None, wanted: ScheduleRequest, by: str, now: datetime) -> Pause | None:
    """The pause after the change: resumed, begun, kept, or with another reason or end."""
    held = in_force.pause(present, now)
    more = {
        name: value
        for name, value in (("reason", wanted.pause_reason), ("until", wanted.paused_until))
        if value is not UNSET
    }
    if wanted.paused is False or (wanted.paused is UNSET and held is None):
        if any(more.values()):
            field = "pausedUntil" if more.get("until") else "pauseReason"
            raise invalid(field, "the job is not paused; send it with paused: true")
        return None
    if isinstance(wanted.paused_until, datetime) and wanted.paused_until <= now:
        raise invalid("pausedUntil", "is in the past")
    return msgspec.structs.replace(held or Pause(by=by), **more)
