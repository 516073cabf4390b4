"""The runs that have no end yet, known by subjects alone: one small entry each, gone with the run's end.

The subject says all that is needed: a trigger's sequence is its run's id, and a run event names its run
and its kind. What is kept here says where to look; what is done is decided on the run as read afresh.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from kronik import subjects
from kronik.errors import InvalidName
from msgspec import Struct

from services.log.stored import Stored


class _Latest(Struct, frozen=True):
    """A run's latest event; its trigger before there is one."""

    event: str
    sequence: int
    origin: str = ""


class Waiting(Struct, frozen=True):
    """A run that has not begun, and where its trigger came from."""

    id: int
    job_type: str
    origin: str


class OpenRuns:
    """Fed with the stream, in order; bodies are not needed. cancel_requested, asked: set by each such event,
    and by each trigger."""

    def __init__(self) -> None:
        self._runs: defaultdict[str, dict[int, _Latest]] = defaultdict(dict)
        self._cancels: defaultdict[str, set[int]] = defaultdict(set)
        self.cancel_requested = asyncio.Event()
        self.asked = asyncio.Event()

    async def take(self, batch: Sequence[Stored]) -> None:
        for stored in filter(lambda each: each.counts, batch):
            self.note(stored.subject, stored.sequence)

    def note(self, subject: str, sequence: int) -> None:
        """A subject that is not Kronik's is no run."""
        try:
            place = subjects.parse(subject)
        except InvalidName:
            return
        match place:
            case subjects.TriggerSubject(job_type=job_type, origin=origin):
                self._runs[job_type][sequence] = _Latest("triggered", sequence, origin)
                self.asked.set()
            case subjects.RunSubject() if place.run_id in self._runs[place.job_type]:
                self._on_event(place, sequence)

    def _on_event(self, place: subjects.RunSubject, sequence: int) -> None:
        if place.event in subjects.TERMINAL:
            self.forget(place.job_type, place.run_id)
        elif place.event == "cancel_requested":
            self._cancels[place.job_type].add(place.run_id)
            self.cancel_requested.set()
        else:
            self._runs[place.job_type][place.run_id] = _Latest(place.event, sequence)

    def forget(self, job_type: str, run_id: int) -> None:
        """The run has ended, or is not there any more."""
        self._runs[job_type].pop(run_id, None)
        self._cancels[job_type].discard(run_id)

    def job_types(self) -> list[str]:
        """The job types that have open runs."""
        return [job_type for job_type, runs in self._runs.items() if runs]

    def of(self, job_type: str) -> list[int]:
        """The ids of the job's open runs, the oldest first."""
        return list(self._runs.get(job_type, ()))

    def queued(self, job_type: str) -> list[int]:
        """The ids of those of the job's runs that have not begun, the oldest first."""
        return [run_id for run_id, latest in self._runs.get(job_type, {}).items() if latest.event == "triggered"]

    def waiting_of(self, job_type: str) -> list[Waiting]:
        """The job's runs that have not begun, the oldest first."""
        runs = self._runs.get(job_type, {}).items()
        return [Waiting(run_id, job_type, latest.origin) for run_id, latest in runs if latest.origin]

    def waiting(self) -> list[Waiting]:
        """The runs of all jobs that have not begun, the oldest first."""
        found = [run for job_type in self.job_types() for run in self.waiting_of(job_type)]
        return sorted(found, key=lambda run: run.id)

    def oldest_of_a_slot(self, job_type: str) -> int | None:
        """The id of the oldest of the job's runs that a slot asked for and that has not begun."""
        runs = self._runs.get(job_type, {}).items()
        return next((run_id for run_id, latest in runs if latest.origin == subjects.CRON), None)

    def is_executing(self, job_type: str, run_id: int) -> bool:
        """Whether an attempt was last seen to begin."""
        return self._runs[job_type][run_id].event == "started"

    def was_executing(self, job_type: str, run_id: int) -> bool:
        """Whether an attempt was last seen to begin, or to be given up."""
        return self._runs[job_type][run_id].event in ("started", "abandoned")

    def latest_event(self, job_type: str, run_id: int) -> int:
        """The sequence of the run's latest event, a cancel request aside."""
        return self._runs[job_type][run_id].sequence

    def waiting_to_be_cancelled(self, job_type: str) -> list[int]:
        """The ids of those that somebody wants stopped and that nobody works on."""
        cancels = self._cancels.get(job_type, ())
        return sorted(run_id for run_id in cancels if not self.is_executing(job_type, run_id))
