"""Schedulers in tests: as objects with a clock that the test sets, and what the stream says they did."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
from kronik import in_force, subjects
from kronik.events import (
    JobDefined,
    Pause,
    Recorded,
    Schedule,
    ScheduleChanged,
    ServiceChanged,
    SlotFired,
    SlotSkipped,
    Triggered,
)
from nats.aio.client import Client

from services.infra import lifecycle
from services.log import connection as nats_connection
from services.log import jetstream
from services.log.append import Appended, EventLog
from services.log.stored import Stored
from services.log.subscription import Subscription
from services.scheduler import schedules
from services.scheduler.ledger import Ledger
from services.scheduler.loop import Scheduler
from services.scheduler.open_runs import OpenRuns
from services.scheduler.queues import Queues
from services.scheduler.quotas import Quotas
from services.scheduler.reconciler import Reconciler
from services.scheduler.schedules import Schedules
from tests.appending import append_next
from tests.definitions import plain_job

MINUTE = timedelta(minutes=1)
EVERY_MINUTE = Schedule(expression="* * * * *", tz="UTC")


@dataclass
class SetClock:
    """Shows what the test sets. set_at: what it first showed, and how far that was ahead of the stream's time: from
    then on only the test moves it."""

    shown: datetime
    set_at: tuple[datetime, timedelta] | None = None

    def now(self) -> datetime:
        return self.shown

    def advance(self, by: timedelta) -> None:
        self.shown += by


class ByTheTestsClock:
    """The stream's time, with the clock that the test sets as a rehearsal's."""

    def __init__(self, connection: Client, clock: SetClock) -> None:
        self._connection, self._clock = connection, clock
        self.ahead = timedelta(0)
        self._looked_at = self._stream_now = clock.now()

    async def look(self) -> None:
        self._looked_at = self._clock.now()
        self._stream_now = (await jetstream.stream_info(self._connection)).ts
        if self._clock.set_at is None:
            self._clock.set_at = self._looked_at, self._looked_at - self._stream_now
        begin, ahead = self._clock.set_at
        self.ahead = ahead + (self._looked_at - begin)

    def now(self) -> datetime:
        return self._looked_at

    def stream_now(self) -> datetime:
        return self._stream_now

    def passed_s(self) -> float:
        return abs((self._clock.now() - self._looked_at).total_seconds())


@dataclass
class Running:
    """A scheduler whose passes the test makes by hand."""

    log: EventLog
    clock: SetClock
    schedules: Schedules
    schedules_feed: Subscription
    runs: OpenRuns
    runs_feed: Subscription
    scheduler: Scheduler
    reconciler: Reconciler
    queues: Queues

    async def seen(self, recorded: Appended) -> None:
        """Wait until both feeds that care have taken the event."""
        await self.schedules_feed.reached(recorded.sequence)

    async def seen_run(self, sequence: int) -> None:
        assert await self.runs_feed.reached(sequence)


@contextlib.asynccontextmanager
async def scheduler(nats_url: str, clock: SetClock, *, after_s: float = 0.2) -> AsyncIterator[Running]:
    """A scheduler on a connection of its own that follows the stream; its passes are the test's to make."""
    name = f"scheduler-{uuid.uuid4().hex[:8]}"
    connection = await nats_connection.connect(nats_url, name)
    log = EventLog(connection, clock, f"/kronik/scheduler/{name}")
    time = ByTheTestsClock(connection, clock)
    known = Schedules(lambda: time.ahead if schedules_feed.current.is_set() else timedelta(0))
    quotas, runs = Quotas(), OpenRuns()

    async def take(batch: Sequence[Stored]) -> None:
        await known.take(batch)
        await quotas.take(batch)

    schedules_feed = Subscription(connection, f"{name}-schedules", take, filter=schedules.FILTER)
    runs_feed = Subscription(connection, f"{name}-runs", runs.take, headers_only=True)
    feeds = [asyncio.create_task(feed.run()) for feed in (schedules_feed, runs_feed)]
    try:
        await asyncio.wait_for(asyncio.gather(schedules_feed.current.wait(), runs_feed.current.wait()), 10)
        ledger = Ledger(log)
        passes = Scheduler(log, ledger, time, known, schedules_feed, runs, runs_feed)
        reconciler = Reconciler(log, known, schedules_feed, runs, runs_feed, name, after_s)
        queues = Queues(log, ByTheTestsClock(connection, clock), known, schedules_feed, quotas, runs, runs_feed, name)
        yield Running(log, clock, known, schedules_feed, runs, runs_feed, passes, reconciler, queues)
    finally:
        await lifecycle.end(feeds)
        await nats_connection.close(connection)


async def define(log: EventLog, job: str, schedule: Schedule | None = EVERY_MINUTE) -> Appended:
    """Announce a job, as its runner would."""
    defined = plain_job(job, title={"en": job}, schedule=schedule, timeout_ms=100)
    return await stored(log, subjects.definition(job), defined)


async def change(log: EventLog, job: str, *, paused: bool = False, schedule: Schedule | None = None) -> Appended:
    """What an admin does to a schedule."""
    given = msgspec.structs.asdict(schedule) if schedule else {}
    pause = Pause(by="ADMIN:1") if paused else None
    changed = in_force.changed(None, "ADMIN:1", **given, pause=pause)
    return await stored(log, subjects.schedule(job), changed)


async def stored(
    log: EventLog, subject: str, event: JobDefined | ScheduleChanged | ServiceChanged | Triggered
) -> Appended:
    return await append_next(log, subject, event)


def minute_after(instant: datetime, minutes: int = 1) -> datetime:
    """The first full minute after an instant, and so many minutes on from there."""
    return instant.replace(second=0, microsecond=0) + minutes * MINUTE


def next_minute(minutes: int = 1) -> datetime:
    return minute_after(datetime.now(UTC), minutes)


async def triggers(log: EventLog, job: str) -> list[datetime]:
    """The slots that fired, in stream order."""
    return [_slot(each) for each in await _all(log, subjects.trigger(job, subjects.CRON))]


async def skips(log: EventLog, job: str) -> list[tuple[datetime, str]]:
    """The slots that were skipped, with their outcomes, in stream order."""
    found = [(_slot(each), each.subject.rpartition(".")[2]) for each in await _all(log, subjects.slots_of(job))]
    return [each for each in found if each[1] != "fired"]


async def handled(log: EventLog, job: str) -> list[datetime]:
    """Every slot that the stream has an event for, in stream order."""
    ledger = await _all(log, subjects.slots_of(job))
    fired = [_slot(each) for each in ledger if each.subject == subjects.slot(job, "fired")]
    assert fired == await triggers(log, job), "a slot that fired, and its trigger"
    return [_slot(each) for each in ledger]


async def _all(log: EventLog, filter: str) -> list[Recorded]:
    found: list[Recorded] = []
    while page := await log.read(filter, start=found[-1].sequence + 1 if found else 1):
        found += page
    return found


def _slot(recorded: Recorded) -> datetime:
    assert isinstance(recorded.data, Triggered | SlotFired | SlotSkipped)
    assert recorded.data.scheduled_for
    return recorded.data.scheduled_for
