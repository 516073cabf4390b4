"""Events in words, for the panel and the command line alike. Pure."""

from collections.abc import Mapping
from typing import Any, Final, Literal, assert_never

from kronik.events import (
    Abandoned,
    AnyEvent,
    BadTrigger,
    Cancelled,
    CancelRequested,
    Completed,
    Failed,
    JobDefined,
    Retrying,
    ScheduleChanged,
    ServiceChanged,
    SlotFired,
    SlotSkipped,
    Started,
    Triggered,
    TriggerRefused,
    Unknown,
)
from kronik.in_force import FIELDS
from msgspec import Struct

from services.words.language import marked
from services.words.sentences import known, said
from services.words.voice import Voice

Tone = Literal["success", "warning", "error", "info"]


class Told(Struct, frozen=True):
    """An event. text: what happened; detail: what more it says, in words; data: what it carries, as data."""

    text: str
    detail: str = ""
    tone: Tone | None = None
    data: Mapping[str, Any] | None = None


def told(event: AnyEvent | Unknown | BadTrigger, voice: Voice) -> Told:
    match event:
        case Triggered():
            return Told(voice.text("Asked for"), _asked(event, voice), "info", event.params or None)
        case BadTrigger():
            return Told(voice.text("Asked for, but it can't be understood"), said(event.problem, voice), "error")
        case Started():
            return Told(voice.text("Attempt %(n)d started", n=event.attempt), event.incarnation, "info")
        case Retrying():
            return Told(voice.text("Attempt %(n)d failed", n=event.attempt), _next(event, voice), "warning")
        case Abandoned():
            return Told(voice.text("Attempt %(n)d was given up", n=event.attempt), _abandoned(event, voice), "warning")
        case CancelRequested():
            return Told(voice.text("%(who)s asked for it to stop", who=voice.who(event.by)), "", "warning")
        case Completed():
            return _completed(event, voice)
        case Failed():
            return Told(voice.text("Failed"), _error(event.error_type, event.error, voice), "error")
        case Cancelled():
            return Told(voice.text("Cancelled by %(who)s", who=voice.who(event.by)), "", "error")
        case SlotFired():
            return Told(voice.text("It was time for a run"), voice.moment(event.scheduled_for), "info")
        case TriggerRefused():
            return Told(
                voice.text("%(who)s was refused a run", who=voice.who(event.by)), said(event.reason, voice), "warning"
            )
        case SlotSkipped():
            return Told(
                why_no_run(event.outcome, voice),
                f"{voice.moment(event.scheduled_for)}: {said(event.reason, voice)}",
                "warning",
            )
        case JobDefined():
            return Told(voice.text("A runner announced the job"), _cron(event.schedule), "info")
        case ScheduleChanged():
            return _schedule(event, voice)
        case ServiceChanged():
            return Told(_service(event, voice), "", "info")
        case Unknown():
            return Told(
                event.type, voice.text("This version does not know this kind of event."), None, _object(event.data)
            )
        case _:
            assert_never(event)


def _asked(event: Triggered, voice: Voice) -> str:
    parts = [
        voice.text("for %(when)s", when=voice.moment(event.scheduled_for)) if event.scheduled_for else "",
        voice.text("run %(id)d again", id=event.rerun_of) if event.rerun_of else "",
        voice.text("by %(who)s", who=voice.who(f"ADMIN:{event.user_id}")) if event.user_id else "",
    ]
    return ", ".join(filter(None, parts))


def _next(event: Retrying, voice: Voice) -> str:
    return f"{_error(event.error_type, event.error, voice)}\n{voice.text('Next attempt')} {voice.clock(event.retry_at)}"


def _error(kind: str, text: str, voice: Voice) -> str:
    """The kind in front, unless the text begins with it already, or is a sentence of our own."""
    if (ours := known(text, voice)) is not None:
        return ours
    return text if not kind or text.startswith(kind) else f"{kind}: {text}"


def _abandoned(event: Abandoned, voice: Voice) -> str:
    match event.reason:
        case "lost":
            why = voice.text("Its runner stopped answering.")
        case "drained":
            why = voice.text("Its runner was shut down; this does not count as a failure.")
        case "timeout":
            why = voice.text("The job did not stop in time.")
        case _:
            assert_never(event.reason)
    return f"{why}\n{said(event.detail, voice)}" if event.detail else why


def _completed(event: Completed, voice: Voice) -> Told:
    warnings = max(event.warning_count, len(event.warnings))
    if not warnings:
        return Told(voice.text("Completed"), "", "success", event.result)
    detail = voice.count("%(n)d warning", "%(n)d warnings", warnings)
    return Told(voice.text("Partial failure"), detail, "warning", event.result)


_NO_RUN: Final = {
    "paused": marked("The schedule was paused"),
    "missed": marked("It was too late for it"),
    "coalesced": marked("A later run did it as well"),
    "overlapped": marked("An earlier run was not finished"),
}


def why_no_run(outcome: str, voice: Voice) -> str:
    """Why a slot did not become a run, as a sentence."""
    return voice.text(_NO_RUN[outcome]) if outcome in _NO_RUN else outcome


def _schedule(event: ScheduleChanged, voice: Voice) -> Told:
    given = {shown: getattr(event, name) for name, shown in FIELDS.items()}
    said = ", ".join(f"{name} {value}" for name, value in given.items() if value is not None)
    said = said or voice.text("the job's own schedule")
    if event.retired:
        return _by(voice.text("Retired by %(who)s"), event, voice, event.retired.reason, said)
    if event.pause:
        until = voice.text("until %(when)s", when=voice.moment(event.pause.until)) if event.pause.until else None
        return _by(voice.text("Paused by %(who)s"), event, voice, event.pause.reason, until, said)
    return _by(voice.text("Schedule changed by %(who)s"), event, voice, said)


def _by(text: str, event: ScheduleChanged, voice: Voice, *details: str | None) -> Told:
    return Told(text % {"who": voice.who(event.by)}, "\n".join(filter(None, details)), "info")


def _service(event: ServiceChanged, voice: Voice) -> str:
    if event.removed:
        return voice.text("The service may ask for runs no more")
    if event.queue is None:
        return voice.text("The service may ask for runs")
    return voice.text("The service may ask for runs, %(n)d of them waiting at a time", n=event.queue)


def _cron(schedule: Any) -> str:
    return f"{schedule.expression} {schedule.tz}" if schedule else ""


def _object(data: Any) -> Mapping[str, Any] | None:
    return data if isinstance(data, dict) else None
