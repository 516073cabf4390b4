"""Jobs for the fault tests: as sample_jobs, with room for many runs at once and patience for many lost runners."""

import asyncio

from kronik import Retry, RunContext, job, seconds

from tests.rude_jobs import deadly
from tests.sample_jobs import Nap

__all__ = ["deadly", "hold"]

STUBBORN = Retry(attempts=50, wait=seconds(0.1), max_wait=seconds(0.1))


@job("HOLD", concurrency=40, retry=STUBBORN, timeout=seconds(120))
async def hold(run: RunContext, params: Nap) -> dict[str, int]:
    await asyncio.sleep(params.ms / 1000)
    return {"attempt": run.attempt}
