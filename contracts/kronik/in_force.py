"""What holds for a job: what its code says, with what an admin changed of it, field by field. Pure."""

from datetime import datetime
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from kronik.events import JobDefined, Pause, Schedule, ScheduleChanged
from kronik.schedule import WhenFull

FIELDS: Final = {
    "expression": "expression",
    "tz": "tz",
    "catch_up": "catchUp",
    "overlap": "overlap",
    "deadline_ms": "deadlineMs",
    "max_queued": "maxQueued",
    "when_full": "whenFull",
}
"""What an admin can change, each with its name in JSON."""

CODE: Final = "code"
"""Where a field comes from that nobody changed."""

_POLICIES: Final = ("tz", "catch_up", "overlap")
_ZONE: Final = "UTC"


class QueueLimit(Struct, frozen=True):
    """How many runs of a job may wait, and what becomes of one more."""

    runs: int
    when_full: WhenFull


def schedule(own: Schedule | None, change: ScheduleChanged | None) -> Schedule | None:
    """The schedule that holds; None: the job runs by hand alone."""
    if change is None:
        return own
    expression = change.expression or (own.expression if own else None)
    if expression is None:
        return None
    base = replace(own, expression=expression) if own else Schedule(expression=expression, tz=_ZONE)
    given: dict[str, Any] = {name: value for name in _POLICIES if (value := getattr(change, name)) is not None}
    if change.deadline_ms is not None:
        given["deadline_ms"] = change.deadline_ms or None
    return replace(base, **given)


def queue_limit(definition: JobDefined, change: ScheduleChanged | None) -> QueueLimit | None:
    """How many of the job's runs may wait; None: any number."""
    runs = change.max_queued if change and change.max_queued is not None else definition.max_queued
    when_full = (change and change.when_full) or definition.when_full
    return QueueLimit(runs, when_full) if runs else None


def pause(change: ScheduleChanged | None, now: datetime) -> Pause | None:
    """The pause that holds at this instant. It keeps slots from starting runs; what is queued already still runs."""
    return holding(change.pause if change else None, now)


def holding(pause: Pause | None, now: datetime) -> Pause | None:
    """The pause, unless it has ended by itself."""
    return pause if pause and (pause.until is None or now < pause.until) else None


def came_from(change: ScheduleChanged | None) -> dict[str, str]:
    """Of each field, by its name in JSON, whom it comes from: `code`, or who gave it."""
    given = change.given_by if change else {}
    return {
        shown: given.get(shown, change.by) if change and getattr(change, name) is not None else CODE
        for name, shown in FIELDS.items()
    }


def changed(present: ScheduleChanged | None, by: str, **fields: Any) -> ScheduleChanged:
    """The new state after `by` gave these fields; None gives one back to the code, and what is not named stays.

    Besides those in FIELDS, `pause` and `retired` can be named.
    """
    base = present or ScheduleChanged(by=by)
    given_by = {shown: who for shown, who in base.given_by.items() if shown not in map(FIELDS.get, fields)}
    given_by |= {FIELDS[name]: by for name, value in fields.items() if name in FIELDS and value is not None}
    return replace(base, by=by, given_by=given_by, **fields)


def is_retired(defined_at: int, changed_at: int, change: ScheduleChanged | None) -> bool:
    """Whether the job is out of use, by the sequences of its newest definition and its newest change."""
    return change is not None and change.retired is not None and changed_at > defined_at
