"""Changing when a job runs by itself: field by field, paused, resumed. Its plan shows the slots that follow from it."""

import re
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from kronik import in_force, subjects
from kronik.events import JobDefined, Pause, Schedule, ScheduleChanged
from kronik.schedule import QUEUE_LIMIT, CatchUp, Overlap, WhenFull
from msgspec import UNSET, Meta, Struct, UnsetType

from services.api.access.store import Identity
from services.api.commands.plan import Plan
from services.api.history.queries import DefinedJob
from services.api.past import History
from services.api.problems import BUSY, INVALID, NO_SCHEDULE, NOT_NOW, UNFIT_SCHEDULE, Problem, invalid, nul_in, refuse
from services.infra import slots
from services.infra.schedule_words import in_words
from services.log.append import Appended, EventLog, Expected

_SHOWN = 10
_TRIES = 5
_ZONE = "Europe/Copenhagen"
_QUEUE = {"max_queued", "when_full"}
_GIVEN = ("tz", "catch_up", "overlap", "deadline_ms", *sorted(_QUEUE))

_WRITTEN = re.compile("^ *[0-9A-Za-z*/,#-]+( +[0-9A-Za-z*/,#-]+){4} *$")

# Shown alone: `slots.check` refuses the same, and says why in words. Litestar takes keywords from `extra`.
_CRON: dict[str, Any] = {
    "description": "minute hour day-of-month month weekday, each within its limits; 409 for what can't be a schedule",
    "extra": {"pattern": _WRITTEN.pattern},
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


Verb = Literal["schedule", "pause", "resume"]


async def plan(past: History, job: DefinedJob, wanted: ScheduleRequest, by: str, command: Verb = "schedule") -> Plan:
    """What the slots would be, and which of those to come would not fire any more. Raises Problem as apply() does."""
    definition, now = job.definition, past.log.clock.now()
    _, present = await _present(past.log, subjects.schedule(definition.job_type))
    change = _changed(definition, present, wanted, by, now)
    before, after = next_slots(definition, present, now), next_slots(definition, change, now)
    schedule = in_force.schedule(definition.schedule, change)
    return Plan(
        command=command,
        does=_does(command, definition.job_type, change, schedule, now),
        job_type=definition.job_type,
        next_slots=after,
        skips=[one for one in before if one not in after and (len(after) < _SHOWN or one < after[-1])],
        notes=["It is retired: no slot of it fires."] if job.retired else [],
    )


async def apply(past: History, job: DefinedJob, wanted: ScheduleRequest, identity: Identity) -> ScheduleChanged:
    """Append the new state; it is in the history when this returns, as a rule. Raises Problem, LogUnavailable."""
    definition = job.definition
    change, sequence = await append(
        past.log,
        definition.job_type,
        lambda present: _changed(definition, present, wanted, identity.by, past.log.clock.now()),
    )
    await past.changes.reached(past.pool, sequence)
    return change


async def append(
    log: EventLog, job_type: str, changed: Callable[[ScheduleChanged | None], ScheduleChanged]
) -> tuple[ScheduleChanged, int]:
    """Append what `changed` makes of the newest state in the stream; with its sequence. Raises Problem."""
    subject = subjects.schedule(job_type)
    request_id = f"schedule-{uuid.uuid4().hex}"
    for attempt in range(_TRIES):
        sequence, present = await _present(log, subject)
        change = changed(present)
        appended = await log.append(
            subject, change, id=f"{request_id}-{attempt}", expected=Expected(subject, sequence), about=job_type
        )
        if isinstance(appended, Appended):
            return change, appended.sequence
    raise Problem(BUSY, f"The schedule of {job_type} is being changed by others: try again.")


def _does(command: Verb, job_type: str, change: ScheduleChanged, schedule: Schedule | None, now: datetime) -> str:
    pause = in_force.pause(change, now)
    if pause is not None:
        until = f" until {pause.until:%Y-%m-%d %H:%M} UTC" if pause.until else " until somebody resumes it"
        return f"{job_type} is paused{until}"
    resumed = "resumes: it " if command == "resume" else ""
    return (
        f"{job_type} {resumed}runs {in_words(schedule, 'en')}"
        if schedule
        else f"{job_type} {resumed}runs by hand alone"
    )


def next_slots(
    definition: JobDefined, change: ScheduleChanged | None, now: datetime, count: int = _SHOWN
) -> list[datetime]:
    """The next ones that fire under this change. None for a schedule that can't work: its runner's log says so."""
    schedule, pause = in_force.schedule(definition.schedule, change), in_force.pause(change, now)
    if schedule is None or (pause is not None and pause.until is None):
        return []
    since = max(now, pause.until) if pause and pause.until else now
    try:
        return slots.next_slots(schedule, since, count)
    except slots.InvalidSchedule:
        return []


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
        problem = str(error).partition(": ")[2]
        if error.field == "tz":
            raise invalid("tz", problem) from error
        kind = UNFIT_SCHEDULE if _WRITTEN.fullmatch(schedule.expression if schedule else "") else INVALID
        raise invalid("cron", problem, kind) from error


def _pause(present: ScheduleChanged | None, wanted: ScheduleRequest, by: str, now: datetime) -> Pause | None:
    """The pause after the change: resumed, begun, kept, or with another reason or end."""
    refuse(nul_in("pauseReason", wanted.pause_reason))
    held = in_force.pause(present, now)
    more = {
        name: value
        for name, value in (("reason", wanted.pause_reason), ("until", wanted.paused_until))
        if value is not UNSET
    }
    if wanted.paused is False or (wanted.paused is UNSET and held is None):
        if any(more.values()):
            field = "pausedUntil" if more.get("until") else "pauseReason"
            raise invalid(field, "the job is not paused; send it with paused: true", NOT_NOW)
        return None
    if isinstance(wanted.paused_until, datetime) and wanted.paused_until <= now:
        raise invalid("pausedUntil", "is in the past", NOT_NOW)
    return msgspec.structs.replace(held or Pause(by=by), **more)
