"""The history under faults: Postgres and projectors that are killed, streams that lost their tail, long absences."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from services.api.history.rebuild import rebuild
from services.infra import lifecycle
from services.log.provision import provision
from tests.faults.figures import Report, scenario, spread
from tests.faults.flow import LANES, Flow
from tests.faults.read_model import assert_equals_stream, table_hashes
from tests.faults.system import System, freeze_all_of, kill_all_of, system, thaw
from tests.scheduling import define


@asynccontextmanager
async def flowing(scene: System, seed: int, per_s: float = 300) -> AsyncIterator[Flow]:
    """A flow of events for as long as the block takes."""
    flow = Flow(scene.connection, seed, per_s)
    lanes = [asyncio.create_task(flow.lane()) for _ in range(LANES)]
    try:
        yield flow
        assert not any(lane.done() for lane in lanes), "the flow has stopped"
    finally:
        await lifecycle.end(lanes)


@scenario("kill -9 Postgres mid-projection", few=2, full=100)
async def killed_postgres(rounds: int, seed: int) -> Report:
    """The whole of Postgres dies while events are being projected, and comes back on its data."""
    recoveries: list[float] = []
    async with system(seed, postgres=True) as scene:
        assert scene.postgres is not None
        (api,) = await scene.started("api")
        async with flowing(scene, seed):
            for _ in range(rounds):
                await _moves(scene, api)
                await asyncio.sleep(scene.random.uniform(0, 0.3))
                kill_all_of(scene.postgres)
                scene.postgres.start()
                recoveries.append(await _moves(scene, api))
        events = await assert_equals_stream(scene, api)
    return Report(
        f"{rounds} kills",
        events=events,
        divergent=0,
        figures=f"rebuild hash = live hash; projecting again after {spread(recoveries)}",
    )


async def _moves(scene: System, api: str, within_s: float = 30) -> float:
    """Seconds until the projection has reached what stood in the stream when it was asked."""
    begin = time.monotonic()
    await scene.projected(api, await scene.last_sequence(), within_s)
    return time.monotonic() - begin


@scenario("kill -9 projector at random", few=1, full=100)
async def killed_projectors(rounds: int, seed: int) -> Report:
    """Two API processes: one projects, the other stands by; again and again one of them, or both, are killed."""
    async with system(seed, postgres=True) as scene:
        names = await scene.started("api", 2, ready="api_ready")
        async with flowing(scene, seed):
            for _ in range(rounds):
                await _moves(scene, names[0])
                await asyncio.sleep(scene.random.uniform(0, 0.5))
                for victim in scene.random.sample(names, scene.random.choice([1, 1, 2])):
                    scene.kill(victim)
                    names.remove(victim)
                names += await scene.started("api", 2 - len(names), ready="api_ready")
        events = await assert_equals_stream(scene, names[0])
    return Report(f"{rounds} kills", events=events, divergent=0, figures="rebuild hash = live hash")


@scenario("failpoint: projector before its commit", few=1, full=100)
async def killed_before_commit(rounds: int, seed: int) -> Report:
    return await _killed_at("before_projected", rounds, seed)


@scenario("failpoint: projector between its commit and the next read", few=1, full=100)
async def killed_after_commit(rounds: int, seed: int) -> Report:
    return await _killed_at("after_projected", rounds, seed)


async def _killed_at(failpoint: str, rounds: int, seed: int) -> Report:
    async with system(seed, postgres=True) as scene:
        async with flowing(scene, seed, per_s=100):
            for _ in range(rounds):
                batch = scene.random.randint(1, 4)
                name = scene.start("api", failpoint=f"{failpoint}:{batch}")
                assert await scene.ended(name) == 137
        (api,) = await scene.started("api")
        events = await assert_equals_stream(scene, api)
    return Report(f"{rounds} crashes", events=events, divergent=0, figures="rebuild hash = live hash")


@scenario("a stream that lost its tail, or was made anew", few=1, full=10)
async def replaced_stream(rounds: int, seed: int) -> Report:
    """The server comes back with an older copy of its data and reuses sequences; then with no stream at all."""
    noticed: list[float] = []
    async with system(seed, postgres=True) as scene:
        (api,) = await scene.started("api")
        flow = Flow(scene.connection, seed)
        for _ in range(rounds):
            noticed.append(await _restored(scene, flow, api))
            noticed.append(await _made_anew(scene, flow, api))
        events = await scene.last_sequence()
    return Report(
        f"{rounds} restored, {rounds} made anew",
        events=events,
        divergent=0,
        figures=f"said in readiness after {spread(noticed)}; nothing projected until `kronik rebuild`, then equal",
    )


async def _restored(scene: System, flow: Flow, api: str) -> float:
    store = Path(scene.nats.command.argv[-1]).parent / "store"
    copy = scene.directory / "copy"
    await flow.write(20)
    await scene.projected(api, await scene.last_sequence())
    scene.nats.stop()
    shutil.copytree(store, copy)
    scene.nats.start()
    await flow.write(30)
    lost = await scene.last_sequence()
    await scene.projected(api, lost)
    scene.nats.kill()
    shutil.rmtree(store)
    copy.rename(store)
    begin = time.monotonic()
    scene.nats.start()
    await flow.write(60)
    assert await scene.last_sequence() > lost, "the lost sequences are in use again"
    return await _noticed_and_repaired(scene, api, begin)


async def _made_anew(scene: System, flow: Flow, api: str) -> float:
    await scene.projected(api, await scene.last_sequence())
    begin = time.monotonic()
    await scene.connection.jetstream(timeout=5).delete_stream("JOBS")
    await provision(scene.log.connection, replicas=1)
    await flow.write(5)
    return await _noticed_and_repaired(scene, api, begin)


async def _noticed_and_repaired(scene: System, api: str, begin: float) -> float:
    """Readiness says it, nothing is projected meanwhile, a rebuild repairs it, and projecting goes on by itself."""
    said = await scene.readiness(api, 503)
    while said["projector"] != "stopped":
        assert time.monotonic() - begin < 30, said
        await asyncio.sleep(0.1)
        said = await scene.readiness(api, 503)
    took = time.monotonic() - begin
    assert any("run `kronik rebuild`" in reason for reason in said["reasons"]), said
    before = await table_hashes(scene.database_url)
    await scene.said(api, "projector_stopped")
    assert await table_hashes(scene.database_url) == before, "projected on a stream that it does not belong to"
    report = await rebuild(scene.nats.url, scene.database_url)
    assert report.mismatch is not None
    await scene.ready(api)
    await assert_equals_stream(scene, api)
    return took


@scenario("Postgres away or hung", few=1, full=600)
async def absent_postgres(rounds: int, seed: int) -> Report:
    """rounds: seconds of each: hung, then away."""
    return await _absent(rounds, seed, "postgres")


@scenario("NATS hung or away, seen from the API", few=1, full=600)
async def absent_nats(rounds: int, seed: int) -> Report:
    """rounds: seconds of each: hung, then away."""
    return await _absent(rounds, seed, "nats")


async def _absent(seconds: int, seed: int, server: str) -> Report:
    noticed, recoveries, answers = [], [], []
    async with system(seed, postgres=True) as scene:
        (api,) = await scene.started("api")
        flow = Flow(scene.connection, seed)
        await define(scene.log, "FLOW_A", None)
        await flow.write(20)
        run_id = next(run_id for run_id in (await scene.stream.refresh()).runs if scene.stream.ended(run_id))
        for take_away, bring_back in _ways(scene, server):
            took = await take_away()
            begin = time.monotonic()
            try:
                first, found = await asyncio.gather(_unready(scene, api), _asked(scene, api, run_id))
                noticed.append(first)
                answers += found
                while time.monotonic() - begin < seconds:
                    answers += await _asked(scene, api, run_id)
                    await asyncio.sleep(0.5)
            finally:
                await bring_back(took)
            begin = time.monotonic()
            await scene.ready(api)
            await flow.write(5)
            recoveries.append(time.monotonic() - begin)
            assert scene.processes[api].running
        events = await assert_equals_stream(scene, api)
    assert max(noticed) <= 15, noticed
    slowest = max(span for span, _ in answers)
    assert slowest <= 10.5, f"an answer took {slowest:.1f} s"
    codes = sorted({status for _, status in answers})
    assert set(codes) <= {200, 201, 202, 400, 404, 503}, codes
    return Report(
        f"2 × {seconds} s",
        events=events,
        divergent=0,
        figures=f"readiness said it after {max(noticed):.1f} s at most; {len(answers)} answers meanwhile, the slowest "
        f"after {slowest:.1f} s, all of {codes}; back after {max(recoveries):.1f} s",
    )


def _ways(scene: System, server: str) -> Any:
    """Pairs: take it away, bring it back with what the first one answered."""
    database = scene.postgres
    assert database is not None

    async def freeze() -> Any:
        return freeze_all_of(database) if server == "postgres" else scene.nats.freeze()

    async def go_on(frozen: Any) -> None:
        thaw(frozen) if server == "postgres" else scene.nats.start()

    async def kill() -> None:
        kill_all_of(database) if server == "postgres" else scene.nats.kill()

    async def start(_: None) -> None:
        database.start() if server == "postgres" else scene.nats.start()

    return [(freeze, go_on), (kill, start)]


async def _unready(scene: System, api: str) -> float:
    """Seconds until readiness says 503 and why."""
    begin = time.monotonic()
    said = await scene.readiness(api, 503)
    assert said["reasons"], said
    return time.monotonic() - begin


async def _asked(scene: System, api: str, run_id: int) -> list[tuple[float, int]]:
    """Everything that one asks an API, all at once; how long each took, and the status."""
    trigger = {"jobType": "FLOW_A", "params": {}}
    async with scene.http(api) as http:
        return await asyncio.gather(
            _timed(http, "GET", "/health/live"),
            _timed(http, "GET", "/health/ready"),
            _timed(http, "GET", "/api/admin/job-run"),
            _timed(http, "GET", f"/api/admin/job-run/{run_id}"),
            _timed(http, "GET", f"/api/admin/job-run/{run_id}/events"),
            _timed(http, "GET", "/api/admin/job"),
            _timed(http, "POST", "/api/admin/job-run/trigger", json=trigger),
            _timed(http, "POST", f"/api/admin/job-run/{run_id}/rerun"),
        )


async def _timed(http: httpx.AsyncClient, method: str, path: str, **request: Any) -> tuple[float, int]:
    begin = time.monotonic()
    answer = await http.request(method, path, **request)
    took = time.monotonic() - begin
    assert answer.status_code != 500, f"{path}: {answer.text}"
    if answer.status_code == 503 and path.startswith("/api/"):
        assert answer.headers["content-type"] == "application/problem+json", path
    assert took <= 10.5, f"{method} {path} took {took:.1f} s: {answer.status_code}"
    return took, answer.status_code


async def test_the_history_survives_a_killed_postgres() -> None:
    await killed_postgres()


async def test_the_history_survives_killed_projectors() -> None:
    await killed_projectors()


async def test_the_history_survives_a_crash_before_a_commit() -> None:
    await killed_before_commit()


async def test_the_history_survives_a_crash_after_a_commit() -> None:
    await killed_after_commit()


async def test_a_stream_that_is_not_the_same_any_more_is_noticed_and_said() -> None:
    await replaced_stream()


async def test_the_api_waits_for_postgres_and_says_so() -> None:
    await absent_postgres()


async def test_the_api_waits_for_nats_and_says_so() -> None:
    await absent_nats()
