"""No run stays RUNNING for ever: whatever was lost, the reconciler ends the run and says which it was."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

from nats.errors import Error as NatsError

from tests.faults.figures import Report, scenario, spread
from tests.faults.load import expecting
from tests.faults.system import System, system
from tests.invariants import violations
from tests.scheduling import define

AFTER_S = 1.0
LOOKS_S = 4.0
"""For the look that finds it, the look that ends it, and a slow machine."""
TIMEOUT_S = 1.0
"""Of the job THREAD."""
_RUNNER = {"jobs": "tests.sample_jobs", "ack_wait_s": "1.5", "grace_s": "1"}
_Loss = Callable[[System], Awaitable[int]]


@scenario("runs that nobody will ever work on: six ways to lose one", few=1, full=20)
async def lost_runs(rounds: int, seed: int) -> Report:
    """rounds: of each way. Two reconcilers look; one end per run, with an error that says which loss it was."""
    ways: dict[str, tuple[_Loss, float]] = {
        "Unknown job type 'NOBODY'": (_unknown, AFTER_S),
        "No runner takes ANNOUNCED up": (_never_taken, AFTER_S),
        "runner-NOOP is gone": (_consumer_deleted, AFTER_S),
        "will not be delivered again": (_acknowledged, AFTER_S),
        "was delivered": (_exhausted, AFTER_S),
        "stopped answering": (_runner_died, TIMEOUT_S + 2 * AFTER_S),
    }
    spans: list[float] = []
    async with system(seed) as scene:
        await scene.started("scheduler", 2, reconcile_after_s=str(AFTER_S))
        for _ in range(rounds):
            await _runner_that_was(scene)
            lost = [(await lose(scene), says, patience_s) for says, (lose, patience_s) in ways.items()]
            for run_id, says, patience_s in lost:
                spans.append(await _ended(scene, run_id, says, patience_s + LOOKS_S))
        facts = (await scene.stream.anew()).facts
    assert violations(facts) == []
    return Report(
        f"{rounds} × {len(ways)} runs",
        runs=len(spans),
        events=len(facts),
        figures=f"ended after {spread(spans)} (reconcile_after {AFTER_S:g} s); each error says which loss it was",
    )


async def _ended(scene: System, run_id: int, says: str, within_s: float) -> float:
    """Seconds from its last event to its end, with an error that says this."""
    begin = time.monotonic()
    while not (await scene.stream.refresh()).ended(run_id):
        assert time.monotonic() - begin < within_s, f"run {run_id} ({says}): {scene.stream.runs[run_id]}"
        await asyncio.sleep(0.05)
    end = scene.stream.runs[run_id][-1]
    assert end.name == "failed", end
    assert says in end.data["error"], end.data
    before = [event.at for event in scene.stream.runs[run_id] if event.name == "started"]
    return end.at - max([*before, scene.stream.times[run_id]])


async def _trigger(scene: System, job: str, body: bytes = b"") -> int:
    return (await scene.connection.jetstream().publish(f"jobs.trigger.{job}.crm", body)).seq


async def _unknown(scene: System) -> int:
    return await _trigger(scene, "NOBODY")


async def _never_taken(scene: System) -> int:
    await define(scene.log, "ANNOUNCED", None)
    return await _trigger(scene, "ANNOUNCED")


async def _consumer_deleted(scene: System) -> int:
    await scene.connection.jetstream().delete_consumer("JOBS", "runner-NOOP")
    return await _trigger(scene, "NOOP")


async def _acknowledged(scene: System) -> int:
    """Somebody acknowledges a delivery that was not theirs."""
    run_id = await _trigger(scene, "ALONE")
    subscription = await scene.connection.jetstream().pull_subscribe_bind("runner-ALONE", "JOBS")
    (message,) = await subscription.fetch(1, timeout=5)
    await scene.connection.publish(message.reply, b"+ACK")
    await subscription.unsubscribe()
    return run_id


async def _exhausted(scene: System) -> int:
    """An operator gave the consumer a limit of deliveries, and it is used up."""
    jetstream = scene.connection.jetstream()
    config = (await jetstream.consumer_info("JOBS", "runner-WARNS")).config
    config.max_deliver = 1
    config.ack_wait = 0.5
    await jetstream.add_consumer("JOBS", config)
    run_id = await _trigger(scene, "WARNS")
    subscription = await jetstream.pull_subscribe_bind("runner-WARNS", "JOBS")
    await subscription.fetch(1, timeout=5)
    try:
        await subscription.fetch(1, timeout=1.5)
        raise AssertionError("it was delivered again")
    except (TimeoutError, NatsError):
        await subscription.unsubscribe()
    return run_id


async def _runner_that_was(scene: System) -> None:
    (name,) = await scene.started("runner", **_RUNNER)
    scene.kill(name)


async def _runner_died(scene: System) -> int:
    """In the middle of an attempt, and no other runner ever comes."""
    (name,) = await scene.started("runner", **_RUNNER)
    run_id = await _trigger(scene, "THREAD", json.dumps({"ms": 900}).encode())
    give_up = time.monotonic() + 10
    while not [event for event in (await scene.stream.refresh()).runs[run_id] if event.name == "started"]:
        assert time.monotonic() < give_up, scene.log_of(name)
        await asyncio.sleep(0.02)
    scene.kill(name)
    return run_id


@scenario("failpoint: reconciler between giving an attempt up and ending its run", few=1, full=100)
async def killed_between_two_events(rounds: int, seed: int) -> Report:
    async with system(seed) as scene:
        await _runner_that_was(scene)
        for _ in range(rounds):
            run_id = await _started_by_nobody(scene)
            name = scene.start("scheduler", reconcile_after_s="0.2", failpoint="after_giving_up")
            assert await scene.ended(name) == 137
            assert [event.name for event in (await scene.stream.refresh()).runs[run_id]] == ["started", "abandoned"]
            (name,) = await scene.started("scheduler", reconcile_after_s="0.2")
            await _ended(scene, run_id, "stopped answering", LOOKS_S)
            scene.kill(name)
        facts = (await scene.stream.anew()).facts
    assert violations(facts) == []
    return Report(f"{rounds} crashes", runs=rounds, events=len(facts), figures="each run has one end")


async def _started_by_nobody(scene: System) -> int:
    """A run whose attempt has begun, as its runner left it; its delivery is out."""
    run_id = await _trigger(scene, "NAP")
    subscription = await scene.connection.jetstream().pull_subscribe_bind("runner-NAP", "JOBS")
    while True:
        (message,) = await subscription.fetch(1, timeout=5)
        if message.metadata.sequence.stream == run_id:
            break
        await message.ack()
    await subscription.unsubscribe()
    event = {
        "specversion": "1.0",
        "id": f"{run_id}.started",
        "source": "/gone",
        "type": "kronik.run.started.v1",
        "time": "2026-01-01T00:00:00Z",
        "data": {"attempt": 1, "incarnation": "gone-1", "timeoutMs": 100},
    }
    subject = f"jobs.run.NAP.{run_id}.started"
    headers = await expecting(scene.connection, subject)
    await scene.connection.jetstream().publish(subject, json.dumps(event).encode(), headers=headers)
    return run_id


async def test_a_lost_run_is_ended_with_an_error_that_says_why() -> None:
    await lost_runs()


async def test_a_reconciler_killed_between_two_events_leaves_no_run_open() -> None:
    await killed_between_two_events()
