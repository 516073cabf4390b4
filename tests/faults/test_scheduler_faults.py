"""Schedulers that are killed, stopped, frozen in mid-step and started over: each slot has exactly one account."""

import asyncio
import contextlib
import random
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path

from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError

from services.infra import lifecycle
from tests.faults.figures import Report, scenario, spread
from tests.faults.raw_stream import until
from tests.faults.slot_ledger import MINUTE, Audit, accounts
from tests.faults.system import System, system
from tests.faults.timetable import Timetable, assert_exact, before, minute_of, timetable
from tests.invariants import violations
from tests.scheduling import define

_POLICIES: tuple[dict[str, object], ...] = (
    {"catch_up": "all"},
    {"catch_up": "latest"},
    {"catch_up": "none"},
    {"catch_up": "latest", "overlap": "skip"},
    {"catch_up": "all", "deadline_ms": 90_000},
)


@scenario("three schedulers, random kills and stops", few=100, full=1000)
async def three_schedulers(rounds: int, seed: int) -> Report:
    """rounds: slots, of five jobs with five policies. Each scheduler's clock is wrong by up to 0.4 s, so that they
    disagree on what is due; wherever they meet, they meet at the same moment."""
    async with timetable(seed) as table:
        for number, policies in enumerate(_POLICIES):
            await table.announce(f"JOB{number}", **policies)
        start = minute_of(table.now)
        end = start + (rounds // len(_POLICIES)) * MINUTE
        async with _disturbed(table) as done:
            await _walk(table, start + MINUTE, end)
        table.set(end + timedelta(seconds=25))
        await table.scheduler()
        audits = await table.settled(end)
        assert_exact(audits)
        facts = (await table.system.stream.anew()).facts
    assert violations(facts, settled=False) == []
    return _report(f"{_total(audits)} slots, {_listed(done)}", audits, len(facts))


async def _walk(table: Timetable, slot: datetime, end: datetime) -> None:
    """Minute by minute, sometimes several at once; all schedulers look at every step at the same time."""
    draw = table.system.random
    while slot <= end:
        table.set(before(slot, draw.choice([0.05, 0.2, 0.0, -5])))
        await table.wake()
        await asyncio.sleep(draw.uniform(0.1, 0.5))
        slot += draw.choice([1, 1, 1, 1, 2, 4]) * MINUTE


@contextlib.asynccontextmanager
async def _disturbed(table: Timetable) -> AsyncIterator[Counter[str]]:
    """Three schedulers, of which now one and now all are killed, stopped for a while and started anew."""
    wrong = [timedelta(seconds=table.system.random.uniform(-0.4, 0.4)) for _ in range(3)]
    done: Counter[str] = Counter()
    names = [await table.scheduler(each) for each in wrong]
    draw = random.Random(table.system.random.random())
    lives = [_disturb(table, name, each, draw, done) for name, each in zip(names, wrong, strict=True)]
    tasks = [asyncio.create_task(life) for life in lives]
    try:
        yield done
        assert not any(task.done() for task in tasks), tasks
    finally:
        await lifecycle.end(tasks)
        for process in table.system.processes.values():
            process.thaw()


async def _disturb(table: Timetable, mine: str, wrong_by: timedelta, draw: random.Random, done: Counter[str]) -> None:
    """The life of one scheduler and its successors."""
    while True:
        await asyncio.sleep(draw.uniform(0.1, 1.5))
        if draw.random() < 0.4:
            process = table.system.processes[mine]
            process.freeze()
            await asyncio.sleep(draw.choice([0.3, 1, 6.5]))
            process.thaw()
            done["stops"] += 1
            continue
        table.system.kill(mine)
        done["kills"] += 1
        await asyncio.sleep(draw.choice([0, 0.2, 1.5]))
        mine = await table.scheduler(wrong_by)


@scenario("scheduler frozen between reading and appending", few=2, full=100)
async def frozen_between_steps(rounds: int, seed: int) -> Report:
    """One decides, freezes with the append in its hands, another one decides otherwise, the first one wakes up.

    The one's clock is so far ahead that more slots are due for it, so one would coalesce what the other fires.
    """
    async with timetable(seed) as table:
        job = await table.announce("JOB", catch_up="none")
        slot = minute_of(table.now)
        for _ in range(rounds):
            wrong_by = timedelta(seconds=table.system.random.choice([0, 0.8]))
            await _freeze_and_go_on(table, slot + MINUTE, wrong_by)
            slot = max(accounts((await table.system.stream.refresh()).facts, job.name))
        audits = await table.audits(slot)
        assert_exact(audits)
        facts = (await table.system.stream.anew()).facts
    assert violations(facts, settled=False) == []
    return _report(f"{rounds} freezes", audits, len(facts))


async def _freeze_and_go_on(table: Timetable, slot: datetime, wrong_by: timedelta) -> None:
    scene = table.system
    frozen = await table.scheduler(wrong_by, failpoint=f"before_slot:{scene.random.randint(1, 2)}:freeze")
    table.set(slot + timedelta(seconds=1))
    await table.wake()
    await _stopped(table, frozen)
    other = await table.scheduler(timedelta(seconds=0.8) - wrong_by)
    await _goes_on(table, other)
    scene.processes[frozen].thaw()
    await asyncio.sleep(0.3)
    assert scene.processes[frozen].running
    scene.kill(frozen)
    scene.kill(other)


async def _goes_on(table: Timetable, name: str) -> None:
    """Wait until this scheduler has handled a slot; later ones where those that are due have been handled."""
    for step in range(400):
        if '"slot_' in table.system.log_of(name):
            return
        if step % 50 == 49:
            table.set(table.now + MINUTE)
            await table.wake()
        await asyncio.sleep(0.02)
    raise AssertionError(f"{name} handles nothing:\n{table.system.log_of(name)}")


async def _stopped(table: Timetable, name: str) -> None:
    """Wait until the process stands still; let it have further slots where one is not enough."""
    status = f"/proc/{table.system.processes[name].pid}/stat"
    for step in range(400):
        with open(status) as stat:  # noqa: ASYNC230
            if stat.read().rpartition(")")[2].split()[0] == "T":
                return
        if step % 50 == 49:
            table.set(table.now + MINUTE)
            await table.wake()
        await asyncio.sleep(0.02)
    raise AssertionError(f"{name} did not come to its failpoint:\n{table.system.log_of(name)}")


@scenario("failpoint: scheduler before an append", few=3, full=100)
async def killed_before_a_slot(rounds: int, seed: int) -> Report:
    return await _killed_at("before_slot", rounds, seed)


@scenario("failpoint: scheduler between one slot's event and the next", few=3, full=100)
async def killed_after_a_slot(rounds: int, seed: int) -> Report:
    return await _killed_at("after_slot", rounds, seed)


async def _killed_at(failpoint: str, rounds: int, seed: int) -> Report:
    async with timetable(seed) as table:
        await table.announce("ALL", catch_up="all")
        await table.announce("LATEST")
        await table.announce("NONE", catch_up="none")
        now = minute_of(table.now)
        for _ in range(rounds):
            count = table.system.random.randint(1, 3)
            now += table.system.random.randint(3, 6) * MINUTE
            table.set(now)
            name = table.system.start("scheduler", clock_file=str(table.clock()), failpoint=f"{failpoint}:{count}")
            assert await table.system.ended(name) == 137
        await table.scheduler()
        audits = await table.settled(now)
        assert_exact(audits)
        facts = (await table.system.stream.anew()).facts
    assert violations(facts, settled=False) == []
    return _report(f"{rounds} crashes", audits, len(facts))


@scenario("restart over three slots with each catch-up policy, pause, resume, a schedule changed", few=1, full=20)
async def restarted_over_slots(rounds: int, seed: int) -> Report:
    """What becomes of each slot is known beforehand."""
    async with timetable(seed) as table:
        for name in ("ALL", "LATEST", "NONE", "PAUSED"):
            await table.announce(name, catch_up=name.lower() if name != "PAUSED" else "all")
        slot = minute_of(table.now)
        for _ in range(rounds):
            slot = await _once_over(table, slot)
        slot = await _change_while_due(table, slot)
        audits = await table.settled(slot)
        facts = (await table.system.stream.anew()).facts
    assert_exact(audits)
    return _report(f"{rounds} restarts, pauses and resumes", audits, len(facts))


async def _once_over(table: Timetable, last: datetime) -> datetime:
    """From the last handled slot on: three while nobody is there, then paused ones, then one on time."""
    late = [last + n * MINUTE for n in (1, 2, 3)]
    table.set(late[-1] + timedelta(seconds=30))
    name = await table.scheduler()
    await _expect(table, late, ALL=["fired"] * 3, LATEST=["coalesced"] * 2 + ["fired"], NONE=["missed"] * 2 + ["fired"])
    await table.pause("PAUSED")
    paused = [late[-1] + n * MINUTE for n in (1, 2)]
    table.set(paused[-1] + timedelta(seconds=1))
    await table.wake()
    await _expect(table, paused, PAUSED=["paused"] * 2, ALL=["fired"] * 2)
    await table.pause("PAUSED", paused=False)
    on_time = paused[-1] + MINUTE
    table.set(before(on_time))
    await table.wake()
    await _expect(table, [on_time], PAUSED=["fired"], ALL=["fired"], LATEST=["fired"], NONE=["fired"])
    table.system.kill(name)
    return on_time


async def _expect(table: Timetable, slots: list[datetime], **expected: list[str]) -> None:
    audits = await table.settled(slots[-1])
    assert_exact(audits)
    facts = (await table.system.stream.refresh()).facts
    for job, ways in expected.items():
        found = accounts(facts, job)
        assert [found[slot] for slot in slots] == [[way] for way in ways], job


async def _change_while_due(table: Timetable, last: datetime) -> datetime:
    """Nobody is there when the schedule is changed and slots come due: from the change on the new one's alone count."""
    job = await table.announce("CHANGED", catch_up="all")
    name = await table.scheduler()
    assert_exact(await table.settled(last))
    table.system.kill(name)
    await table.reschedule(job, 2, since=last)
    end = last + 7 * MINUTE
    table.set(end)
    await table.scheduler()
    assert_exact(await table.settled(end))
    return end


@scenario("a stream that lost its tail, seen by the scheduler", few=1, full=10)
async def restored_under_a_scheduler(rounds: int, seed: int) -> Report:
    """It must not go on with what it remembers of a stream that is another one: the sequences are used again."""
    spans: list[float] = []
    async with system(seed) as scene:
        for _ in range(rounds):
            (name,) = await scene.started("scheduler", reconcile_after_s="1")
            restore = await _copied(scene)
            for _ in range(5):
                await define(scene.log, "GONE", None)
            await scene.stream.connection.flush()
            await restore()
            run_id = await _next_trigger(scene)
            begin = time.monotonic()
            assert await scene.ended(name) == 1
            assert '"stream_replaced"' in scene.log_of(name)
            spans.append(time.monotonic() - begin)
            (name,) = await scene.started("scheduler", reconcile_after_s="1")
            await until(await scene.stream.anew(), lambda stream, run=run_id: stream.ended(run), 10, "the run's end")  # type: ignore[misc]
            scene.kill(name)
        events = await scene.last_sequence()
    return Report(f"{rounds} restored", events=events, figures=f"noticed after {spread(spans)}; started afresh")


async def _copied(scene: System) -> Callable[[], Awaitable[None]]:
    """Copy the server's data as it is now; call what is returned to put the copy in its place."""
    store = Path(scene.nats.command.argv[-1]).parent / "store"
    copy = scene.directory / "copy"
    scene.nats.stop()
    shutil.copytree(store, copy)
    scene.nats.start()

    async def restore() -> None:
        scene.nats.kill()
        shutil.rmtree(store)
        copy.rename(store)
        scene.nats.start()

    return restore


async def _next_trigger(scene: System) -> int:
    """A run in the place of an event that is gone, once the server is there again."""
    while True:
        try:
            return (await scene.connection.jetstream(timeout=2).publish("jobs.trigger.NOBODY.crm", b"")).seq
        except (NatsError, JetStreamError, TimeoutError):
            await asyncio.sleep(0.1)


def _total(audits: dict[str, Audit]) -> int:
    return sum(each.expected for each in audits.values())


def _listed(done: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(done.items()))


def _report(done: str, audits: dict[str, Audit], events: int) -> Report:
    ways: Counter[str] = Counter()
    for each in audits.values():
        ways.update(each.ways)
    return Report(
        done=done,
        events=events,
        lost=sum(len(each.lost) for each in audits.values()),
        doubled=sum(len(each.doubled) for each in audits.values()),
        figures=f"slots: {_listed(ways)}; each accounted for exactly once",
    )


async def test_any_number_of_schedulers_account_for_each_slot_once() -> None:
    await three_schedulers()


async def test_one_that_freezes_with_an_append_in_its_hands_doubles_nothing() -> None:
    await frozen_between_steps()


async def test_a_scheduler_killed_before_an_append_loses_nothing() -> None:
    await killed_before_a_slot()


async def test_a_scheduler_killed_between_two_slots_loses_nothing() -> None:
    await killed_after_a_slot()


async def test_a_scheduler_does_not_go_on_with_another_stream() -> None:
    await restored_under_a_scheduler()


async def test_after_a_restart_each_slot_becomes_what_the_policy_says() -> None:
    await restarted_over_slots()
