"""The life of a run: one fold and one set of decisions, used by the projector, the runner, verify and the tests.

    queued ──started──▶ executing ──completed | failed | cancelled──▶ finished
                          │   ▲                                         ▲
          retrying | abandoned │ started                                │
                          ▼   │                                         │
                        retrying ─────────failed | cancelled────────────┘

`evolve` folds an event into a run; the `decide_…` functions say which event comes next. Nothing
here does I/O or reads a clock. Who may append is settled by the stream: every event of a run is
appended expecting the run to be as it was read, so the loser of a race reads again and decides again.
The first terminal event in stream order wins; whatever else arrives is ignored and counted.
"""

from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeGuard, assert_never

from msgspec import Struct
from msgspec.structs import replace

from kronik import subjects
from kronik.envelope import Instant
from kronik.events import (
    RUN_EVENT_NAME,
    Abandoned,
    BadTrigger,
    Cancelled,
    CancelRequested,
    Completed,
    Failed,
    Recorded,
    Retrying,
    RetryPolicy,
    RunEvent,
    Started,
    Triggered,
    Warning,
)
from kronik.text import clean, clean_traceback

Phase = Literal["queued", "executing", "retrying", "finished"]
Status = Literal["RUNNING", "SUCCESS", "PARTIAL", "FAILED"]


class Run(Struct, frozen=True, kw_only=True):
    """A run as its events tell it.

    id: the trigger's sequence. token: the sequence of the latest `started`, 0 before the first.
    version: the sequence of the run's latest event, 0 before the first: what an append expects.
    attempt: the latest attempt, from 1; 0 before the first. failures: attempts that count against the policy.
    lost: attempts whose process died, hung or was cut off: whose doing that was is not known.
    traceback: where `error` came from, as the last attempt told it; None where it told nothing.
    problem: why the trigger can't run, for a trigger that is malformed; none once an attempt has begun.
    ignored: events that came after the end or out of turn; anything but 0 is a defect.
    correlation_id, traceparent: the trigger's; every event of the run carries them on.
    """

    id: int
    job_type: str
    origin: str
    triggered_by: str
    triggered_at: Instant
    params: dict[str, Any]
    problem: str | None = None
    scheduled_for: Instant | None = None
    rerun_of: int | None = None
    phase: Phase = "queued"
    status: Status = "RUNNING"
    version: int = 0
    token: int = 0
    attempt: int = 0
    failures: int = 0
    lost: int = 0
    incarnation: str | None = None
    timeout_ms: int = 0
    started_at: Instant | None = None
    attempt_at: Instant | None = None
    retry_at: Instant | None = None
    completed_at: Instant | None = None
    result: dict[str, Any] | None = None
    error: str | None = None
    traceback: str | None = None
    warnings: tuple[Warning, ...] = ()
    warning_count: int = 0
    cancel_requested_by: str | None = None
    cancelled_by: str | None = None
    ignored: int = 0
    correlation_id: str | None = None
    traceparent: str | None = None

    @property
    def finished(self) -> bool:
        return self.phase == "finished"

    @property
    def duration_ms(self) -> int | None:
        """From the first attempt's start (the trigger, where none started) to the end, never negative."""
        if self.completed_at is None:
            return None
        return max(0, round((self.completed_at - (self.started_at or self.triggered_at)) / _MILLISECOND))


_NOTHING_ASKED: Final = Triggered()
_MILLISECOND: Final = timedelta(milliseconds=1)


def begin(recorded: Recorded, place: subjects.TriggerSubject) -> Run:
    """The run that a trigger asks for."""
    match recorded.data:
        case Triggered() as trigger:
            user_id, problem = trigger.user_id, None
        case BadTrigger(problem, user_id, asked):
            trigger, problem = asked or _NOTHING_ASKED, clean(problem)
        case _:
            trigger, user_id, problem = _NOTHING_ASKED, None, None
    return Run(
        id=recorded.sequence,
        job_type=place.job_type,
        origin=place.origin,
        triggered_by=subjects.triggered_by(place.origin, clean(user_id, 64) if user_id else "unknown"),
        triggered_at=recorded.time,
        params=trigger.params,
        problem=problem,
        scheduled_for=trigger.scheduled_for,
        rerun_of=trigger.rerun_of,
        correlation_id=recorded.correlation_id,
        traceparent=recorded.traceparent,
    )


def evolve(run: Run, recorded: Recorded) -> Run:
    """The run after one more event of its own."""
    event, version, time = recorded.data, recorded.sequence, recorded.time
    if not _is_of_a_run(event):
        return replace(run, version=version)
    if run.phase == "finished" or not _in_turn(run, event):
        return replace(run, version=version, ignored=run.ignored + 1)
    match event:
        case Started():
            return replace(
                run,
                phase="executing",
                version=version,
                token=version,
                attempt=event.attempt,
                incarnation=event.incarnation,
                timeout_ms=event.timeout_ms,
                started_at=run.started_at or time,
                attempt_at=time,
                retry_at=None,
                problem=None,
            )
        case Completed():
            return replace(
                run,
                phase="finished",
                status="PARTIAL" if event.warning_count or event.warnings else "SUCCESS",
                version=version,
                completed_at=time,
                result=event.result,
                error=None,
                traceback=None,
                warnings=event.warnings,
                warning_count=max(event.warning_count, len(event.warnings)),
            )
        case Retrying():
            return replace(
                run,
                phase="retrying",
                version=version,
                failures=run.failures + 1,
                retry_at=_retry_at(event, time),
                error=clean(event.error),
                traceback=clean_traceback(event.traceback),
            )
        case Abandoned(reason="drained"):
            return replace(run, phase="retrying", version=version)
        case Abandoned():
            blameless = event.reason == "lost"
            return replace(
                run,
                phase="retrying",
                version=version,
                failures=run.failures + (not blameless),
                lost=run.lost + blameless,
                error=clean(event.detail) or run.error,
                traceback=clean_traceback(event.traceback),
            )
        case CancelRequested():
            return replace(run, version=version, cancel_requested_by=event.by)
        case Failed():
            return _failed(replace(run, traceback=clean_traceback(event.traceback)), recorded, clean(event.error), None)
        case Cancelled():
            return _failed(replace(run, traceback=None), recorded, f"Cancelled by {event.by}", event.by)
        case _:
            assert_never(event)


def _is_of_a_run(event: object) -> TypeGuard[RunEvent]:
    """isinstance asks each of the seven, and is asked a million times."""
    return type(event) in RUN_EVENT_NAME


def _retry_at(event: Retrying, stored_at: datetime) -> datetime:
    """By the stream's clock: a writer whose clock was two days ahead must not keep its run waiting for two days."""
    return event.retry_at if event.wait_ms is None else stored_at + timedelta(milliseconds=event.wait_ms)


def _failed(run: Run, recorded: Recorded, error: str, cancelled_by: str | None) -> Run:
    return replace(
        run,
        phase="finished",
        status="FAILED",
        version=recorded.sequence,
        completed_at=recorded.time,
        retry_at=None,
        error=error,
        cancelled_by=cancelled_by,
    )


def _in_turn(run: Run, event: RunEvent) -> bool:
    """Whether the event can follow what has happened; one that can't is from a stale writer."""
    match event:
        case Started():
            return run.phase != "executing" and event.attempt == run.attempt + 1
        case Completed() | Retrying() | Abandoned():
            return run.phase == "executing" and event.attempt == run.attempt
        case CancelRequested():
            return run.cancel_requested_by is None
        case Failed() | Cancelled():
            return event.attempt == run.attempt
        case _:
            assert_never(event)


LOST_FOR_NOTHING: Final = 10
"""Attempts of a run that may be lost before they count as its own failures.

A process that dies takes all its runs' attempts, and nothing tells which of them killed it. Runners perform what was
lost once in a process of its own: if it kills that, it is known for certain, and counts at once.
"""


class Wait(Struct, frozen=True):
    """Nothing to append yet: come back at `until`."""

    until: datetime


class Done(Struct, frozen=True):
    """The run is finished: only its delivery is left to acknowledge."""


def decide_delivery(
    run: Run, *, incarnation: str, policy: RetryPolicy, timeout_ms: int, now: datetime
) -> Started | Abandoned | Failed | Cancelled | Wait | Done:
    """What a runner does with a run that was delivered to it and that it does not already hold.

    After appending Abandoned it folds and decides again; every other event is the last of this delivery.
    """
    if run.phase == "finished":
        return Done()
    if run.phase == "executing":
        return Abandoned(attempt=run.attempt, reason="lost", detail=f"runner {run.incarnation} stopped answering")
    if run.cancel_requested_by is not None:
        return Cancelled(attempt=run.attempt, by=run.cancel_requested_by)
    if run.problem is not None:
        return Failed(attempt=run.attempt, error=run.problem, error_type="InvalidTrigger")
    if _counted(run) >= policy.attempts:
        return _exhausted(run)
    if run.retry_at is not None and run.retry_at > now:
        return Wait(run.retry_at)
    return Started(attempt=run.attempt + 1, incarnation=incarnation, timeout_ms=timeout_ms)


def _counted(run: Run) -> int:
    return run.failures + max(0, run.lost - LOST_FOR_NOTHING)


def _exhausted(run: Run) -> Failed:
    tries = "its only attempt" if run.attempt == 1 else f"{run.attempt} attempts"
    why = run.error or "each time its runner died, hung or was cut off before the job ended"
    return Failed(
        attempt=run.attempt,
        error=f"Gave up after {tries}: {why}",
        error_type="AttemptsExhausted",
        traceback=run.traceback,
    )


def decide_error(
    run: Run,
    *,
    error: str,
    error_type: str,
    permanent: bool,
    policy: RetryPolicy,
    now: datetime,
    jitter: float,
    traceback: str | None = None,
) -> Retrying | Failed:
    """What follows an attempt that raised. jitter: 0 to 1, how much of the extra quarter to wait."""
    if permanent or _counted(run) + 1 >= policy.attempts:
        return Failed(attempt=run.attempt, error=error, error_type=error_type, traceback=traceback)
    wait_ms = backoff_ms(policy, run.failures + 1, jitter)
    return Retrying(
        attempt=run.attempt,
        error=error,
        error_type=error_type,
        retry_at=now + timedelta(milliseconds=wait_ms),
        wait_ms=wait_ms,
        traceback=traceback,
    )


def backoff_ms(policy: RetryPolicy, failures: int, jitter: float) -> int:
    """The pause after the n-th failure: doubled each time, bounded, and up to a quarter more."""
    doubled = min(policy.max_wait_ms, policy.wait_ms << min(failures - 1, 40))
    return round(doubled * (1 + jitter / 4))


def decide_cancel(run: Run, *, by: str) -> CancelRequested | Done:
    """What follows an admin's wish to stop the run. Done: it is over, or somebody asked already."""
    if run.finished or run.cancel_requested_by is not None:
        return Done()
    return CancelRequested(by=by)


def holds(run: Run, token: int) -> bool:
    """Whether the attempt with this fencing token may still write: nobody ended or replaced it."""
    return run.phase == "executing" and run.token == token
