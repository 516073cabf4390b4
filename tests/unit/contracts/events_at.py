"""What the tests of the contracts say their given and when in: runs, and events at a sequence and a second."""

from datetime import UTC, datetime, timedelta

from kronik import subjects
from kronik.events import (
    Abandoned,
    AnyEvent,
    BadTrigger,
    Cancelled,
    CancelRequested,
    Completed,
    Failed,
    Recorded,
    Retrying,
    RetryPolicy,
    Started,
    Triggered,
    Unknown,
    Warning,
)
from kronik.run import Run, begin, evolve

T0 = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
POLICY = RetryPolicy(attempts=3, wait_ms=5_000, max_wait_ms=300_000)
RUN_ID = 12


def at(second: float) -> datetime:
    return T0 + timedelta(seconds=second)


def recorded(event: AnyEvent | Unknown | BadTrigger, sequence: int) -> Recorded:
    """Stored as many seconds after T0 as its sequence is after the trigger's."""
    return Recorded(sequence, "the subject is not looked at", at(sequence - RUN_ID), f"event-{sequence}", event)


NOTHING_ASKED = Triggered()


def queued(trigger: Triggered | BadTrigger = NOTHING_ASKED, origin: str = "cron") -> Run:
    return begin(recorded(trigger, RUN_ID), subjects.TriggerSubject("DAILY_MAINTENANCE", origin))


def after(*events: AnyEvent | Unknown, run: Run | None = None) -> Run:
    """The run (a queued one) after these events, each a second after the one before."""
    run = run or queued()
    for event in events:
        run = evolve(run, recorded(event, max(run.version, RUN_ID) + 1))
    return run


def started(attempt: int = 1, incarnation: str = "host-1") -> Started:
    return Started(attempt=attempt, incarnation=incarnation, timeout_ms=60_000)


def retrying(attempt: int = 1, error: str = "the oven is cold", second: float = 60) -> Retrying:
    return Retrying(attempt=attempt, error=error, error_type="OvenError", retry_at=at(second))


def lost(attempt: int = 1, detail: str = "runner host-1 stopped answering") -> Abandoned:
    return Abandoned(attempt=attempt, reason="lost", detail=detail)


def ignored(attempt: int = 1) -> Abandoned:
    return Abandoned(attempt=attempt, reason="timeout")


def drained(attempt: int = 1) -> Abandoned:
    return Abandoned(attempt=attempt, reason="drained", detail="a deploy")


def completed(attempt: int = 1, warnings: int = 0) -> Completed:
    listed = tuple(Warning(text=f"warning {n}") for n in range(min(warnings, 100)))
    return Completed(attempt=attempt, result={"closed": 45}, warnings=listed, warning_count=warnings)


def failed(attempt: int = 1, error: str = "no flour") -> Failed:
    return Failed(attempt=attempt, error=error, error_type="OutOfFlour")


def cancel_requested(by: str = "ADMIN:7") -> CancelRequested:
    return CancelRequested(by=by)


def cancelled(attempt: int = 1, by: str = "ADMIN:7") -> Cancelled:
    return Cancelled(attempt=attempt, by=by)
