"""Every fact that the stream can hold, as data. `docs/events.md` explains them; `schemas/` has them as JSON Schema.

Instants are UTC, `_ms` are milliseconds; in JSON the names are camelCase.
"""

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from kronik.envelope import Instant
from kronik.schedule import CatchUp, Overlap, WhenFull
from kronik.show import Show, Text

Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Milliseconds = Annotated[int, Meta(ge=0, le=2**53)]
RetryWait = Annotated[int, Meta(ge=0, le=40 * 86_400_000)]
"""Milliseconds, 40 days at most: more than any Retry can mean, and no instant is put off the calendar by it."""
RunId = Annotated[int, Meta(ge=1, le=10**18 - 1)]
"""Bounded by what Postgres and every JSON reader can hold: an event that is read can also be stored."""


class Event(Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of all: unknown fields are ignored."""


class Triggered(Event, frozen=True, omit_defaults=True):
    """Somebody asked for a run; the sequence of this event is the run's id.

    user_id: set by the API on its own subject alone. rerun_of: the run that this one repeats.
    scheduled_for: the slot, for the scheduler's triggers.
    """

    params: dict[str, Any] = {}
    user_id: str | None = None
    scheduled_for: Instant | None = None
    rerun_of: RunId | None = None


class Started(Event, frozen=True):
    """An attempt began. The sequence of this event is the attempt's fencing token.

    incarnation: the runner process, unique to each start of it.
    """

    attempt: Count
    incarnation: str
    timeout_ms: Milliseconds


class Retrying(Event, frozen=True, omit_defaults=True):
    """The attempt failed; the next one starts at retry_at or soon after.

    wait_ms: the pause by itself: counted from when the stream stored this event it is right whatever the writer's
    clock said, and then it holds instead of retry_at. traceback: where and why, bounded.
    """

    attempt: Count
    error: str
    error_type: str
    retry_at: Instant
    wait_ms: RetryWait | None = None
    traceback: str | None = None


AbandonReason = Literal["lost", "drained", "timeout"]


class Abandoned(Event, frozen=True, omit_defaults=True):
    """The attempt ended without an outcome.

    lost: its runner died, hung or was cut off; a run's first ten don't count against the retry policy.
    drained: its runner was stopped by a deploy; does not count either. timeout: the job ignored its
    timeout or its cancellation.
    """

    attempt: Count
    reason: AbandonReason
    detail: str = ""
    traceback: str | None = None


class CancelRequested(Event, frozen=True):
    """An admin asked for the run to stop. by: `ADMIN:<userId>`."""

    by: str


class Warning(Event, frozen=True, omit_defaults=True):
    """One item that failed while the run went on. item names it."""

    text: str
    item: str | None = None


class Completed(Event, frozen=True):
    """The job returned. warnings: the first hundred; warning_count: all of them. result: a JSON object or null."""

    attempt: Count
    result: dict[str, Any] | None
    warnings: tuple[Warning, ...] = ()
    warning_count: Count = 0


class Failed(Event, frozen=True, omit_defaults=True):
    """The run ended without a result. attempt is 0 where none ever started. traceback: as in Retrying."""

    attempt: Count
    error: str
    error_type: str
    traceback: str | None = None


class Cancelled(Event, frozen=True):
    """The run was stopped because `by` asked for it."""

    attempt: Count
    by: str


SkipOutcome = Literal["coalesced", "overlapped", "missed", "paused"]
Outcome = Literal["fired", SkipOutcome]


class SlotFired(Event, frozen=True):
    """A due slot became a run. Its trigger was stored with this event, as one: neither stands without the other."""

    scheduled_for: Instant


class SlotSkipped(Event, frozen=True):
    """A due slot that did not become a run, and why, in words.

    coalesced: a later slot ran for it, or enough runs wait already. overlapped: a run of the job was still open.
    missed: too late by the job's catch-up policy, or its queue was full. paused: the schedule was paused.
    """

    scheduled_for: Instant
    outcome: SkipOutcome
    reason: str


class TriggerRefused(Event, frozen=True):
    """Somebody asked for a run and was refused: as many as the job allows waited already.

    by: `ADMIN:<userId>`. queued: the runs that waited. limit: how many may.
    """

    by: str
    reason: str
    queued: Count
    limit: Count


class Schedule(Event, frozen=True):
    """A schedule with its policies; see kronik.Cron. deadline_ms: null means none."""

    expression: str
    tz: str
    catch_up: CatchUp = "latest"
    overlap: Overlap = "queue"
    deadline_ms: Milliseconds | None = None


class RetryPolicy(Event, frozen=True):
    """See kronik.Retry. attempts counts the first one."""

    attempts: Count
    wait_ms: Milliseconds
    max_wait_ms: Milliseconds


Isolation = Literal["none", "process"]
"""Where an attempt is performed: in its runner's process, or in one of its own."""


class JobDefined(Event, frozen=True):
    """A runner knows this job. The newest one per job type holds.

    params_schema, result_schema: JSON Schema 2020-12. max_queued: how many of its runs may wait; null: any number.
    confirm: what a person is asked before the job runs by hand, per language; null: nothing.
    descriptions: what the job does, per language; for those that are not there the description says it.
    isolation: `process` where each attempt is performed in a process of its own. memory_limit: its bytes; null: none.
    """

    job_type: str
    title: Text
    description: str
    params_schema: dict[str, Any]
    result_schema: dict[str, Any]
    schedule: Schedule | None
    timeout_ms: Milliseconds
    retry: RetryPolicy
    concurrency: Count
    show: tuple[Show, ...] = ()
    max_queued: Count | None = None
    when_full: WhenFull = "refuse"
    confirm: Text | None = None
    descriptions: Text = {}
    isolation: Isolation = "none"
    memory_limit: int | None = None


class Pause(Event, frozen=True, omit_defaults=True):
    """No slot starts a run. until: when it ends by itself; null: when somebody resumes. by: null: it is not known."""

    by: str | None = None
    reason: str | None = None
    until: Instant | None = None


class Retirement(Event, frozen=True, omit_defaults=True):
    """The job is out of use: no slots, no triggers. A definition that is announced after it brings the job back."""

    by: str
    reason: str | None = None


class ScheduleChanged(Event, frozen=True, omit_defaults=True):
    """An admin paused, resumed, retired or changed a job. The whole new state: the newest one per job type holds.

    Each field stands for itself: null leaves it to the code. deadline_ms, max_queued: 0 means no limit.
    by: who made this change, `ADMIN:<userId>`. given_by: who gave each field that is not null, by its name in JSON.
    """

    by: str
    expression: str | None = None
    tz: str | None = None
    catch_up: CatchUp | None = None
    overlap: Overlap | None = None
    deadline_ms: Milliseconds | None = None
    max_queued: Count | None = None
    when_full: WhenFull | None = None
    given_by: dict[str, str] = {}
    pause: Pause | None = None
    retired: Retirement | None = None


class ServiceChanged(Event, frozen=True):
    """What Kronik grants another service; the whole new state, the newest one per service holds.

    queue: how many of its runs may wait at the same time; null: as many as it likes. removed: it may publish no more.
    """

    queue: Count | None
    removed: bool


RunEvent = Started | Retrying | Abandoned | CancelRequested | Completed | Failed | Cancelled
AnyEvent = (
    Triggered | RunEvent | SlotFired | SlotSkipped | TriggerRefused | JobDefined | ScheduleChanged | ServiceChanged
)

TYPE_OF: Final[dict[type[AnyEvent], str]] = {
    Triggered: "kronik.run.triggered.v1",
    Started: "kronik.run.started.v1",
    Retrying: "kronik.run.retrying.v1",
    Abandoned: "kronik.run.abandoned.v1",
    CancelRequested: "kronik.run.cancel_requested.v1",
    Completed: "kronik.run.completed.v1",
    Failed: "kronik.run.failed.v1",
    Cancelled: "kronik.run.cancelled.v1",
    SlotFired: "kronik.slot.fired.v1",
    SlotSkipped: "kronik.slot.skipped.v1",
    TriggerRefused: "kronik.trigger.refused.v1",
    JobDefined: "kronik.job.defined.v1",
    ScheduleChanged: "kronik.schedule.changed.v2",
    ServiceChanged: "kronik.service.changed.v1",
}

RUN_EVENT_NAME: Final[dict[type[RunEvent], str]] = {
    Started: "started",
    Retrying: "retrying",
    Abandoned: "abandoned",
    CancelRequested: "cancel_requested",
    Completed: "completed",
    Failed: "failed",
    Cancelled: "cancelled",
}
"""The last token of a run event's subject."""


class Unknown(Struct, frozen=True):
    """An event of a type that this version does not know: kept and shown, never fatal."""

    type: str
    data: Any


class BadTrigger(Struct, frozen=True):
    """A trigger whose body can't become params. Its run fails with `problem` as the error.

    asked: what it asked for, where only its size is wrong: version 0.1 took more, and ran it.
    """

    problem: str
    user_id: str | None = None
    asked: Triggered | UnsetType = UNSET


class Recorded(Struct, frozen=True):
    """An event as it stands in the stream.

    id: the envelope's; for another service's trigger its `Nats-Msg-Id`, else the envelope's, else one made of
    sequence and time, so that (sequence, id) names one message even in a restored stream.
    time: when the stream stored it. source: who wrote it, `/kronik/runner/host-1`; empty where nobody says.
    correlation_id, traceparent: of the trigger, and then of every event of its run.
    """

    sequence: int
    subject: str
    time: Instant
    id: str
    data: AnyEvent | Unknown | BadTrigger
    source: str = ""
    correlation_id: str | None = None
    traceparent: str | None = None
