"""Events in words, for a line each."""

from collections.abc import Mapping
from typing import Any, assert_never

import msgspec
from kronik.events import (
    TYPE_OF,
    Abandoned,
    AnyEvent,
    BadTrigger,
    Cancelled,
    CancelRequested,
    Completed,
    Failed,
    JobDefined,
    Recorded,
    Retrying,
    ScheduleChanged,
    ServiceChanged,
    SlotSkipped,
    Started,
    Triggered,
    Unknown,
)
from msgspec import Struct

from services.cli.terminal import instant


class Words(Struct, frozen=True):
    """What happened, and the particulars. style: a colour for the first."""

    name: str
    details: str = ""
    style: str = ""


def words(data: AnyEvent | Unknown | BadTrigger) -> Words:
    match data:
        case Triggered():
            return Words("triggered", _triggered(data), "blue")
        case BadTrigger():
            return Words("bad trigger", data.problem, "red")
        case Started():
            return Words("started", f"attempt {data.attempt} by {data.incarnation}", "cyan")
        case Retrying():
            details = f"attempt {data.attempt}: {data.error_type}: {data.error}; next at {instant(data.retry_at)}"
            return Words("retrying", details, "yellow")
        case Abandoned():
            return Words("abandoned", f"attempt {data.attempt} {data.reason} {data.detail}".rstrip(), "yellow")
        case CancelRequested():
            return Words("cancel requested", f"by {data.by}", "magenta")
        case Completed():
            warnings = f" with {data.warning_count} warnings" if data.warning_count else ""
            return Words(f"completed{warnings}", _json(data.result), "yellow" if data.warning_count else "green")
        case Failed():
            return Words("failed", f"{data.error_type}: {data.error}", "red")
        case Cancelled():
            return Words("cancelled", f"by {data.by}", "magenta")
        case SlotSkipped():
            return Words(f"slot {data.outcome}", f"{instant(data.scheduled_for)}: {data.reason}", "yellow")
        case JobDefined():
            return Words("job defined", data.schedule.expression if data.schedule else "no schedule", "blue")
        case ScheduleChanged():
            return Words("schedule changed", _schedule(data), "blue")
        case ServiceChanged():
            return Words("service removed" if data.removed else "service changed", _granted(data), "blue")
        case Unknown():
            return Words(data.type, _json(data.data))
        case _:
            assert_never(data)


def _triggered(data: Triggered) -> str:
    parts = {
        "for": instant(data.scheduled_for) if data.scheduled_for else None,
        "rerun of": data.rerun_of,
        "user": data.user_id,
        "params": _json(data.params) if data.params else None,
    }
    return ", ".join(f"{name} {value}" for name, value in parts.items() if value is not None)


def _schedule(data: ScheduleChanged) -> str:
    state = "paused" if data.paused else "not paused"
    schedule = f"{data.schedule.expression} {data.schedule.tz}" if data.schedule else "the job's own"
    return f"{state}, {schedule}, by {data.by}"


def _granted(data: ServiceChanged) -> str:
    return "" if data.removed else "any number of runs" if data.queue is None else f"{data.queue} runs waiting at most"


def _json(value: Mapping[str, Any] | None) -> str:
    return "" if value is None else msgspec.json.encode(value).decode()


class Line(Struct, frozen=True, rename="camel"):
    """An event as `--json` prints it."""

    sequence: int
    time: Any
    subject: str
    id: str
    type: str
    data: Any


def as_json(recorded: Recorded) -> Line:
    match recorded.data:
        case Unknown(type=kind, data=body):
            pass
        case BadTrigger() as body:
            kind = TYPE_OF[Triggered]
        case body:
            kind = TYPE_OF[type(body)]
    return Line(recorded.sequence, recorded.time, recorded.subject, recorded.id, kind, body)
