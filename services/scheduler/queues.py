"""Ends the runs that wait and must not: they never begin, and whoever asked for them sees why.

beyond a quota    a service has more runs waiting than it was granted: its newest ones end, so that nobody waits behind
                  them
beyond a queue    a job has more runs waiting than it allows: the newest ones that services asked for end. The slots
                  and the requests that would be too many are refused before there is a run, and are never ended here
retired           the job is out of use: what waits, for its turn or for a retry, ends
past its deadline a run of a slot that has not begun by its schedule's deadline ends as missed, instead of running late

A run that a runner begins in the same moment goes on: the append expects that nothing has happened to it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from kronik import KronikError, subjects
from kronik.events import Failed, Retirement, Triggered
from kronik.in_force import queue_limit
from msgspec.structs import replace
from nats.errors import Error as NatsError

from services.infra import logs
from services.infra.lifecycle import happens
from services.log.append import Appended, Conflict, EventLog, Expected
from services.log.subscription import Subscription
from services.scheduler.decisions import span, when
from services.scheduler.open_runs import OpenRuns, Waiting
from services.scheduler.quotas import Quotas
from services.scheduler.schedules import Schedules
from services.scheduler.stream_time import Time

log = logs.get()

_LOOK_EVERY_S: Final = 1.0
_BETWEEN_LOOKS_S: Final = 0.05
_AT_ONCE: Final = 500
_FRESH_S: Final = 5.0


def beyond_quota(waiting: Sequence[Waiting], quotas: dict[str, int]) -> list[tuple[Waiting, Failed]]:
    """waiting: of all jobs, the oldest first."""
    counts: defaultdict[str, int] = defaultdict(int)
    ended: list[tuple[Waiting, Failed]] = []
    for run in waiting:
        counts[run.origin] += 1
        limit = quotas.get(run.origin)
        if limit is not None and counts[run.origin] > limit:
            error = (
                f"The service {run.origin} may have {limit} runs waiting, and had as many: this one was not queued. "
                "Ask again later, or have its quota raised (kronik service)."
            )
            ended.append((run, Failed(attempt=0, error=error, error_type="QuotaExceeded")))
    return ended


def beyond_queue(waiting: Sequence[Waiting], limit: int) -> list[tuple[Waiting, Failed]]:
    """waiting: of one job, the oldest first."""
    error = f"As many runs of this job as may wait ({limit}) waited already: this one was not queued. Ask again later."
    failed = Failed(attempt=0, error=error, error_type="QueueFull")
    return [(run, failed) for run in waiting[limit:] if run.origin not in (subjects.CRON, subjects.ADMIN)]


def retired(job_type: str, retirement: Retirement) -> Failed:
    why = f": {retirement.reason}" if retirement.reason else ""
    error = f"{job_type} was retired by {retirement.by}{why}. What waited for it was ended."
    return Failed(attempt=0, error=error, error_type="JobRetired")


@dataclass(slots=True)
class Queues:
    """run_once() looks at everything that waits; run() repeats it, and at once when a run is asked for.

    by: names this process in the ids of what it appends.
    """

    log: EventLog
    time: Time
    schedules: Schedules
    schedules_feed: Subscription
    quotas: Quotas
    runs: OpenRuns
    runs_feed: Subscription
    by: str
    _slots: dict[int, datetime | None] = field(default_factory=dict)

    async def run(self) -> None:
        """Until cancelled, which is safe at any point."""
        while True:
            self.runs.asked.clear()
            await self.run_once()
            await asyncio.sleep(_BETWEEN_LOOKS_S)
            await happens(self.runs.asked, _LOOK_EVERY_S)

    async def run_once(self) -> list[int]:
        """The ids of the runs that were ended."""
        if not (self.schedules_feed.current.is_set() and self.runs_feed.current.is_set()):
            return []
        ended: list[int] = []
        try:
            ended += await self._end(self._beyond_quotas())
            for job_type in self.runs.job_types():
                ended += await self._attend(job_type)
        except (KronikError, NatsError) as error:
            log.warning("queues_delayed", problem=str(error))
        return ended

    def _beyond_quotas(self) -> list[tuple[Waiting, Failed]]:
        if not self.quotas.by_origin:
            return []
        return beyond_quota(self.runs.waiting(), self.quotas.by_origin)

    async def _attend(self, job_type: str) -> list[int]:
        """Raises LogUnavailable."""
        if not self.schedules.is_defined(job_type):
            return []
        timeline = self.schedules.of(job_type)
        if timeline.retired and timeline.changed and timeline.changed.retired:
            return await self._retire(job_type, retired(job_type, timeline.changed.retired))
        limit = queue_limit(timeline.defined, timeline.changed) if timeline.defined else None
        ended = await self._end(beyond_queue(self.runs.waiting_of(job_type), limit.runs)) if limit else []
        schedule = timeline.schedule
        if schedule is None or schedule.deadline_ms is None:
            return ended
        return ended + await self._end(await self._expired(job_type, timedelta(milliseconds=schedule.deadline_ms)))

    async def _expired(self, job_type: str, deadline: timedelta) -> list[tuple[Waiting, Failed]]:
        """The runs of slots that have waited beyond the deadline; slots ascend, so the first that has not ends it."""
        found: list[tuple[Waiting, Failed]] = []
        by_slot = [run for run in self.runs.waiting_of(job_type) if run.origin == subjects.CRON]
        if by_slot and self.time.passed_s() > _FRESH_S:
            await self.time.look()
        for run in by_slot:
            slot = await self._slot(run.id)
            late = self.time.now() - slot if slot else timedelta(0)
            if slot is None or late <= deadline:
                break
            schedule = self.schedules.of(job_type).schedule
            named = when(slot, schedule) if schedule else str(slot)
            error = f"Missed: the run of the slot of {named} has waited {span(late)} without beginning; "
            error += f"the schedule's deadline is {span(deadline)}."
            found.append((run, Failed(attempt=0, error=error, error_type="MissedDeadline")))
        return found

    async def _slot(self, run_id: int) -> datetime | None:
        if run_id not in self._slots:
            trigger = await self.log.get(run_id)
            slot = trigger.data.scheduled_for if trigger and isinstance(trigger.data, Triggered) else None
            self._slots[run_id] = slot
            if len(self._slots) > 10_000:
                self._slots = {run_id: slot}
        return self._slots[run_id]

    async def _end(self, runs: Iterable[tuple[Waiting, Failed]]) -> list[int]:
        """Those that nothing has happened to yet. Raises LogUnavailable."""
        ended: list[int] = []
        waiting = list(runs)
        for begin in range(0, len(waiting), _AT_ONCE):
            some = waiting[begin : begin + _AT_ONCE]
            answers = await asyncio.gather(*(self._append(run, failed) for run, failed in some))
            ended += [run.id for (run, _), stands in zip(some, answers, strict=True) if stands]
        return ended

    async def _append(self, run: Waiting, failed: Failed) -> bool:
        answer = await self.log.append(
            subjects.run_event(run.job_type, run.id, "failed"),
            failed,
            id=f"{run.id}.0.failed.{self.by}",
            expected=Expected(subjects.run_aggregate(run.job_type, run.id), 0),
            about=str(run.id),
        )
        if not isinstance(answer, Appended):
            return False
        self.runs.forget(run.job_type, run.id)
        log.warning("run_ended", run_id=run.id, job=run.job_type, error=failed.error)
        return True

    async def _retire(self, job_type: str, failed: Failed) -> list[int]:
        ended = await self._end((run, failed) for run in self.runs.waiting_of(job_type))
        for run_id in self.runs.of(job_type):
            found = await self.log.read_run(run_id)
            if found is None or found[0].phase != "retrying":
                continue
            event = replace(failed, attempt=found[0].attempt)
            answer = await self.log.append_to_run(found[0], event, by=self.by)
            if not isinstance(answer, Conflict):
                ended.append(run_id)
                self.runs.forget(job_type, run_id)
        return ended
