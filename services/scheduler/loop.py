"""The scheduler: every due slot becomes exactly one event in its job's ledger, and a run if that event says `fired`.

The protocol. Any number of schedulers follow it side by side; none of them leads.

1. Ask the stream's server what time it is. What is due is due by that clock; this machine's own only measures how
   long to sleep, never for more than a minute.
2. Ask for the newest definition and the newest change of a schedule in the stream, and wait until they have been taken:
   a pause that was acknowledged holds from that moment on.
3. For each job with a slot due, decide (decisions.py) on the slots after the last one in its ledger.
4. Append the decisions as one, expecting the ledger's last event to be the one that is known (ledger.py). Jobs that are
   due together go out together.
5. On a conflict look at the ledger, and go to 3. Who won does not matter.

Why each slot is handled once: the second of two appends to a ledger meets an expectation that no longer holds,
whatever it says of the slot, however late it arrives and whoever sends it.

Why none is lost: slots are appended in ascending order and all or nothing, so whatever the moment a process dies at,
what stands in the stream is a gapless beginning, and whoever looks next goes on behind it.

Stopped between two steps (SIGSTOP, a suspended machine): what was found more than five seconds ago is not acted upon
but looked for again. That is for what is decided to be true; exactly once it is by the ledger.

A clock that is put back, the rehearsal's or the server's: a ledger whose last slot lies in a future that never came is
not believed (ledger.Position), so schedules go on as if the clock had never been ahead.
"""

import asyncio
import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, assert_never

from kronik import KronikError, subjects
from kronik.in_force import queue_limit
from msgspec import Struct
from nats.errors import Error as NatsError

from services.infra import logs
from services.infra.failpoints import failpoint
from services.infra.lifecycle import happens
from services.log import jetstream
from services.log.append import EventLog
from services.log.jetstream import ConsumerInfo
from services.log.subscription import Subscription
from services.scheduler.decisions import Circumstances, Decision, Fire, Skip, decide
from services.scheduler.ledger import Ledger, Position, Written, iso
from services.scheduler.open_runs import OpenRuns
from services.scheduler.schedules import Schedules
from services.scheduler.stream_time import Time
from services.scheduler.timeline import Due, Timeline, due, upcoming

log = logs.get()

_FRESH_S: Final = 5.0
_LONGEST_SLEEP_S: Final = 10.0
_AFTER_TROUBLE_S: Final = 1.0
_AT_ONCE: Final = 450
"""Slots of one job that are decided in one go: with their triggers they fit one batch."""
_TOGETHER: Final = 500
"""Jobs whose slots fill a batch with their triggers."""
_ASKED_ONE_BY_ONE: Final = 50
_TRIES: Final = 20
_BETWEEN_TRIES_S: Final = 0.01
_PUT_BACK: Final = timedelta(seconds=1)


class JobTick(Struct, frozen=True):
    """What this scheduler did for one job.

    fired: run ids by slot. problem: why it has to be tried again.
    """

    job_type: str
    fired: dict[datetime, int]
    skipped: tuple[Skip, ...]
    problem: str | None = None


class Tick(Struct, frozen=True):
    """One pass. jobs: those that had a slot due. next_due: the first slot of any job that is not handled yet."""

    jobs: tuple[JobTick, ...] = ()
    next_due: datetime | None = None
    problem: str | None = None


class _Unsettled(KronikError):
    """What is needed to decide is not known yet; the next tick will tell."""


@dataclass(slots=True)
class Scheduler:
    """run_once() is one pass; run() repeats it whenever a slot comes due or a schedule changes."""

    log: EventLog
    ledger: Ledger
    time: Time
    schedules: Schedules
    schedules_feed: Subscription
    runs: OpenRuns
    runs_feed: Subscription
    _positions: dict[str, Position] = field(default_factory=dict)
    _next: dict[str, datetime] = field(default_factory=dict)
    _heap: list[tuple[datetime, str]] = field(default_factory=list)
    _ahead: timedelta = timedelta(0)
    _seen: datetime | None = None
    _many: bool = False
    _consumers: asyncio.Task[dict[str, ConsumerInfo]] | None = None

    async def run(self) -> None:
        """Until cancelled, which is safe at any point."""
        while True:
            self.schedules.changed.clear()
            tick = await self.run_once()
            await happens(self.schedules.changed, self._pause_s(tick))

    def _pause_s(self, tick: Tick) -> float:
        if tick.problem or any(job.problem for job in tick.jobs):
            return _AFTER_TROUBLE_S
        if tick.next_due is None:
            return _LONGEST_SLEEP_S
        return min(max((tick.next_due - self.time.now()).total_seconds(), 0.001), _LONGEST_SLEEP_S)

    async def run_once(self) -> Tick:
        """Handle every slot that is due. One job's trouble is logged and told; it never stops another job."""
        jobs: list[str] = []
        try:
            await self.time.look()
            await self._plan_all()
            jobs = self._take_due()
            if jobs:
                await self._know_the_newest_schedules()
        except (KronikError, NatsError) as error:
            self.schedules.put_back(jobs)
            log.warning("scheduling_delayed", problem=str(error))
            return Tick(problem=str(error))
        ticks = await self._attend_all(jobs)
        return Tick(tuple(ticks), self._heap[0][0] if self._heap else None)

    async def _attend_all(self, jobs: Sequence[str]) -> list[JobTick]:
        """All at once, but those that are decided go out while the next ones are decided on."""
        self._consumers = None
        self._many = len(jobs) > _ASKED_ONE_BY_ONE
        async with asyncio.TaskGroup() as group:
            attending = []
            for begin in range(0, len(jobs), _TOGETHER):
                attending += [group.create_task(self._attend(job)) for job in jobs[begin : begin + _TOGETHER]]
                await asyncio.sleep(0)
        return [task.result() for task in attending]

    async def _plan_all(self) -> None:
        """Know where each ledger stands, and each job's next slot: of the jobs whose schedule changed, or, after a
        clock was turned, of all. Raises LogUnavailable."""
        changed: Iterable[str] = self.schedules.take_changed()
        stream_now = self.time.stream_now()
        put_back = self._seen is not None and self._seen - stream_now > _PUT_BACK
        self._seen = stream_now
        if put_back or abs(self.time.ahead - self._ahead) > _PUT_BACK:
            self._ahead, changed = self.time.ahead, self.schedules.job_types()
            for job, position in list(self._positions.items()):
                if not position.is_believed(stream_now, self._ahead):
                    del self._positions[job]
        changed = [job for job in changed if self.schedules.is_defined(job)]
        try:
            await self._look(job for job in changed if job not in self._positions)
        except KronikError:
            self.schedules.put_back(changed)
            raise
        for job in changed:
            self._plan(job)

    async def _look(self, jobs: Iterable[str]) -> None:
        if found := list(jobs):
            self._positions |= await self.ledger.look(found, self.time)

    def _plan(self, job: str) -> None:
        slot = upcoming(self.schedules.of(job), self._positions[job].handled, self.time.ahead)
        if slot is None:
            self._next.pop(job, None)
        elif self._next.get(job) != slot:
            self._next[job] = slot
            heapq.heappush(self._heap, (slot, job))

    def _take_due(self) -> list[str]:
        """The jobs with a slot due, off the heap; what is planned otherwise by now goes with them."""
        now, found = self.time.now(), []
        while self._heap and (self._heap[0][0] <= now or self._next.get(self._heap[0][1]) != self._heap[0][0]):
            slot, job = heapq.heappop(self._heap)
            if self._next.get(job) == slot:
                del self._next[job]
                found.append(job)
        return found

    async def _know_the_newest_schedules(self) -> None:
        """Step 2. Raises _Unsettled, LogUnavailable."""
        for filter in (subjects.DEFINITIONS, subjects.SCHEDULES):
            newest = await self.log.last(filter)
            if newest is not None and not await self.schedules_feed.reached(newest.sequence):
                raise _Unsettled("a newer schedule is on its way")

    async def _attend(self, job: str) -> JobTick:
        fired: dict[datetime, int] = {}
        skipped: list[Skip] = []
        problem = None
        try:
            await self._handle_all(job, fired, skipped)
            self._plan(job)
        except (KronikError, NatsError) as error:
            log.warning("scheduling_delayed", job=job, problem=str(error))
            problem = str(error)
        except Exception as error:
            log.exception("scheduling_failed", job=job)
            problem = repr(error)
        if problem is not None:
            self._positions.pop(job, None)
            self.schedules.put_back([job])
        return JobTick(job, fired, tuple(skipped), problem)

    async def _handle_all(self, job: str, fired: dict[datetime, int], skipped: list[Skip]) -> None:
        for tries in range(_TRIES):
            await self._look([job] if job not in self._positions else [])
            more = True
            while more:
                decisions, more = await self._decide(job)
                if not decisions:
                    return
                failpoint("before_slot")
                written = await self._append(job, decisions)
                failpoint("after_slot")
                if written is None:
                    break
                self._told(job, decisions, written, fired, skipped)
            else:
                return
            del self._positions[job]
            await asyncio.sleep(_BETWEEN_TRIES_S * tries)
        raise _Unsettled("others were faster each time")

    async def _decide(self, job: str) -> tuple[list[Decision], bool]:
        """Step 3, and whether more slots are due than were decided. Raises _Unsettled, LogUnavailable."""
        if self.time.passed_s() > _FRESH_S:
            await self.time.look()
        timeline, position = self.schedules.of(job), self._positions[job]
        found = list(islice(due(timeline, position.handled, self.time.now(), self.time.ahead), _AT_ONCE + 1))
        if not found:
            return [], False
        more = len(found) > _AT_ONCE
        return decide(found, await self._circumstances(timeline, position, found), more=more), more

    async def _circumstances(self, timeline: Timeline, position: Position, due: Sequence[Due]) -> Circumstances:
        now = self.time.now()
        limit = queue_limit(timeline.defined, timeline.changed) if timeline.defined else None
        overlap = any(each.schedule.overlap == "skip" for each in due)
        if not self.runs_feed.current.is_set() or not await self.runs_feed.reached(position.trigger):
            if overlap or limit is not None:
                raise _Unsettled("the open runs are not known yet")
            return Circumstances(now, timeline.pause(now))
        queued = self.runs.queued(timeline.job_type)
        no_catch_up = any(each.schedule.catch_up == "none" for each in due)
        unserved = bool(queued or no_catch_up) and not await self._is_served(timeline.job_type)
        return Circumstances(
            now=now,
            paused=timeline.pause(now),
            open_run=await self._open_run(timeline.job_type) if overlap else None,
            queued=len(queued),
            limit=limit,
            unserved=unserved,
            waiting_run=self.runs.oldest_of_a_slot(timeline.job_type) if unserved else None,
        )

    async def _is_served(self, job: str) -> bool:
        """Whether a runner waits for the job's runs, or works on some. Runs of a job that no runner has ever served
        are ended by the reconciler: nothing piles up there."""
        info = await self._consumer(subjects.runner_consumer(job))
        return info is None or info.num_waiting > 0 or info.num_ack_pending > 0

    async def _consumer(self, name: str) -> ConsumerInfo | None:
        """Where many jobs are due together all consumers are asked for at once, and only if one of the jobs needs it:
        thousands of questions at the same moment are not answered in time."""
        if not self._many:
            return await jetstream.consumer_info(self.log.connection, name)
        if self._consumers is None:
            self._consumers = asyncio.create_task(self._all_consumers())
        return (await self._consumers).get(name)

    async def _all_consumers(self) -> dict[str, ConsumerInfo]:
        return {each.name: each for each in await jetstream.consumers(self.log.connection)}

    async def _open_run(self, job: str) -> int | None:
        for run_id in self.runs.of(job):
            found = await self.log.read_run(run_id)
            if found is not None and not found[0].finished:
                return run_id
        return None

    async def _append(self, job: str, decisions: Sequence[Decision]) -> Written | None:
        """Step 4; None where it has to be looked at again. Raises LogUnavailable, LogRefused."""
        if self.time.passed_s() > _FRESH_S:
            return None
        return await self.ledger.append(job, self._positions[job], decisions, self.time.stream_now())

    def _told(
        self,
        job: str,
        decisions: Sequence[Decision],
        written: Written,
        fired: dict[datetime, int],
        skipped: list[Skip],
    ) -> None:
        self._positions[job] = written.position
        fired |= written.fired
        for decision in decisions:
            match decision:
                case Fire(slot=slot):
                    log.info("slot_fired", job=job, slot=iso(slot), run_id=written.fired[slot])
                case Skip(slot=slot, outcome=outcome, reason=reason):
                    skipped.append(decision)
                    log.info("slot_skipped", job=job, slot=iso(slot), outcome=outcome, reason=reason)
                case _:
                    assert_never(decision)
