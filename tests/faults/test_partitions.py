"""A runner that can't reach NATS while the others can, and one that reaches it slowly."""

import asyncio
import json
import time

from tests.faults.figures import Report, report, scenario
from tests.faults.load import Load
from tests.faults.proxy import Proxy, proxy
from tests.faults.raw_stream import until, watch_acks
from tests.faults.stage import ACK_WAIT_S, Stage, stage, under_load
from tests.faults.test_runner_faults import moved_on, replaced


@scenario("runner cut off for 2 × ack_wait and more, another takes over", few=1, full=50)
async def cut_off_runners(rounds: int, seed: int) -> Report:
    """Its connection stays open and nothing passes; when it does, what was held back arrives late. rounds: runs."""
    fenced = cuts = 0
    async with stage(seed) as scene, watch_acks(scene.connection) as acks, proxy(scene.servers[0].port) as way:
        await scene.crew(2)
        name = scene.hire(nats_url=f"nats://127.0.0.1:{way.port}")
        await scene.said(name, "runner_ready")
        async with under_load(scene, seed, per_s=4, gentle=True) as load:
            while fenced < rounds:
                fenced, cuts = fenced + await _cut_and_mend(scene, load, way, name), cuts + 1
        verdict = await scene.settle(load)
        assert acks.early(await scene.stream.anew()) == []
    return report(f"{cuts} cuts, {fenced} of {fenced} runs fenced", verdict)


async def _cut_and_mend(scene: Stage, load: Load, way: Proxy, name: str) -> int:
    """How many runs the runner behind the proxy held when it was cut off; all are lost to it."""
    for ms in (3000, 4000, 5000):
        await load.trigger("HOLD", json.dumps({"ms": ms}))
        await load.trigger("HOLD", json.dumps({"ms": ms}))
    await until(scene.stream, lambda stream: bool(stream.held_by(name)), 30, "runs on the runner to be cut off")
    way.cut()
    at = time.time()
    await asyncio.sleep(2 * ACK_WAIT_S)
    held = (await scene.stream.refresh()).held_by(name, at)
    taken_over = "the others hold the runs of the one that is cut off"
    await until(scene.stream, lambda stream: all(moved_on(stream, run_id, name) for run_id in held), 30, taken_over)
    lost = {run_id for run_id in held if replaced(scene.stream, run_id, at)}
    begun = lost & scene.said_of(name, "attempt_started")
    way.mend()
    give_up = time.monotonic() + 30
    while not begun <= scene.said_of(name, "attempt_fenced"):
        assert time.monotonic() < give_up, f"{name} did not find all of {begun} lost:\n{scene.last_words(name)}"
        await asyncio.sleep(0.05)
    return len(lost)


@scenario("a slow way to NATS, 0.2 s each way", few=1, full=60)
async def slow_way(rounds: int, seed: int) -> Report:
    """rounds: seconds of load with every runner behind it. Slow is not lost: no attempt is taken over."""
    async with stage(seed) as scene, watch_acks(scene.connection) as acks, proxy(scene.servers[0].port) as way:
        for name in [scene.hire(nats_url=f"nats://127.0.0.1:{way.port}") for _ in range(2)]:
            await scene.said(name, "runner_ready")
        way.delay_s = 0.2
        async with under_load(scene, seed, per_s=4, gentle=True) as load:
            await asyncio.sleep(rounds)
        verdict = await scene.settle(load)
        stream = await scene.stream.anew()
        assert acks.early(stream) == []
        abandoned = stream.events("abandoned")
        assert abandoned == [], abandoned
    return report(f"{rounds} s", verdict, figures="0 taken over")


async def test_a_runner_that_was_cut_off_changes_nothing_when_it_is_back() -> None:
    await cut_off_runners()


async def test_a_slow_way_costs_no_attempt() -> None:
    await slow_way()
