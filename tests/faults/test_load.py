"""Ten thousand triggers at once."""

import asyncio
import time

import psutil
from nats.aio.client import Client

from tests.faults.figures import Report, report, scenario, spread
from tests.faults.load import Load
from tests.faults.raw_stream import RawStream
from tests.faults.stage import Stage, stage

_MIB = 2**20
_FLAT_MIB = 16
"""How much a runner may grow from one wave to the next: arenas that the allocator keeps, not what was in them."""


@scenario("triggers at once", few=300, full=10_000)
async def waves(rounds: int, seed: int) -> Report:
    """Three waves of so many triggers on one runner: all end, and what the first one cost in memory is enough."""
    async with stage(seed) as scene:
        name = scene.hire(slots="50", log_level="warning")
        await _announced(scene)
        process = psutil.Process(scene.runners[name].pid)
        memory = [process.memory_info().rss / _MIB]
        load = Load(scene.connection, seed)
        starts: list[float] = []
        begin = time.monotonic()
        for _ in range(3):
            wave = await _publish(scene, load, rounds)
            await scene.settle(load, within_s=60 + rounds / 50)
            starts += _waits(scene.stream, wave)
            memory.append(process.memory_info().rss / _MIB)
        per_s = 3 * rounds / (time.monotonic() - begin)
        verdict = await scene.settle(load)
    assert memory[3] - memory[2] < _FLAT_MIB, f"the runner grows: {memory} MiB"
    sizes = " → ".join(f"{size:.0f}" for size in memory)
    figures = f"trigger to start {spread(starts)}; {per_s:.0f} runs/s; runner {sizes} MiB"
    return report(f"3 × {rounds:,} triggers", verdict, figures=figures)


async def _publish(scene: Stage, load: Load, count: int) -> list[int]:
    """As fast as the stream takes them, nine no-ops to one short job; their run ids."""
    jobs = [("HOLD", b'{"ms": 5}') if scene.random.random() < 0.1 else ("NOOP", b"") for _ in range(count)]
    wave: list[int] = []
    for first in range(0, count, 500):
        wave += await asyncio.gather(*(_one(load.connection, *job) for job in jobs[first : first + 500]))
    load.acknowledged += wave
    return wave


async def _one(connection: Client, job: str, body: bytes) -> int:
    return (await connection.jetstream(timeout=30).publish(f"jobs.trigger.{job}.crm", body)).seq


def _waits(stream: RawStream, run_ids: list[int]) -> list[float]:
    """Seconds from each trigger to its first start."""
    return [stream.runs[run_id][0].at - stream.times[run_id] for run_id in run_ids]


async def _announced(scene: Stage) -> None:
    """The runner logs only warnings: a quiet one is measured. Its first run says that it is there."""
    load = Load(scene.connection, 0)
    await load.trigger("NOOP", "")
    await scene.settle(load)


async def test_a_wave_of_triggers_is_worked_off_and_leaves_nothing_behind() -> None:
    await waves()
