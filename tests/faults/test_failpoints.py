"""Runners that die at the worst moments: between any two steps of their protocol."""

import asyncio
import re
from collections import Counter
from pathlib import Path

from tests.faults.figures import Report, report, scenario
from tests.faults.raw_stream import watch_acks
from tests.faults.stage import Stage, stage, under_load

WINDOWS = {
    "after_pull": "a trigger has arrived, others that were asked for with it are on their way",
    "before_started": "a trigger was delivered, nothing is written yet",
    "after_claim": "the attempt is ours, its job has not begun",
    "after_job": "the job is done, its end not written",
    "after_conclusion": "the end is stored, the trigger not acknowledged",
    "before_abandoned": "a lost runner's attempt was found, and not yet ended",
    "before_failed": "a run that can't run was found, and not yet ended",
    "before_cancelled": "a cancelled run was found, and not yet ended",
    "after_beat": "a heartbeat is on its way",
}
_DIED = 137
_AT_ONCE = 4


@scenario("every failpoint of the runner", few=1, full=100)
async def crashed_runners(rounds: int, seed: int) -> Report:
    """Runners that crash, each at one of the windows, in all combinations, until each window had its `rounds`."""
    crashes: Counter[str] = Counter()
    async with stage(seed) as scene, watch_acks(scene.connection) as acks:
        async with under_load(scene, seed, per_s=20) as load:
            crashing: dict[str, str] = {}
            while any(crashes[window] < rounds for window in WINDOWS):
                _fill(scene, crashing, crashes, rounds)
                await asyncio.sleep(0.1)
                for name in [name for name in crashing if not scene.runners[name].running]:
                    assert await scene.ended(name) == _DIED, scene.last_words(name)
                    crashes[crashing.pop(name)] += 1
        for name in crashing:
            scene.kill(name)
        await scene.crew(2)
        verdict = await scene.settle(load, within_s=120)
        assert acks.early(await scene.stream.anew()) == []
    return report(f"{len(WINDOWS)} windows, {crashes.total()} crashes", verdict)


def _fill(scene: Stage, crashing: dict[str, str], crashes: Counter[str], rounds: int) -> None:
    """Start runners that will crash where crashes are missing most."""
    while len(crashing) < _AT_ONCE:
        planned = crashes + Counter(crashing.values())
        window = min(WINDOWS, key=lambda window: (planned[window] >= rounds, planned[window], scene.random.random()))
        crashing[scene.hire(failpoint=f"{window}:{scene.random.randint(1, min(3, rounds))}")] = window


async def test_whatever_a_runner_dies_between_its_runs_end_once() -> None:
    await crashed_runners()


def test_every_failpoint_of_the_runner_is_crashed_at() -> None:
    code = "".join(path.read_text() for path in Path("services/runner").glob("*.py"))
    named = set(re.findall(r'failpoint\("(\w+)"\)', code))
    assert named <= set(WINDOWS)
    assert 'failpoint(f"before_{type(step).__name__.lower()}")' in code
