"""Runners that are killed, stopped and replaced while they work."""

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.faults.figures import Report, percentile, report, scenario, spread
from tests.faults.load import Load
from tests.faults.raw_stream import AckWatch, RawStream, runner_of, until, watch_acks
from tests.faults.stage import ACK_WAIT_S, Stage, stage, under_load


@scenario("kill -9 runner mid-job", few=3, full=200)
async def killed_runners(rounds: int, seed: int) -> Report:
    """Again and again a runner that has runs under way is killed, and another one started; three are left to go on."""
    async with stage(seed) as scene, watch_acks(scene.connection) as acks:
        await scene.crew(5)
        kills: list[tuple[str, float]] = []
        async with under_load(scene, seed, per_s=12) as load:
            while len(kills) < rounds:
                name = await _busy(scene)
                kills.append((name, scene.kill(name)))
                scene.hire()
                await scene.ready(4)
                await asyncio.sleep(scene.random.uniform(0, 0.5))
        verdict = await scene.settle(load)
        stream = await scene.stream.anew()
        assert acks.early(stream) == []
        takeovers = [after for name, at in kills for after in _taken_over(stream, name, at)]
        assert len(takeovers) >= rounds
        assert percentile(takeovers, 99) <= ACK_WAIT_S + 5, spread(takeovers)
        return report(
            f"{rounds} kills, {len(takeovers)} runs under way",
            verdict,
            figures=f"takeover {spread(takeovers)} (ack_wait {ACK_WAIT_S} s)",
        )


async def _busy(scene: Stage, at_least: int = 1) -> str:
    """A runner that has runs under way now."""
    found: list[str] = []

    def look(stream: RawStream) -> bool:
        found[:] = [name for name in scene.runners if len(stream.held_by(name)) >= at_least]
        return bool(found)

    await until(scene.stream, look, 30, "a runner with runs under way")
    return scene.random.choice(found)


def _taken_over(stream: RawStream, instance: str, at: float) -> list[float]:
    """How long after `at` each run that this runner held was started again, or was ended in its place."""
    spans = []
    for run_id in stream.held_by(instance, at):
        after = [
            event
            for event in stream.runs[run_id]
            if event.at > at and event.name not in {"cancel_requested", "abandoned"}
        ]
        spans.append(after[0].at - at)
    return spans


@scenario("SIGSTOP runner 3 × ack_wait, then SIGCONT", few=3, full=100)
async def stopped_runners(rounds: int, seed: int) -> Report:
    """Runs on a stopped runner are taken over by the others; when it wakes it may change nothing. rounds: such runs."""
    fenced, beats = 0, 0
    stops: list[Stop] = []
    async with stage(seed) as scene, watch_acks(scene.connection) as acks:
        await scene.crew(3)
        async with under_load(scene, seed, per_s=5, gentle=True) as load:
            while fenced < rounds:
                stop, lost, late = await _stop_and_go(scene, load, acks)
                stops.append(stop)
                fenced, beats = fenced + lost, beats + late
        verdict = await scene.settle(load)
        stream = await scene.stream.anew()
        assert acks.early(stream) == []
        assert not (ended := list(_ended_though_well(stream, stops))), ended
    return report(
        f"{len(stops)} stops, {fenced} of {fenced} runs fenced",
        verdict,
        figures=f"0 late acks, {beats} late heartbeats",
    )


@dataclass(frozen=True)
class Stop:
    """This runner was stopped from the one moment to the other."""

    name: str
    at: float
    woken: float


def _ended_though_well(stream: RawStream, stops: list[Stop]) -> Iterator[str]:
    """Attempts that somebody else ended though their runner was not stopped."""
    for run_id, events in stream.runs.items():
        for before, event in itertools.pairwise(e for e in events if e.name != "cancel_requested"):
            holder = runner_of(before)
            excused = (stop.name == holder and stop.at < event.at < stop.woken + 1 for stop in stops)
            if event.name == "abandoned" and not any(excused):
                yield f"run {run_id}: the attempt of {holder} was ended at {event.at}"


async def _stop_and_go(scene: Stage, load: Load, acks: AckWatch) -> tuple[Stop, int, int]:
    """Stop one runner with runs under way. How many of them it lost, and how many heartbeats came too late."""
    for ms in (1000, 2000, 3000, 4000, 5000):
        await load.trigger("HOLD", json.dumps({"ms": ms}))
        await load.trigger("HOLD", json.dumps({"ms": ms // 2}))
    name = await _busy(scene, at_least=2)
    scene.runners[name].freeze()
    at = time.time()
    await asyncio.sleep(3 * ACK_WAIT_S)
    held = (await scene.stream.refresh()).held_by(name, at)
    taken_over = "the others hold all runs of a stopped runner"
    await until(scene.stream, lambda stream: all(moved_on(stream, run_id, name) for run_id in held), 30, taken_over)
    lost = {run_id for run_id in held if replaced(scene.stream, run_id, at)}
    # Of the others it was told that they are its own only after it woke, if at all.
    begun = lost & scene.said_of(name, "attempt_started")
    deliveries = {run_id: _newest_delivery(acks, run_id, at) for run_id in begun}
    scene.runners[name].thaw()
    woken = time.time()
    give_up = time.monotonic() + 15
    while not begun <= scene.said_of(name, "attempt_fenced"):
        assert time.monotonic() < give_up, f"{name} did not find all of {begun} lost:\n{scene.last_words(name)}"
        await asyncio.sleep(0.05)
    await asyncio.sleep(ACK_WAIT_S / 3)
    late = [a for a in acks.acks if a.at >= woken and a.run_id in begun and a.delivery <= deliveries[a.run_id]]
    assert [ack for ack in late if ack.kind != "+WPI"] == []
    return Stop(name, at, woken), len(lost), len(late)


def moved_on(stream: RawStream, run_id: int, name: str) -> bool:
    return any(runner_of(e) != name for e in stream.runs[run_id][-2:] if e.name == "started") or stream.ended(run_id)


def replaced(stream: RawStream, run_id: int, at: float) -> bool:
    """Whether somebody else ended the attempt: its own end may have been on the way when its runner was stopped."""
    return any(event.name == "abandoned" and event.at > at for event in stream.runs[run_id])


def _newest_delivery(acks: AckWatch, run_id: int, until_at: float) -> int:
    """The delivery that the stopped runner held: the newest that anybody kept alive before the stop."""
    return max((ack.delivery for ack in acks.acks if ack.run_id == run_id and ack.at <= until_at), default=1)


@scenario("rolling restarts under load", few=1, full=20)
async def rolling_restarts(rounds: int, seed: int) -> Report:
    """A deploy: each runner is told to stop and its successor started, over and over; no job may notice."""
    restarts: list[float] = []
    async with stage(seed) as scene, watch_acks(scene.connection) as acks:
        await scene.crew(3)
        async with under_load(scene, seed, per_s=15, gentle=True) as load:
            for _ in range(rounds):
                for name in list(scene.runners):
                    begin = time.monotonic()
                    scene.terminate(name)
                    await scene.crew(1)
                    assert await scene.ended(name) == 0, scene.last_words(name)
                    restarts.append(time.monotonic() - begin)
        verdict = await scene.settle(load)
        stream = await scene.stream.anew()
        assert acks.early(stream) == []
        assert stream.events("failed") == []
        assert stream.events("retrying") == []
        abandoned = stream.events("abandoned")
        assert {event.data.get("reason") for event in abandoned} <= {"drained"}
        started = len(stream.events("started"))
        assert started == verdict.runs + len(abandoned), "a run was started twice"
    return report(
        f"{rounds} rounds, {len(restarts)} restarts",
        verdict,
        figures=f"0 failed, 0 attempts counted; {len(abandoned)} handed over; a restart {spread(restarts)}",
    )


async def test_a_killed_runners_runs_go_on() -> None:
    await killed_runners()


async def test_a_stopped_runner_changes_nothing_when_it_wakes() -> None:
    await stopped_runners()


async def test_a_deploy_fails_no_run() -> None:
    await rolling_restarts()
