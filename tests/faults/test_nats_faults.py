"""NATS that is killed, hangs, stays away, is slow, or is out of reach for one runner: everybody waits and goes on."""

import asyncio
import json
import time
from datetime import datetime

from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError

from services.log.connection import NO_CONNECTION
from tests.faults.figures import Report, report, scenario, spread
from tests.faults.load import Load, last_event
from tests.faults.proxy import proxy
from tests.faults.raw_stream import RawStream, until
from tests.faults.stage import Stage, stage, under_load

NOTICED_WITHIN_S = 15


@scenario("kill -9 nats-server under load, one node", few=2, full=50)
async def killed_server(rounds: int, seed: int) -> Report:
    """The server dies without a word while triggers are published and runs run; it comes back on its data."""
    recoveries: list[float] = []
    async with stage(seed) as scene:
        names = await scene.crew(3)
        async with under_load(scene, seed, per_s=15) as load:
            for _ in range(rounds):
                await asyncio.sleep(scene.random.uniform(0.5, 1.5))
                scene.servers[0].kill()
                await asyncio.sleep(scene.random.choice([0.0, 0.3, 1.0]))
                scene.servers[0].start()
                recoveries.append(await works_again(load))
        verdict = await scene.settle(load)
        assert_same_processes(scene, names)
    return report(
        f"{rounds} kills, {len(load.acknowledged)} acknowledged",
        verdict,
        figures=f"0 acknowledged lost; a run is done again after {spread(recoveries)}",
    )


async def works_again(load: Load, job: str = "NOOP", within_s: float = 40) -> float:
    """Seconds until a new trigger was acknowledged, run and ended."""
    begin = time.monotonic()
    told = await load.connection.subscribe(f"jobs.run.{job}.*.completed")
    try:
        run_id = None
        while run_id is None:
            assert time.monotonic() - begin < within_s, f"no trigger was acknowledged within {within_s} s"
            run_id = await load.trigger(job, "")
        give_up = within_s - (time.monotonic() - begin)
        async with asyncio.timeout(max(1, give_up)):
            while not await _completed(load, job, run_id):
                try:
                    await told.next_msg(timeout=0.3)
                except TimeoutError:
                    continue
    finally:
        await told.unsubscribe()
    return time.monotonic() - begin


async def _completed(load: Load, job: str, run_id: int) -> bool:
    try:
        return (await last_event(load.connection, f"jobs.run.{job}.{run_id}.>"))[1] == "completed"
    except (NatsError, JetStreamError, TimeoutError):
        return False


def assert_same_processes(scene: Stage, names: list[str]) -> None:
    """They went on by themselves: nobody had to start them again."""
    for name in names:
        assert scene.runners[name].running, f"{name} ended:\n{scene.last_words(name)}"


@scenario("NATS hung (SIGSTOP)", few=9, full=30)
async def frozen_server(rounds: int, seed: int) -> Report:
    """rounds: seconds, and until everybody has noticed. Its connections stay open and nothing is answered."""
    return await _away(rounds, seed, lambda scene: scene.servers[0].freeze())


@scenario("NATS away", few=5, full=600)
async def absent_server(rounds: int, seed: int) -> Report:
    """rounds: seconds. It is killed and not started again for long."""
    return await _away(rounds, seed, lambda scene: scene.servers[0].kill())


def started(stream: RawStream) -> set[int]:
    return {run_id for run_id, events in stream.runs.items() if any(event.name == "started" for event in events)}


async def _away(seconds: int, seed: int, take_away) -> Report:  # type: ignore[no-untyped-def]
    async with stage(seed) as scene:
        names = await scene.crew(3)
        async with under_load(scene, seed, per_s=8, gentle=True) as load:
            for ms in (500, 3000, 1000 * seconds + 1000):
                await load.trigger("HOLD", json.dumps({"ms": min(ms, 60_000)}))
            await until(scene.stream, lambda stream: len(stream.events("started")) >= 3, 30, "runs under way")
            # Over its time when nobody can be told of its end: no reason for its runner to take itself for hung.
            short = await load.trigger("THREAD", '{"ms": 900}')
            await until(scene.stream, lambda stream: short in started(stream), 30, "a short run under way")
            at = time.time()
            take_away(scene)
            noticed = [await _noticed(scene, name, at) for name in names]
            newcomer = scene.hire()
            await asyncio.sleep(max(0.0, seconds - (time.time() - at)))
            scene.servers[0].start()
            recovery = await works_again(load)
        await scene.said(newcomer, "runner_ready")
        verdict = await scene.settle(load, within_s=90)
        assert_same_processes(scene, [*names, newcomer])
        again = len((await scene.stream.anew()).events("abandoned"))
    assert max(noticed) <= NOTICED_WITHIN_S, f"noticed after {noticed}"
    figures = (
        f"noticed after {max(noticed):.1f} s at most; a run is done again after {recovery:.1f} s; {again} taken over"
    )
    return report(f"{seconds} s", verdict, figures=figures)


async def _noticed(scene: Stage, name: str, at: float) -> float:
    """How long after `at` this runner's log said that NATS is gone."""
    line = await scene.said(name, "nats_disconnected", within_s=NOTICED_WITHIN_S + 10)
    return datetime.fromisoformat(line["timestamp"]).timestamp() - at


async def test_a_runner_whose_nats_client_gives_up_ends_to_be_started_again() -> None:
    async with stage(0) as scene, proxy(scene.servers[0].port) as way:
        name = scene.hire(nats_url=f"nats://127.0.0.1:{way.port}")
        await scene.said(name, "runner_ready")
        way.say(b"-ERR 'Parser Error'\r\n")
        assert await scene.ended(name) == NO_CONNECTION


async def test_a_runner_that_waits_for_its_server_can_be_stopped() -> None:
    async with stage(0) as scene:
        scene.servers[0].kill()
        name = scene.hire()
        await scene.said(name, "nats_error")
        scene.terminate(name)
        assert await scene.ended(name, within_s=5) == 0


async def test_a_consumer_that_is_gone_is_not_asked_in_a_tight_loop() -> None:
    async with stage(0) as scene:
        name = scene.hire(slots="4")
        await scene.said(name, "runner_ready")
        await scene.connection.jetstream().delete_consumer("JOBS", "runner-NAP")
        await works_again(Load(scene.connection, 0), "NAP")
        # Four loops, each at most every half second, for the two seconds until somebody looks.
        assert 1 <= len(scene.lines(name, "pull_failed")) <= 40


async def test_a_runner_can_be_started_before_its_server() -> None:
    async with stage(0) as scene:
        scene.servers[0].kill()
        name = scene.hire()
        await scene.said(name, "nats_error")
        scene.servers[0].start()
        await scene.said(name, "runner_ready")


async def test_nothing_acknowledged_is_lost_when_the_server_is_killed() -> None:
    await killed_server()


async def test_a_hung_server_is_noticed_and_waited_for() -> None:
    await frozen_server()


async def test_a_server_that_is_away_is_waited_for() -> None:
    await absent_server()
