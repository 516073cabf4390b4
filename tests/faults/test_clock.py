"""Clocks: the days on which they change, jumps of an hour, machines that slept."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from kronik.events import Schedule

from services.log.provision import provision
from tests import servers
from tests.faults.figures import Report, scenario
from tests.faults.raw_stream import RawStream, connect
from tests.faults.slot_ledger import MINUTE, Audit, accounts, audit, elapsed, once_a_day, transitions
from tests.faults.timetable import Timetable, assert_exact, minute_of, timetable
from tests.invariants import Fact, violations
from tests.scheduling import SetClock, define, scheduler

ZONES = (
    "Europe/Copenhagen",
    "Australia/Lord_Howe",  # half an hour
    "America/Havana",  # at midnight
    "America/New_York",
    "America/Santiago",  # the southern hemisphere, at midnight
    "Africa/Casablanca",  # back for Ramadan
    "America/St_Johns",  # half hours from UTC
    "Asia/Beirut",
)
_Oracle = Callable[[str, datetime, datetime, datetime], list[datetime]]
_STEP = timedelta(minutes=15)


@scenario("DST: both days, in eight zones", few=1, full=8)
async def changing_zones(rounds: int, seed: int) -> Report:
    """rounds: zones. Two schedulers side by side go through both days in steps of a quarter of an hour; every slot
    that there is comes from a look at every minute of these days."""
    ways: Counter[str] = Counter()
    slots = events = days = 0
    for zone in ZONES[:rounds]:
        for day in transitions(zone, datetime.now(UTC) + timedelta(days=3)):
            audits, count = await _through(zone, day)
            assert_exact(audits)
            slots, events, days = slots + sum(a.expected for a in audits.values()), events + count, days + 1
            for found in audits.values():
                ways.update(found.ways)
    assert set(ways) == {"fired"}, ways
    return Report(
        f"{rounds} zones, {days} days, {slots} slots", events=events, figures="all fired, each once, as documented"
    )


def _schedules(day: datetime) -> dict[str, tuple[str, _Oracle]]:
    """Expressions that name this day and its neighbours alone, so that nothing is due on the way there."""
    on = f"{day.day} {day.month} *"
    near = [near for n in (-1, 0, 1) if (near := day + timedelta(days=n)).month == day.month]
    both = f"{','.join(str(each.day) for each in near)} {day.month} *"
    return {
        "QUARTERS": (f"*/15 * {on}", lambda z, d, a, u: elapsed(lambda m: m.minute % 15 == 0 and _same(m, d), z, a, u)),
        "EVEN": (
            f"30 */2 {on}",
            lambda z, d, a, u: elapsed(lambda m: (m.minute, m.hour % 2) == (30, 0) and _same(m, d), z, a, u),
        ),
        "NIGHTLY": (f"30 2 {both}", lambda z, d, a, u: once_a_day(near, 2, 30, z)),
        "EARLY": (f"15 0 {both}", lambda z, d, a, u: once_a_day(near, 0, 15, z)),
        "LATE": (f"30 23 {both}", lambda z, d, a, u: once_a_day(near, 23, 30, z)),
        "TWO": (f"0 2 {both}", lambda z, d, a, u: once_a_day(near, 2, 0, z)),
    }


def _same(minute: datetime, day: datetime) -> bool:
    return (minute.month, minute.day) == (day.month, day.day)


async def _through(zone: str, day: datetime) -> tuple[dict[str, Audit], int]:
    """One zone's day: the audit of each of its jobs, and how many events there were."""
    begin = day.replace(tzinfo=UTC) - timedelta(days=1, hours=16)
    end = begin + timedelta(days=4)
    clock = SetClock(begin)
    with servers.nats() as server:
        async with connect(server.url) as connection:
            await provision(connection, replicas=1)
            async with scheduler(server.url, clock) as one, scheduler(server.url, clock) as other:
                expected = {}
                for name, (expression, oracle) in _schedules(day).items():
                    defined = await define(one.log, name, Schedule(expression=expression, tz=zone))
                    expected[name] = oracle(zone, day, begin, end)
                for running in (one, other):
                    await running.seen(defined)
                while clock.shown < end:
                    clock.advance(_STEP if _is_near(clock.shown, expected) else timedelta(hours=1))
                    await asyncio.gather(one.scheduler.run_once(), other.scheduler.run_once())
            facts = (await RawStream(connection).refresh()).facts
    assert violations(facts, settled=False) == []
    return {name: audit(facts, name, slots) for name, slots in expected.items()}, len(facts)


def _is_near(now: datetime, expected: dict[str, list[datetime]]) -> bool:
    """A step must not pass two slots of a job: they would be coalesced, rightly."""
    return any(now < slot <= now + 2 * timedelta(hours=1) for slots in expected.values() for slot in slots)


@scenario("clock ± 1 h, both ways, machines that slept", few=6, full=100)
async def jumping_clocks(rounds: int, seed: int) -> Report:
    """rounds: jumps. Two schedulers; their clock jumps an hour on or back, or the machine sleeps over several slots.

    Back: what was handled in the hour that never came comes again, and nothing else does.
    """
    done: Counter[str] = Counter()
    never_came: list[tuple[datetime, datetime]] = []
    async with timetable(seed) as table:
        for name in ("ALL", "LATEST", "NONE"):
            await table.announce(name, catch_up=name.lower())
        names = [await table.scheduler() for _ in range(2)]
        latest = table.now
        for _ in range(rounds):
            for _ in range(2):
                latest = await _step(table, latest, table.now + MINUTE)
            jump = table.system.random.choice(["on", "back", "sleep"])
            done[jump] += 1
            if jump == "sleep":
                for name in names:
                    table.system.processes[name].freeze()
            hours = {"on": 1, "back": -1, "sleep": 0}[jump]
            minutes = table.system.random.randint(3, 9) if jump == "sleep" else 0
            if jump == "back":
                never_came.append((table.now - timedelta(hours=1), table.now + timedelta(seconds=5)))
            latest = await _step(table, latest, table.now + timedelta(hours=hours, minutes=minutes))
            for name in names:
                table.system.processes[name].thaw()
            await table.wake()
        end = minute_of(max(latest, table.now)) + MINUTE
        table.set(end + timedelta(seconds=2))
        audits = await table.settled(end)
        facts = (await table.system.stream.anew()).facts
        audits = {job: _without_what_came_again(facts, job, found, never_came) for job, found in audits.items()}
        assert_exact(audits)
    assert violations(facts, settled=False, put_back=True) == []
    return Report(
        f"{done['on']} jumps on, {done['back']} back, {done['sleep']} sleeps",
        events=len(facts),
        lost=sum(len(each.lost) for each in audits.values()),
        doubled=sum(len(each.doubled) for each in audits.values()),
        figures=f"{sum(each.expected for each in audits.values())} slots, each accounted for exactly once",
    )


def _without_what_came_again(
    facts: Sequence[Fact], job: str, found: Audit, never_came: list[tuple[datetime, datetime]]
) -> Audit:
    """The audit, with a slot doubled only where it has more accounts than there were times at which it came."""
    came = {slot: 1 + sum(begin <= slot <= end for begin, end in never_came) for slot in found.doubled}
    counts = {slot: len(ways) for slot, ways in accounts(facts, job).items()}
    return replace(found, doubled=[slot for slot in found.doubled if counts[slot] > came[slot]])


async def _step(table: Timetable, latest: datetime, to: datetime) -> datetime:
    """Turn the clocks; the latest instant they have shown so far."""
    table.set(to)
    await table.wake()
    await asyncio.sleep(table.system.random.uniform(0.1, 0.4))
    return max(latest, table.now)


async def test_on_the_days_when_clocks_change_every_slot_fires_once() -> None:
    await changing_zones()


async def test_a_jumping_clock_doubles_and_loses_no_slot() -> None:
    await jumping_clocks()
