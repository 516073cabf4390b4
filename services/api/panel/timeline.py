"""A run's events, told one by one. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import assert_never

from kronik.events import (
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

from services.api.panel.language import Language
from services.api.panel.moments import clock
from services.api.panel.presentation import Tone, When, when, who


class Moment(Struct, frozen=True):
    """One event. text: what happened, in a line; detail: what more it says."""

    sequence: int
    clock: str
    when: When
    text: str
    detail: str = ""
    tone: Tone | None = None


def timeline(events: Iterable[Recorded], triggered_by: str, now: datetime, language: Language) -> list[Moment]:
    """In the order of the stream, the trigger first."""
    return [_moment(recorded, triggered_by, now, language) for recorded in events]


def _moment(recorded: Recorded, triggered_by: str, now: datetime, language: Language) -> Moment:
    text, detail, tone = _told(recorded.data, triggered_by, language)
    at = when(recorded.time, now, language)
    return Moment(recorded.sequence, clock(recorded.time), at, text, detail, tone)


Told = tuple[str, str, Tone | None]


def _told(event: AnyEvent | Unknown | BadTrigger, triggered_by: str, language: Language) -> Told:
    say = language.text
    match event:
        case Triggered():
            return say("Triggered: %(who)s") % {"who": who(triggered_by, language)}, "", None
        case BadTrigger():
            return say("Triggered, but it can't be understood"), event.problem, "error"
        case Started():
            return say("Attempt %(n)d started") % {"n": event.attempt}, event.incarnation, "info"
        case Retrying():
            return say("Attempt %(n)d failed") % {"n": event.attempt}, _next(event, language), "warning"
        case Abandoned():
            return say("Attempt %(n)d was abandoned") % {"n": event.attempt}, _abandoned(event, language), "warning"
        case CancelRequested():
            return say("Asked to stop: %(who)s") % {"who": who(event.by, language)}, "", None
        case Completed():
            return _completed(event, language)
        case Failed():
            return say("Failed"), event.error, "error"
        case Cancelled():
            return say("Cancelled"), "", "error"
        case Unknown():
            return event.type, say("This version does not know this kind of event."), None
        case SlotSkipped() | JobDefined() | ScheduleChanged() | ServiceChanged():
            return type(event).__name__, "", None  # no subject of a run can hold one
        case _:
            assert_never(event)


def _completed(event: Completed, language: Language) -> Told:
    warnings = max(event.warning_count, len(event.warnings))
    if not warnings:
        return language.text("Completed"), "", "success"
    return language.text("Partial failure"), language.count("%(n)d warning", "%(n)d warnings", warnings), "warning"


def _next(event: Retrying, language: Language) -> str:
    label = language.text("Next attempt")
    return f"{event.error}\n{label} {clock(event.retry_at)}"


def _abandoned(event: Abandoned, language: Language) -> str:
    match event.reason:
        case "lost":
            why = language.text("Its runner stopped answering.")
        case "drained":
            why = language.text("Its runner was shut down; this does not count as a failure.")
        case "timeout":
            why = language.text("The job did not stop in time.")
        case _:
            assert_never(event.reason)
    return f"{why}\n{event.detail}" if event.detail else why
