"""Every due slot becomes exactly one event, whatever happens to schedulers, clocks and schedules."""

import asyncio
import random
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kronik import subjects
from kronik.events import Failed, Pause, Retirement, Schedule, ScheduleChanged, Triggered
from kronik.schedule import CatchUp
from msgspec.structs import replace
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig

from services.infra import lifecycle
from services.infra.clock import monotonic_s
from services.log import jetstream, subscription
from services.log.append import EventLog
from services.log.stored import START
from services.log.stored import Position as StreamPosition
from services.scheduler.decisions import Fire, Skip
from services.scheduler.ledger import Ledger, Position
from tests.scheduling import (
    EVERY_MINUTE,
    MINUTE,
    SetClock,
    change,
    define,
    handled,
    next_minute,
    scheduler,
    skips,
    stored,
    triggers,
)

JOB = "REPORT"


async def test_a_slot_fires_as_a_cron_trigger_that_names_it(event_log: EventLog, nats_url: str) -> None:
    await define(event_log, JOB)
    slot = next_minute()
    async with scheduler(nats_url, SetClock(slot)) as running:
        tick = await running.scheduler.run_once()
    (job,) = tick.jobs
    assert list(job.fired) == [slot]
    assert tick.next_due == slot + MINUTE
    trigger = await event_log.get(job.fired[slot])
    assert trigger is not None
    assert trigger.subject == f"jobs.trigger.{JOB}.cron"
    assert trigger.data == Triggered(scheduled_for=slot)


async def test_a_slot_whose_trigger_alone_is_left_of_a_torn_batch_is_handled(
    event_log: EventLog, nats_url: str
) -> None:
    await define(event_log, JOB)
    slot = next_minute()
    await event_log.append(subjects.trigger(JOB, "cron"), Triggered(scheduled_for=slot), id="torn")
    async with scheduler(nats_url, SetClock(slot)) as running:
        assert not (await running.scheduler.run_once()).jobs
        running.clock.advance(MINUTE)
        assert list((await running.scheduler.run_once()).jobs[0].fired) == [slot + MINUTE]
    assert await triggers(event_log, JOB) == [slot, slot + MINUTE]


async def test_before_the_slot_nothing_happens(event_log: EventLog, nats_url: str) -> None:
    await define(event_log, JOB)
    slot = next_minute()
    async with scheduler(nats_url, SetClock(slot - timedelta(milliseconds=1))) as running:
        tick = await running.scheduler.run_once()
    assert tick.next_due == slot
    assert await handled(event_log, JOB) == []


async def test_three_schedulers_at_once_fire_fifty_slots_each_exactly_once(event_log: EventLog, nats_url: str) -> None:
    await define(event_log, JOB)
    begin = next_minute()
    clock = SetClock(begin)
    async with AsyncExitStack() as stack:
        three = [await stack.enter_async_context(scheduler(nats_url, clock)) for _ in range(3)]
        ticks = []
        for _ in range(50):
            ticks += await asyncio.gather(*(each.scheduler.run_once() for each in three))
            clock.advance(MINUTE)
    assert await triggers(event_log, JOB) == [begin + n * MINUTE for n in range(50)]
    assert await skips(event_log, JOB) == []
    assert sum(len(job.fired) for tick in ticks for job in tick.jobs) == 50


@pytest.mark.parametrize("seed", range(3))
async def test_schedulers_whose_clocks_differ_handle_every_slot_once(
    event_log: EventLog, nats_url: str, seed: int
) -> None:
    """They ask servers of a cluster, say, whose clocks differ a little: one sees slots due before another does."""
    await define(event_log, JOB)
    dice = random.Random(seed)
    begin = next_minute()
    clocks = [SetClock(begin) for _ in range(4)]
    async with AsyncExitStack() as stack:
        four = [await stack.enter_async_context(scheduler(nats_url, clock)) for clock in clocks]
        for step in range(15):
            for clock in clocks:
                clock.shown = begin + step * MINUTE + timedelta(seconds=dice.uniform(-0.4, 0.4))
            await asyncio.gather(*(each.scheduler.run_once() for each in four))
        clocks[0].shown = begin + 14 * MINUTE
        await four[0].scheduler.run_once()
    assert await handled(event_log, JOB) == [begin + n * MINUTE for n in range(15)]


async def test_two_schedulers_that_decide_differently_on_one_slot_leave_one_event(
    event_log: EventLog, nats_client: Client
) -> None:
    """Whenever the second one's bytes arrive: neither a clock nor a window of ids is asked."""
    slot = next_minute()
    ledger = Ledger(event_log)
    first = await ledger.append(JOB, Position(), [Skip(slot, "paused", "")], datetime.now(UTC))
    second = await ledger.append(JOB, Position(), [Fire(slot)], datetime.now(UTC))
    assert first is not None
    assert second is None
    assert await triggers(event_log, JOB) == []
    assert await skips(event_log, JOB) == [(slot, "paused")]


@pytest.mark.parametrize(
    ("catch_up", "outcomes"),
    [
        ("latest", {2: "coalesced", 3: "coalesced", 4: "fire"}),
        ("all", {2: "fire", 3: "fire", 4: "fire"}),
        ("none", {2: "missed", 3: "missed", 4: "fire"}),
    ],
)
async def test_after_a_restart_the_missed_slots_are_caught_up(
    event_log: EventLog, nats_url: str, catch_up: CatchUp, outcomes: dict[int, str]
) -> None:
    await define(event_log, JOB, replace(EVERY_MINUTE, catch_up=catch_up))
    begin = next_minute(0)
    async with scheduler(nats_url, SetClock(begin + MINUTE)) as running:
        await running.scheduler.run_once()
    async with scheduler(nats_url, SetClock(begin + 4 * MINUTE + timedelta(seconds=1))) as running:
        await running.scheduler.run_once()
        assert (await running.scheduler.run_once()).jobs == ()
    found = dict.fromkeys(await triggers(event_log, JOB), "fire") | dict(await skips(event_log, JOB))
    assert found == {begin + MINUTE: "fire"} | {begin + n * MINUTE: outcome for n, outcome in outcomes.items()}
    assert await handled(event_log, JOB) == sorted(found)


async def test_slots_past_the_deadline_are_missed(event_log: EventLog, nats_url: str) -> None:
    await define(event_log, JOB, replace(EVERY_MINUTE, catch_up="all", deadline_ms=90_000))
    begin = next_minute(0)
    async with scheduler(nats_url, SetClock(begin + 3 * MINUTE)) as running:
        await running.scheduler.run_once()
    assert await skips(event_log, JOB) == [(begin + MINUTE, "missed")]
    assert await triggers(event_log, JOB) == [begin + 2 * MINUTE, begin + 3 * MINUTE]


async def test_a_long_outage_is_worked_off_in_pieces(event_log: EventLog, nats_url: str) -> None:
    await define(event_log, JOB)
    begin = next_minute(0)
    async with scheduler(nats_url, SetClock(begin + 2_500 * MINUTE)) as running:
        tick = await running.scheduler.run_once()
    assert list(tick.jobs[0].fired) == [begin + 2_500 * MINUTE]
    assert await handled(event_log, JOB) == [begin + n * MINUTE for n in range(1, 2_501)]


async def test_a_paused_schedule_leaves_paused_slots_until_it_is_resumed(event_log: EventLog, nats_url: str) -> None:
    await define(event_log, JOB)
    begin = next_minute()
    clock = SetClock(begin)
    async with scheduler(nats_url, clock) as running:
        await running.scheduler.run_once()
        await running.seen(await change(event_log, JOB, paused=True))
        clock.advance(MINUTE)
        await running.scheduler.run_once()
        await running.seen(await change(event_log, JOB))
        clock.advance(MINUTE)
        await running.scheduler.run_once()
    assert await triggers(event_log, JOB) == [begin, begin + 2 * MINUTE]
    assert await skips(event_log, JOB) == [(begin + MINUTE, "paused")]


async def test_a_pause_that_has_not_arrived_yet_is_waited_for(
    event_log: EventLog, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader may lag behind; the stream is asked before anything fires."""
    monkeypatch.setattr(subscription, "_REACHED_WITHIN_S", 0.1)
    await define(event_log, JOB)
    clock = SetClock(next_minute())
    async with scheduler(nats_url, clock) as running:
        await running.seen(await change(event_log, JOB, paused=True))
        taken, running.schedules_feed.position = running.schedules_feed.position, START
        tick = await running.scheduler.run_once()
        assert tick.problem == "a newer schedule is on its way"
        assert await handled(event_log, JOB) == []
        running.schedules_feed.position = taken
        await running.scheduler.run_once()
    assert [outcome for _, outcome in await skips(event_log, JOB)] == ["paused"]


async def test_an_admins_schedule_replaces_the_jobs_own(event_log: EventLog, nats_url: str) -> None:
    await define(event_log, JOB, Schedule(expression="0 0 1 1 *", tz="UTC"))
    await change(event_log, JOB, schedule=EVERY_MINUTE)
    async with scheduler(nats_url, SetClock(next_minute())) as running:
        await running.scheduler.run_once()
    assert len(await triggers(event_log, JOB)) == 1


@pytest.mark.parametrize("restarted", [False, True])
async def test_when_a_clock_that_was_days_ahead_is_put_back_schedules_go_on_as_if_it_never_had_been(
    event_log: EventLog, nats_url: str, restarted: bool
) -> None:
    await define(event_log, JOB)
    begin, days = next_minute(), timedelta(days=2)
    clock = SetClock(begin)
    async with scheduler(nats_url, clock) as running:
        await running.scheduler.run_once()
        clock.advance(days)
        for _ in range(3):
            await running.scheduler.run_once()
            clock.advance(MINUTE)
        false_future = await triggers(event_log, JOB)
        clock.shown = begin
        if not restarted:
            for _ in range(4):
                await running.scheduler.run_once()
                clock.advance(MINUTE)
    if restarted:
        async with scheduler(nats_url, clock) as again:
            for _ in range(4):
                await again.scheduler.run_once()
                clock.advance(MINUTE)
    assert false_future == [begin, begin + days, begin + days + MINUTE, begin + days + 2 * MINUTE]
    assert (await triggers(event_log, JOB))[4:] == [begin + n * MINUTE for n in (1, 2, 3)]


async def test_what_was_handled_in_a_false_future_happens_when_it_really_comes(
    event_log: EventLog, nats_url: str
) -> None:
    """A daily job: between the false slot and the true one nothing else is in its ledger."""
    slot = (datetime.now(UTC) + timedelta(hours=5)).replace(minute=30, second=0, microsecond=0)
    await define(event_log, JOB, Schedule(expression=f"30 {slot.hour} * * *", tz="UTC"))
    async with scheduler(nats_url, SetClock(slot)) as ahead:
        await ahead.scheduler.run_once()
    put_back = SetClock(datetime.now(UTC))
    async with scheduler(nats_url, put_back) as running:
        tick = await running.scheduler.run_once()
        assert tick.next_due == slot
        assert await triggers(event_log, JOB) == [slot]
        position = running.scheduler._positions[JOB]
    assert (position.handled, position.sequence > 0) == (None, True)
    assert not Position(9, slot, slot - timedelta(hours=5), 10).is_believed(slot, timedelta(0))


async def test_when_the_servers_clock_is_put_back_a_running_scheduler_goes_on(
    event_log: EventLog, nats_url: str
) -> None:
    """What was handled in the server's false future is forgotten, though this process has not been started anew."""
    await define(event_log, JOB)
    slot = next_minute()
    clock = SetClock(slot)
    async with scheduler(nats_url, clock) as running:
        await running.scheduler.run_once()
        days = timedelta(days=3)
        known = running.scheduler._positions[JOB]
        running.scheduler._positions[JOB] = replace(known, handled=slot + days, stored_at=slot + days)
        running.scheduler._seen = slot + days
        clock.advance(MINUTE)
        tick = await running.scheduler.run_once()
    assert list(tick.jobs[0].fired) == [slot + MINUTE]


async def test_a_schedule_that_is_given_while_the_clock_is_ahead_has_no_slots_from_before(
    event_log: EventLog, nats_url: str
) -> None:
    await define(event_log, JOB, None)
    clock = SetClock(datetime.now(UTC) + timedelta(days=3))
    async with scheduler(nats_url, clock) as running:
        await running.scheduler.run_once()
        await running.seen(await change(event_log, JOB, schedule=EVERY_MINUTE))
        tick = await running.scheduler.run_once()
        assert tick.jobs == ()
        assert await handled(event_log, JOB) == []
        clock.advance(MINUTE)
        tick = await running.scheduler.run_once()
    assert len(tick.jobs[0].fired) == 1
    assert tick.jobs[0].skipped == ()


async def test_a_retired_job_has_no_slots_until_it_is_announced_again(event_log: EventLog, nats_url: str) -> None:
    await define(event_log, JOB)
    begin = next_minute()
    clock = SetClock(begin)
    async with scheduler(nats_url, clock) as running:
        await running.scheduler.run_once()
        retired = ScheduleChanged(by="ADMIN:7", retired=Retirement(by="ADMIN:7"))
        await running.seen(await stored(event_log, subjects.schedule(JOB), retired))
        clock.advance(2 * MINUTE)
        assert (await running.scheduler.run_once()).jobs == ()
        await running.seen(await define(event_log, JOB))
        clock.advance(MINUTE)
        await running.scheduler.run_once()
    found = await handled(event_log, JOB)
    assert begin + MINUTE not in found
    assert found[-1] == begin + 3 * MINUTE


async def test_a_pause_ends_by_itself(event_log: EventLog, nats_url: str) -> None:
    await define(event_log, JOB)
    begin = next_minute()
    pause = Pause(by="ADMIN:7", reason="ovens", until=begin + MINUTE)
    clock = SetClock(begin)
    async with scheduler(nats_url, clock) as running:
        await running.seen(await stored(event_log, subjects.schedule(JOB), ScheduleChanged(by="ADMIN:7", pause=pause)))
        skipped = (await running.scheduler.run_once()).jobs[0].skipped
        clock.advance(MINUTE)
        await running.scheduler.run_once()
    assert skipped[0].reason == "The schedule was paused by ADMIN:7 (ovens) when this slot came due."
    assert await triggers(event_log, JOB) == [begin + MINUTE]


async def _no_runner_waits(client: Client) -> None:
    """A runner made its consumer once, and is gone."""
    config = ConsumerConfig(
        durable_name=subjects.runner_consumer(JOB),
        filter_subject=subjects.triggers_of(JOB),
        ack_policy=AckPolicy.EXPLICIT,
    )
    await client.jetstream().add_consumer(subjects.STREAM, config)


@pytest.mark.parametrize(
    ("catch_up", "outcomes"), [("latest", ["coalesced"] * 2), ("all", []), ("none", ["missed"] * 3)]
)
async def test_while_no_runner_serves_the_job_runs_do_not_pile_up_against_its_catch_up(
    event_log: EventLog, nats_url: str, nats_client: Client, catch_up: CatchUp, outcomes: list[str]
) -> None:
    await define(event_log, JOB, replace(EVERY_MINUTE, catch_up=catch_up))
    await _no_runner_waits(nats_client)
    clock = SetClock(next_minute())
    async with scheduler(nats_url, clock) as running:
        for _ in range(3):
            tick = await running.scheduler.run_once()
            clock.advance(MINUTE)
        fired = await triggers(event_log, JOB)
        assert [outcome for _, outcome in await skips(event_log, JOB)] == outcomes
        assert len(fired) == 3 - len(outcomes)
    if catch_up == "latest":
        assert tick.jobs[0].skipped[0].reason.startswith("No runner serves this job now; run ")


async def test_who_serves_is_asked_once_for_all_jobs_that_are_due_together(
    event_log: EventLog, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten thousand jobs with runs that wait asked ten thousand questions at once, and most went without an answer."""
    jobs = [f"{JOB}{number}" for number in range(60)]
    for job in jobs:
        await define(event_log, job)
    clock = SetClock(next_minute())
    asked: list[str] = []
    ask = jetstream._call

    async def count(connection: Client, api: str, *rest: Any) -> Any:
        asked.append(api)
        return await ask(connection, api, *rest)

    async with scheduler(nats_url, clock) as running:
        first = await running.scheduler.run_once()
        await running.seen_run(max(max(job.fired.values()) for job in first.jobs))
        clock.advance(MINUTE)
        monkeypatch.setattr(jetstream, "_call", count)
        tick = await running.scheduler.run_once()
    assert sorted(job.job_type for job in tick.jobs if job.fired) == sorted(jobs)
    assert sum(api.startswith("CONSUMER.") for api in asked) == 1


async def test_the_queue_of_a_job_that_is_slower_than_its_schedule_has_an_end(
    event_log: EventLog, nats_url: str
) -> None:
    await define(event_log, JOB)
    limited = ScheduleChanged(by="ADMIN:7", max_queued=2)
    begin = next_minute()
    clock = SetClock(begin)
    async with scheduler(nats_url, clock) as running:
        await running.seen(await stored(event_log, subjects.schedule(JOB), limited))
        for _ in range(4):
            tick = await running.scheduler.run_once()
            clock.advance(MINUTE)
    assert await triggers(event_log, JOB) == [begin, begin + MINUTE]
    assert tick.jobs[0].skipped[0].reason == "2 runs of this job wait already, and no more than 2 may."


async def test_a_slot_from_a_clock_that_was_years_ahead_does_not_silence_the_schedule(
    event_log: EventLog, nats_url: str
) -> None:
    await define(event_log, JOB)
    slot = next_minute()
    clock = SetClock(slot)
    async with scheduler(nats_url, clock) as running:
        await running.scheduler.run_once()
        absurd = Triggered(scheduled_for=slot + timedelta(days=3650))
        await stored(event_log, subjects.trigger(JOB, "cron"), absurd)
        clock.advance(MINUTE)
        tick = await running.scheduler.run_once()
    assert list(tick.jobs[0].fired) == [slot + MINUTE]


async def test_somebody_elses_cron_trigger_without_a_slot_starts_nothing_anew(
    event_log: EventLog, nats_url: str
) -> None:
    await define(event_log, JOB)
    slot = next_minute()
    clock = SetClock(slot)
    async with scheduler(nats_url, clock) as running:
        await running.scheduler.run_once()
    await stored(event_log, subjects.trigger(JOB, "cron"), Triggered())
    async with scheduler(nats_url, clock) as restarted:
        tick = await restarted.scheduler.run_once()
    assert tick.jobs == ()
    assert tick.next_due == slot + MINUTE


async def test_overlap_skip_drops_slots_while_a_run_is_open(event_log: EventLog, nats_url: str) -> None:
    await define(event_log, JOB, replace(EVERY_MINUTE, overlap="skip"))
    begin = next_minute()
    clock = SetClock(begin)
    async with scheduler(nats_url, clock) as running:
        run_id = (await running.scheduler.run_once()).jobs[0].fired[begin]
        clock.advance(MINUTE)
        skipped = (await running.scheduler.run_once()).jobs[0].skipped
        assert skipped[0].reason == f"Run {run_id} of this job was still open."
        found = await event_log.read_run(run_id)
        assert found
        await event_log.append_to_run(found[0], Failed(attempt=0, error="", error_type=""), by="test")
        clock.advance(MINUTE)
        await running.scheduler.run_once()
    assert await triggers(event_log, JOB) == [begin, begin + 2 * MINUTE]
    assert await skips(event_log, JOB) == [(begin + MINUTE, "overlapped")]


async def test_overlap_skip_waits_to_hear_of_the_run_that_another_scheduler_has_just_fired(
    event_log: EventLog, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await define(event_log, JOB, replace(EVERY_MINUTE, overlap="skip", catch_up="all"))
    begin = next_minute()
    ahead, behind = SetClock(begin), SetClock(begin + MINUTE)
    async with scheduler(nats_url, ahead) as one, scheduler(nats_url, behind) as two:
        tick = await one.scheduler.run_once()
        run_id = tick.jobs[0].fired[begin]
        await two.seen_run(run_id)
        two.runs.forget(JOB, run_id)
        two.runs_feed.position = START
        monkeypatch.setattr(subscription, "_REACHED_WITHIN_S", 0.1)
        tick = await two.scheduler.run_once()
        assert tick.jobs[0].problem == "the open runs are not known yet"
        two.runs.note(subjects.trigger(JOB, "cron"), run_id)
        two.runs_feed.position = StreamPosition(run_id, "")
        await two.scheduler.run_once()
    assert await triggers(event_log, JOB) == [begin]
    assert await skips(event_log, JOB) == [(begin + MINUTE, "overlapped")]


async def test_what_was_read_too_long_ago_is_read_again(event_log: EventLog, nats_url: str) -> None:
    """As after SIGSTOP: the clock has moved on between the look and the append."""
    await define(event_log, JOB, replace(EVERY_MINUTE, catch_up="none"))
    begin = next_minute()

    class JumpingClock(SetClock):
        def now(self) -> datetime:
            """Two hours pass before the fourth look at it."""
            looks.append(self.shown)
            return self.shown + (timedelta(hours=2) if len(looks) > 3 else timedelta(0))

    looks: list[datetime] = []
    async with scheduler(nats_url, JumpingClock(begin)) as running:
        await running.scheduler.run_once()
    assert begin not in await triggers(event_log, JOB), "two hours late, and the schedule does not catch up"
    assert dict(await skips(event_log, JOB))[begin] == "missed"


async def test_a_job_whose_schedule_can_not_work_does_not_stop_another(event_log: EventLog, nats_url: str) -> None:
    await define(event_log, "BROKEN", Schedule(expression="nonsense", tz="UTC"))
    await define(event_log, JOB)
    async with scheduler(nats_url, SetClock(next_minute())) as running:
        await running.scheduler.run_once()
    assert len(await triggers(event_log, JOB)) == 1


async def test_the_loop_wakes_when_a_schedule_changes(event_log: EventLog, nats_url: str, nats_client: Client) -> None:
    await define(event_log, JOB, None)
    fired = await nats_client.subscribe(subjects.TRIGGERS)
    await nats_client.flush()

    class Ticking(SetClock):
        def now(self) -> datetime:
            return self.shown + timedelta(seconds=monotonic_s() - begin_s)

    begin_s = monotonic_s()
    async with scheduler(nats_url, Ticking(next_minute(3) - timedelta(seconds=2))) as running:
        following = asyncio.create_task(running.scheduler.run())
        await change(event_log, JOB, schedule=EVERY_MINUTE)
        await fired.next_msg(timeout=5)
        await lifecycle.end([following])


async def test_slots_are_told_in_utc(event_log: EventLog, nats_url: str) -> None:
    await define(event_log, JOB, Schedule(expression="30 2 * * *", tz="Europe/Copenhagen"))
    clock = SetClock(datetime.now(UTC) + timedelta(days=1))
    async with scheduler(nats_url, clock) as running:
        await running.scheduler.run_once()
    (slot,) = await triggers(event_log, JOB)
    assert slot.utcoffset() == timedelta(0)
