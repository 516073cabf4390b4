"""The same request twice, and a hundred times at once, over two API processes: one run."""

import asyncio
import uuid
from collections import Counter

import httpx

from tests.faults.figures import Report, scenario
from tests.faults.system import System, system
from tests.scheduling import define

JOB = "ONCE"
AT_ONCE = 100


@scenario("the same POST with one Idempotency-Key, 100 at once over two API processes", few=2, full=50)
async def asked_at_once(rounds: int, seed: int) -> Report:
    """Every second round one of the two API processes is killed while it answers; whoever got no answer asks again."""
    made = 0
    async with system(seed, postgres=True) as scene:
        names = await scene.started("api", 2, ready="api_ready")
        defined = await define(scene.log, JOB, None)
        await scene.projected(names[0], defined.sequence)
        for number in range(rounds):
            before = len((await scene.stream.refresh()).runs)
            ids = await _ask(scene, names, f"key-{seed}-{number}", kill=number % 2 == 1)
            assert len(set(ids)) == 1, Counter(ids)
            made = len((await scene.stream.refresh()).runs) - before
            assert made == 1, f"{made} runs"
            names += await scene.started("api", 2 - len(names), ready="api_ready")
        facts = (await scene.stream.anew()).facts
        runs = len(scene.stream.runs)
    assert runs == rounds
    return Report(
        f"{rounds} × {AT_ONCE} requests", runs=runs, events=len(facts), figures=f"{runs} keys, {runs} runs, one answer"
    )


async def _ask(scene: System, names: list[str], key: str, *, kill: bool) -> list[int]:
    """The ids that everybody was answered."""
    asking = [asyncio.create_task(_one(scene, names, number, key)) for number in range(AT_ONCE)]
    if kill:
        await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        victim = scene.random.choice(names)
        names.remove(victim)
        scene.kill(victim)
    return list(await asyncio.gather(*asking))


async def _one(scene: System, names: list[str], number: int, key: str) -> int:
    """As a careful client asks: again, of whoever is there, until there is an answer."""

    body = {"jobType": JOB, "params": {"text": "æøå"}}
    for attempt in range(50):
        try:
            async with scene.http(names[(number + attempt) % len(names)]) as http:
                answer = await http.post("/api/admin/job-run/trigger", json=body, headers={"Idempotency-Key": key})
        except httpx.TransportError:
            await asyncio.sleep(0.1)
            continue
        if answer.status_code == 503:
            await asyncio.sleep(0.1)
            continue
        assert answer.status_code in (200, 201), answer.text
        return int(answer.json()["id"])
    raise AssertionError("no answer")


async def test_asking_a_hundred_times_makes_one_run() -> None:
    await asked_at_once()


async def test_a_key_is_not_confused_with_another_jobs_or_with_other_params() -> None:
    async with system(1, postgres=True) as scene:
        (api,) = await scene.started("api")
        await define(scene.log, JOB, None)
        defined = await define(scene.log, "TWICE", None)
        await scene.projected(api, defined.sequence)
        key = {"Idempotency-Key": uuid.uuid4().hex}
        async with scene.http(api) as http:
            asked = [
                await http.post("/api/admin/job-run/trigger", json={"jobType": job, "params": params}, headers=key)
                for job, params in ((JOB, {"n": 1}), (JOB, {"n": 1}), ("TWICE", {"n": 1}), (JOB, {"n": 2}))
            ]
    assert [answer.status_code for answer in asked] == [201, 200, 201, 409]
    assert asked[0].json()["id"] == asked[1].json()["id"] != asked[2].json()["id"]
