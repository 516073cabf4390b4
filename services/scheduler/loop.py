"""The scheduler: every due slot becomes exactly one event, a trigger that fires it or the reason why it was skipped.

The protocol, for one job. Any number of schedulers follow it side by side; none of them leads.

1. Read, afresh: the last event on `jobs.trigger.<JOB>.cron` and the last on `jobs.slot.<JOB>.*`. The later of
   the slots that they name is the last one handled. Read also that no definition and no schedule change
   stands in the stream that this process has not taken yet.
2. Decide (decisions.py) on the slots after the last one handled, up to now.
3. Append the decisions, in the order of their slots, each one only when the one before is known to stand.
   A trigger expects the last cron trigger as read, a skip the last skip as read. The event's id
   is `<JOB>@<slot>`, whichever of the two it is.
4. On a conflict, or when the id stands already, go to 1. Who won does not matter.

Why each slot is handled once: of two triggers, or of two skips, the second one meets an
expectation that no longer holds. Of a trigger and a skip for one slot, which two schedulers decide when one sees
the clock, an open run or a pause a moment before the other, the second one meets the id, which
the stream remembers for an hour.

Why none is lost: slots are appended in ascending order, so whatever the moment a process dies at, what stands
in the stream is a gapless beginning, and whoever looks next goes on behind it.

Stopped between two steps (SIGSTOP, a suspended machine, a pause of the VM): what was read more than
five seconds ago, by either clock, is not acted upon but read again, and an append that got no answer is not
sent again after five seconds. So a process that comes back finds out what the others did in the meantime.

The hole that is left: a process is stopped after the look at the clock and before the bytes of its append leave it
(microseconds), for more than the hour that ids are remembered, and in that hour another scheduler handled the same
slot the other way. Then a slot has a trigger and a skip. Two triggers or two skips it never has.

Time is the wall clock, through one Clock. It is looked at again within ten seconds at most, so a clock that jumps and a
laptop that wakes up are noticed. Back: slots that were handled stay handled, because the last one handled
is in the stream. Forward: what lies between is due, and late.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, assert_never

from kronik import KronikError, subjects
from kronik.events import Recorded, SlotSkipped, Triggered
from msgspec import Struct
from msgspec.structs import replace
from nats.errors import Error as NatsError

from services.infra import logs
from services.infra.clock import monotonic_s
from services.infra.failpoints import failpoint
from services.log.append import Appended, Conflict, EventLog, Expected
from services.log.subscription import Subscription
from services.scheduler.decisions import Decision, Fire, Skip, decide
from services.scheduler.open_runs import OpenRuns
from services.scheduler.schedules import Schedules
from services.scheduler.timeline import Due, Timeline, due, upcoming

log = logs.get()

_FRESH_S: Final = 5.0
_LONGEST_SLEEP_S: Final = 10.0
_AFTER_TROUBLE_S: Final = 1.0
_AT_ONCE: Final = 2_000
"""Slots that are decided in one go."""
_TRIES: Final = 20
_BETWEEN_TRIES_S: Final = 0.01
_PLAUSIBLE: Final = timedelta(days=1)
"""How far ahead of the clock a handled slot may lie. One further ahead is from a clock that was badly wrong."""


class JobTick(Struct, frozen=True):
    """What this scheduler did for one job.

    fired: run ids by slot. next_due: the first slot that is not handled yet. problem: why it has to be tried again.
    """

    job_type: str
    fired: dict[datetime, int]
    skipped: tuple[Skip, ...]
    next_due: datetime | None = None
    problem: str | None = None


class Tick(Struct, frozen=True):
    """One pass over all jobs."""

    jobs: tuple[JobTick, ...]

    @property
    def next_due(self) -> datetime | None:
        """The first slot of any job that is not handled yet."""
        return min((job.next_due for job in self.jobs if job.next_due is not None), default=None)


class _Moment(Struct, frozen=True):
    wall: datetime
    monotonic_s: float


class _View(Struct, frozen=True):
    """What one look found. cron, skips: the sequences that the next append expects."""

    taken: _Moment
    timeline: Timeline
    handled: datetime | None
    cron: int
    skips: int


class _Unsettled(KronikError):
    """What is needed to decide is not known yet; the next tick will tell."""


@dataclass(slots=True)
class Scheduler:
    """run_once() is one pass over all jobs; run() repeats it whenever a slot comes due or a schedule changes."""

    log: EventLog
    schedules: Schedules
    runs: OpenRuns
    runs_feed: Subscription
    _handled: dict[str, datetime | None] = field(default_factory=dict)

    async def run(self) -> None:
        """Until cancelled, which is safe at any point."""
        while True:
            self.schedules.changed.clear()
            tick = await self.run_once()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s(tick)):
                    await self.schedules.changed.wait()

    def _pause_s(self, tick: Tick) -> float:
        if any(job.problem for job in tick.jobs):
            return _AFTER_TROUBLE_S
        if tick.next_due is None:
            return _LONGEST_SLEEP_S
        return min(max((tick.next_due - self.log.clock.now()).total_seconds(), 0.005), _LONGEST_SLEEP_S)

    async def run_once(self) -> Tick:
        """Handle every slot that is due. One job's trouble is logged and told; it never stops another job."""
        return Tick(tuple(await asyncio.gather(*map(self._attend, self.schedules.job_types()))))

    async def _attend(self, job_type: str) -> JobTick:
        fired: dict[datetime, int] = {}
        skipped: list[Skip] = []
        try:
            await self._handle_all(job_type, fired, skipped)
            return JobTick(job_type, fired, tuple(skipped), next_due=self._upcoming(job_type))
        except (KronikError, NatsError) as error:
            log.warning("scheduling_delayed", job=job_type, problem=str(error))
            problem = str(error)
        except Exception as error:
            log.exception("scheduling_failed", job=job_type)
            problem = repr(error)
        return JobTick(job_type, fired, tuple(skipped), problem=problem)

    async def _handle_all(self, job_type: str, fired: dict[datetime, int], skipped: list[Skip]) -> None:
        tries = 0
        while self._is_due(job_type):
            handled = len(fired) + len(skipped)
            view = await self._look(job_type)
            await self._append(view, await self._decide(view), fired, skipped)
            tries = tries + 1 if handled == len(fired) + len(skipped) else 0
            if tries == _TRIES:
                raise _Unsettled("others were faster each time")
            await asyncio.sleep(_BETWEEN_TRIES_S * tries)

    def _is_due(self, job_type: str) -> bool:
        slot = self._upcoming(job_type)
        return slot is not None and slot <= self.log.clock.now()

    def _upcoming(self, job_type: str) -> datetime | None:
        return upcoming(self.schedules.of(job_type), self._handled.get(job_type))

    async def _look(self, job_type: str) -> _View:
        """Step 1. Raises LogUnavailable, and _Unsettled while a newer schedule is on its way to this process."""
        taken = self._moment()
        cron, by_trigger = await self._last(subjects.trigger(job_type, subjects.CRON), taken.wall)
        skips, by_skip = await self._last(subjects.slots_of(job_type), taken.wall)
        timeline = self.schedules.of(job_type)
        for subject, taken_to in (
            (subjects.definition(job_type), timeline.definition),
            (subjects.schedule(job_type), timeline.change),
        ):
            if await self.log.read(subject, start=taken_to + 1, limit=1):
                raise _Unsettled("a newer schedule is on its way")
        handled = max((slot for slot in (by_trigger, by_skip) if slot is not None), default=None)
        self._handled[job_type] = handled
        return _View(taken, timeline, handled, cron, skips)

    async def _last(self, filter: str, now: datetime) -> tuple[int, datetime | None]:
        """The filter's last event: its sequence, and the slot it handled."""
        last = await self.log.last(filter)
        if last is None:
            return 0, None
        return last.sequence, _slot_of(last, now) or await self._search(filter, now)

    async def _search(self, filter: str, now: datetime) -> datetime | None:
        """The last event names no slot (somebody's own cron trigger) or an absurd one: the last that makes sense."""
        log.warning("last_slot_implausible", filter=filter)
        found, start = None, 1
        while page := await self.log.read(filter, start=start):
            slots = [slot for each in page if (slot := _slot_of(each, now)) is not None]
            found = max(slots, default=found)
            start = page[-1].sequence + 1
        return found

    async def _decide(self, view: _View) -> list[Decision]:
        """Step 2."""
        now = self.log.clock.now()
        found = list(islice(due(view.timeline, view.handled, now), _AT_ONCE + 1))
        return decide(
            found,
            now=now,
            paused=view.timeline.pause(now),
            open_run=await self._open_run(view, found),
            more=len(found) > _AT_ONCE,
        )

    async def _open_run(self, view: _View, due: Sequence[Due]) -> int | None:
        """An unfinished run of the job, where a schedule asks. Raises _Unsettled, LogUnavailable."""
        if all(each.schedule.overlap == "queue" for each in due):
            return None
        if not self.runs_feed.current.is_set() or not await self.runs_feed.reached(view.cron):
            raise _Unsettled("the open runs are not known yet")
        for run_id in self.runs.of(view.timeline.job_type):
            found = await self.log.read_run(run_id)
            if found is not None and not found[0].finished:
                return run_id
        return None

    async def _append(
        self, view: _View, decisions: Sequence[Decision], fired: dict[datetime, int], skipped: list[Skip]
    ) -> None:
        """Step 3, until something is not as the view says. Raises LogUnavailable, LogRefused."""
        for decision in decisions:
            if not self._is_fresh(view.taken):
                return
            failpoint("before_slot")
            answer = await self._append_one(view, decision)
            failpoint("after_slot")
            if isinstance(answer, Conflict) or answer.duplicate:
                return
            job_type = view.timeline.job_type
            self._handled[job_type] = decision.slot
            match decision:
                case Fire(slot=slot):
                    fired[slot] = answer.sequence
                    view = replace(view, taken=self._moment(), cron=answer.sequence)
                    log.info("slot_fired", job=job_type, slot=iso(slot), run_id=answer.sequence)
                case Skip(slot=slot, outcome=outcome, reason=reason):
                    skipped.append(decision)
                    view = replace(view, taken=self._moment(), skips=answer.sequence)
                    log.info("slot_skipped", job=job_type, slot=iso(slot), outcome=outcome, reason=reason)
                case _:
                    assert_never(decision)

    async def _append_one(self, view: _View, decision: Decision) -> Appended | Conflict:
        job_type = view.timeline.job_type
        match decision:
            case Fire(slot=slot):
                subject = subjects.trigger(job_type, subjects.CRON)
                event: Triggered | SlotSkipped = Triggered(scheduled_for=slot)
                expected = Expected(subject, view.cron)
            case Skip(slot=slot, outcome=outcome, reason=reason):
                subject = subjects.slot(job_type, outcome)
                event = SlotSkipped(scheduled_for=slot, outcome=outcome, reason=reason)
                expected = Expected(subjects.slots_of(job_type), view.skips)
            case _:
                assert_never(decision)
        return await self.log.append(
            subject, event, id=slot_id(job_type, slot), expected=expected, about=job_type, patience_s=_FRESH_S
        )

    def _moment(self) -> _Moment:
        return _Moment(self.log.clock.now(), monotonic_s())

    def _is_fresh(self, taken: _Moment) -> bool:
        """By both clocks: the monotonic one stands still while a laptop sleeps."""
        now = self._moment()
        elapsed_s = abs((now.wall - taken.wall).total_seconds())
        return max(elapsed_s, now.monotonic_s - taken.monotonic_s) <= _FRESH_S


def slot_id(job_type: str, slot: datetime) -> str:
    """The id of the one event that handles a slot."""
    return f"{job_type}@{iso(slot)}"


def iso(slot: datetime) -> str:
    """`2026-10-25T00:30:00Z`"""
    return slot.isoformat().replace("+00:00", "Z")


def _slot_of(recorded: Recorded, now: datetime) -> datetime | None:
    """The slot that the event handled, if it names a plausible one."""
    match recorded.data:
        case Triggered(scheduled_for=slot) | SlotSkipped(scheduled_for=slot) if slot and slot <= now + _PLAUSIBLE:
            return slot
    return None
