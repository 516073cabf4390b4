"""What the stream's events become in the read model: pure.

The projector, the rebuild and verify all fold with `Fold` and write what `row_of` makes of it, so their
tables are equal byte for byte. An event at or before its run's version is already in the row and changes
nothing: projecting twice is projecting once.
"""

from datetime import datetime
from typing import Final, final

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
)
from kronik.run import Run, begin, evolve
from kronik.text import clean
from msgspec import Struct

from services.api.history.columns import Row, instant, json, terms_of
from services.log.stored import Position, Stored

IDEMPOTENT: Final = "idempotent-"
"""How the ids of triggers begin that were sent with an Idempotency-Key."""

_EXCERPT = 500


@final
class Parked(Struct, frozen=True):
    """A message that can't be projected, kept for people to look at. problem: why, in words."""

    sequence: int
    subject: str
    time: datetime
    problem: str
    excerpt: str


Checkpoint = Position
"""The last event that is in the read model."""


def read(stored: Stored) -> Recorded | Parked:
    """The event, or why it is none. Whatever decoding raises: history never stops for one bad message."""
    try:
        return stored.decode()
    except Exception as error:
        return park(stored, str(error) or type(error).__name__)


def park(stored: Stored, problem: str) -> Parked:
    excerpt = stored.body[:_EXCERPT].decode("utf-8", "replace")
    return Parked(stored.sequence, clean(stored.subject, 500), stored.time, clean(problem, 1000), clean(excerpt))


def run_id_of(stored: Stored) -> int | None:
    """The run that this continues, if it has been read as an event; None for a trigger and for what is of no run."""
    if stored.run is not None:
        return stored.run.run_id
    return int(stored.subject.split(".")[3]) if stored.subject.startswith("jobs.run.") else None


class Fold:
    """Runs by id, folded event by event, and the rows that the events of other kinds become.

    A run that began before the first event taken must be put into `runs` beforehand; its events
    are parked otherwise. `changed` names the runs whose rows are to be written, `known` those put in beforehand.
    """

    def __init__(self, runs: dict[int, Run] | None = None) -> None:
        self.runs: dict[int, Run] = {} if runs is None else runs
        self.known = frozenset(self.runs)
        self.changed: set[int] = set()
        self.params: list[Row] = []
        self.jobs: list[Row] = []
        self.schedules: list[Row] = []
        self.slots: list[Row] = []
        self.parked: list[Row] = []
        self.keys: list[Row] = []

    def add(self, other: "Fold") -> None:
        """What another fold has made of later events."""
        self.runs.update(other.runs)
        for name in ("params", "jobs", "schedules", "slots", "parked", "keys"):
            getattr(self, name).extend(getattr(other, name))

    def take(self, stored: Stored, event: Recorded | Parked) -> None:
        """Fold whatever this is; what can't be folded is parked."""
        if type(event) is Parked:
            self.parked.append(parked_row(event))
        elif (run_id := run_id_of(stored)) is not None:
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
                self.jobs.append((job.job_type, event.sequence, json(job)))
            case ScheduleChanged() as change:
                self.schedules.append((_job_type(event), event.sequence, event.time, json(change)))
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
        run = self.runs[event.sequence] = begin(event, place)
        self.changed.add(run.id)
        if run.params:
            self.params.extend((term, run.id) for term in terms_of(run.params))
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
    due = instant(slot.scheduled_for)
    return (event.sequence, _job_type(event), due, slot.outcome, clean(slot.reason), event.time)


def parked_row(parked: Parked) -> Row:
    return (parked.sequence, parked.subject, parked.time, parked.problem, parked.excerpt)
