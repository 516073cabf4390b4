"""All jobs that runners have announced, with the timeline of each one's schedule."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

from kronik import subjects
from kronik.errors import InvalidName
from kronik.events import Recorded, Unknown

from services.infra import logs
from services.log.stored import Stored
from services.scheduler.timeline import Timeline, evolve

log = logs.get()

FILTER = subjects.DECLARATIONS


class Schedules:
    """Fed with every definition and schedule change in stream order. changed: set by each of them."""

    def __init__(self, ahead: Callable[[], timedelta] = lambda: timedelta(0)) -> None:
        """ahead: how far the rehearsal clock is ahead of the stream's for an event that arrives now."""
        self._timelines: dict[str, Timeline] = {}
        self._ahead = ahead
        self._changed: dict[str, None] = {}
        self.changed = asyncio.Event()

    def take_changed(self) -> list[str]:
        """The job types that something was announced of since this was asked for last."""
        changed, self._changed = list(self._changed), {}
        return changed

    def put_back(self, job_types: Iterable[str]) -> None:
        """What was taken and could not be looked at."""
        self._changed |= dict.fromkeys(job_types)

    async def take(self, batch: Sequence[Stored]) -> None:
        for stored in batch:
            self._take(stored)

    def _take(self, stored: Stored) -> None:
        """What can't be read changes no schedule; the projector parks it. It was taken all the same: whoever decides
        would wait for it for ever."""
        try:
            place = subjects.parse(stored.subject)
        except InvalidName:
            return
        if not isinstance(place, subjects.DefinitionSubject | subjects.ScheduleSubject):
            return
        recorded = stored.decode_or_none() or _unreadable(stored)
        before = self._timelines.get(place.job_type, Timeline(place.job_type))
        after = self._timelines[place.job_type] = evolve(before, recorded, self._ahead())
        self._changed[place.job_type] = None
        self.changed.set()
        if after.problem is not None and after.problem != before.problem:
            log.warning("schedule_unusable", job=place.job_type, problem=after.problem)

    def of(self, job_type: str) -> Timeline:
        return self._timelines[job_type]

    def is_defined(self, job_type: str) -> bool:
        """Whether a runner has announced it."""
        found = self._timelines.get(job_type)
        return found is not None and bool(found.segments)

    def job_types(self) -> list[str]:
        """Those that a runner has defined, sorted."""
        return sorted(job_type for job_type, timeline in self._timelines.items() if timeline.segments)


def _unreadable(stored: Stored) -> Recorded:
    return Recorded(stored.sequence, stored.subject, stored.time, "", Unknown("unreadable", None))
