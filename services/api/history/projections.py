"""What the stream's events become in the read model: pure, and the one place where a run meets its row.

The projector, the rebuild and verify all fold with `Fold` and write what `run_row` makes of it, so their
tables are equal byte for byte. An event at or before its run's version is already in the row and changes
nothing: projecting twice is projecting once.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import msgspec
from kronik import subjects
from kronik.errors import InvalidEvent
from kronik.events import (
    BadTrigger,
    JobDefined,
    Recorded,
    ScheduleChanged,
    ServiceChanged,
    SlotFired,
    SlotSkipped,
    Triggered,
    TriggerRefused,
    Unknown,
    Warning,
)
from kronik.run import Run, begin, evolve
from kronik.text import clean
from msgspec import Struct

from services.log.event_reader import Stored

IDEMPOTENT: Final = "idempotent-"
"""How the ids of triggers begin that were sent with an Idempotency-Key."""

RUN_COLUMNS: Final = (
    *("id", "job_type", "status", "started_at", "completed_at", "duration_ms", "result_summary", "error_message"),
    *("triggered_by", "phase", "attempt", "failures", "triggered_at", "attempt_at", "retry_at", "scheduled_for"),
    *("rerun_of", "params_json", "warnings_json", "warning_count", "cancel_requested_by", "cancelled_by", "origin"),
    *("problem", "version", "token", "incarnation", "timeout_ms", "ignored"),
)
JOB_COLUMNS: Final = ("job_type", "sequence", "definition_json")
SCHEDULE_COLUMNS: Final = ("job_type", "sequence", "changed_at", "change_json")
SLOT_COLUMNS: Final = ("sequence", "job_type", "scheduled_for", "outcome", "reason", "recorded_at")
PARKED_COLUMNS: Final = ("sequence", "subject", "time", "problem", "excerpt")
IDEMPOTENCY_COLUMNS: Final = ("event_id", "run_id")

Row = tuple[Any, ...]


class NamedRow(Protocol):
    """A row by column name: asyncpg's Record, or a dict."""

    def __getitem__(self, key: str, /) -> Any: ...


_EXCERPT = 500
_INT8 = 2**63 - 1
_UNCUT = 2**31
_encode: Final = msgspec.json.Encoder().encode
_params: Final = msgspec.json.Decoder(dict[str, Any])
_warnings: Final = msgspec.json.Decoder(tuple[Warning, ...])
_DEEP: Final = '{"kronik":"nested too deeply to be shown"}'
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_LATEST: Final = datetime.max.replace(tzinfo=UTC)


class Parked(Struct, frozen=True):
    """A message that can't be projected, kept for people to look at. problem: why, in words."""

    sequence: int
    subject: str
    time: datetime
    problem: str
    excerpt: str


class Checkpoint(Struct, frozen=True):
    """The last event that is in the read model; (0, "") before the first."""

    sequence: int
    event_id: str


START: Final = Checkpoint(0, "")


def read(stored: Stored) -> Recorded | Parked:
    """The event, or why it is none. Whatever decoding raises: history never stops for one bad message."""
    try:
        return stored.decode()
    except Exception as error:
        return park(stored, str(error) or type(error).__name__)


def park(stored: Stored, problem: str) -> Parked:
    excerpt = stored.body[:_EXCERPT].decode("utf-8", "replace")
    return Parked(stored.sequence, clean(stored.subject, 500), stored.time, clean(problem, 1000), clean(excerpt))


def position(event: Recorded | Parked) -> Checkpoint:
    """Names one message even in a stream that was restored: a message that can't be read is named by its time."""
    if isinstance(event, Parked):
        return Checkpoint(event.sequence, f"{event.sequence}@{event.time.isoformat()}")
    return Checkpoint(event.sequence, clean(event.id))


def run_id_in(subject: str) -> int:
    """From a run event's subject that has been read."""
    return int(subject.split(".", 4)[3])


def run_id_of(event: Recorded | Parked) -> int | None:
    """The run that this event continues; None for a trigger and for everything that is not about a run."""
    if isinstance(event, Parked) or not event.subject.startswith("jobs.run."):
        return None
    return run_id_in(event.subject)


class Fold:
    """Runs by id, folded event by event, and the rows that the events of other kinds become.

    A run that began before the first event taken must be put into `runs` beforehand; its events
    are parked otherwise. `changed` names the runs whose rows are to be written.
    """

    def __init__(self, runs: dict[int, Run] | None = None) -> None:
        self.runs: dict[int, Run] = {} if runs is None else runs
        self.changed: set[int] = set()
        self.jobs: dict[str, Row] = {}
        self.schedules: dict[str, Row] = {}
        self.slots: list[Row] = []
        self.parked: list[Row] = []
        self.keys: list[Row] = []

    def take(self, stored: Stored, event: Recorded | Parked) -> None:
        """Fold whatever this is; what can't be folded is parked."""
        if isinstance(event, Parked):
            self.parked.append(parked_row(event))
        elif (run_id := run_id_of(event)) is not None:
            self.go_on(stored, run_id, event)
        else:
            try:
                self._take(event)
            except Exception as error:
                self._park(stored, error)

    def go_on(self, stored: Stored, run_id: int, event: Recorded) -> None:
        """Fold an event of this run."""
        try:
            self._go_on(run_id, event)
        except Exception as error:
            self._park(stored, error)

    def _park(self, stored: Stored, error: Exception) -> None:
        self.parked.append(parked_row(park(stored, str(error) or type(error).__name__)))

    def _take(self, event: Recorded) -> None:
        match event.data:
            case Triggered() | BadTrigger():
                self._begin(event)
            case SlotSkipped() as slot:
                self.slots.append(_slot_row(event, slot))
            case JobDefined() as job:
                self.jobs[job.job_type] = (job.job_type, event.sequence, _json(job))
            case ScheduleChanged() as change:
                job_type = _job_type(event)
                self.schedules[job_type] = (job_type, event.sequence, event.time, _json(change))
            case SlotFired() | TriggerRefused() | ServiceChanged():
                pass  # a slot that fired is shown by its run; the others are no history of runs
            case Unknown(type=kind):
                raise InvalidEvent(f"type {kind[:80]!r} is not known to this version of Kronik")
            case _:
                raise InvalidEvent(f"{type(event.data).__name__} does not belong on {event.subject}")

    def _begin(self, event: Recorded) -> None:
        if event.sequence in self.runs:
            return
        place = subjects.parse(event.subject)
        if not isinstance(place, subjects.TriggerSubject):
            raise InvalidEvent(f"a trigger does not belong on {event.subject}")
        self.runs[event.sequence] = begin(event, place)
        self.changed.add(event.sequence)
        if event.id.startswith(IDEMPOTENT) and place.origin == subjects.ADMIN:
            self.keys.append((clean(event.id), event.sequence))

    def _go_on(self, run_id: int, event: Recorded) -> None:
        run = self.runs.get(run_id)
        if run is None or event.sequence < run_id:
            raise InvalidEvent(f"run {run_id} is not in the history: no trigger stands at sequence {run_id}")
        if not event.subject.startswith(f"jobs.run.{run.job_type}."):
            raise InvalidEvent(f"run {run_id} is one of {run.job_type}")
        if event.sequence <= run.version:
            return
        self.runs[run_id] = evolve(run, event)
        self.changed.add(run_id)


def _job_type(event: Recorded) -> str:
    return event.subject.split(".")[2]


def _slot_row(event: Recorded, slot: SlotSkipped) -> Row:
    due = _instant(slot.scheduled_for)
    return (event.sequence, _job_type(event), due, slot.outcome, clean(slot.reason), event.time)


def parked_row(parked: Parked) -> Row:
    return (parked.sequence, parked.subject, parked.time, parked.problem, parked.excerpt)


def run_row(run: Run) -> Row:
    """The run's row, in the order of RUN_COLUMNS; Postgres accepts every one of them."""
    return (
        run.id,
        run.job_type,
        run.status,
        run.started_at or run.triggered_at,
        run.completed_at,
        run.duration_ms,
        None if run.result is None else _json(run.result),
        _text(run.error or run.problem),
        _text(run.triggered_by),
        run.phase,
        min(run.attempt, _INT8),
        run.failures,
        run.triggered_at,
        run.attempt_at,
        _instant(run.retry_at),
        _instant(run.scheduled_for),
        _integer(run.rerun_of),
        _json(run.params) if run.params else "{}",
        _json(run.warnings) if run.warnings else "[]",
        _integer(run.warning_count),
        _text(run.cancel_requested_by),
        _text(run.cancelled_by),
        run.origin,
        _text(run.problem),
        run.version,
        run.token,
        _text(run.incarnation),
        _integer(run.timeout_ms),
        run.ignored,
    )


def run_of(row: NamedRow) -> Run:
    """The run that this row was made of, ready to be folded on."""
    error, problem = row["error_message"], row["problem"]
    return Run(
        id=row["id"],
        job_type=row["job_type"],
        origin=row["origin"],
        triggered_by=row["triggered_by"],
        triggered_at=row["triggered_at"],
        params=_params.decode(row["params_json"]),
        problem=problem,
        scheduled_for=row["scheduled_for"],
        rerun_of=row["rerun_of"],
        phase=row["phase"],
        status=row["status"],
        version=row["version"],
        token=row["token"],
        attempt=row["attempt"],
        failures=row["failures"],
        incarnation=row["incarnation"],
        timeout_ms=row["timeout_ms"],
        started_at=row["started_at"] if row["attempt_at"] is not None else None,
        attempt_at=row["attempt_at"],
        retry_at=row["retry_at"],
        completed_at=row["completed_at"],
        result=None if row["result_summary"] is None else _params.decode(row["result_summary"]),
        error=None if problem is not None and error == problem else error,
        warnings=_warnings.decode(row["warnings_json"]),
        warning_count=row["warning_count"],
        cancel_requested_by=row["cancel_requested_by"],
        cancelled_by=row["cancelled_by"],
        ignored=row["ignored"],
    )


def changed_rows(fold: Fold) -> Iterable[Row]:
    return (run_row(fold.runs[run_id]) for run_id in sorted(fold.changed))


def _json(value: object) -> str:
    try:
        return _encode(value).decode()
    except RecursionError:
        return _DEEP


def _text(text: str | None) -> str | None:
    """Never cut: the fold has cut what is long, and a row that is read and written again must stay what it is."""
    return None if text is None else clean(text, _UNCUT)


def _integer(number: int | None) -> int | None:
    return None if number is None else max(-_INT8, min(number, _INT8))


def _instant(instant: datetime | None) -> datetime | None:
    """In UTC: an offset can push year 1 and year 9999 out of what a datetime holds."""
    if instant is None:
        return None
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        return _EARLIEST if instant.year == 1 else _LATEST
