"""A job as its first release has it."""

import asyncio

from kronik import Params, RunContext, job, seconds


class Asked(Params, frozen=True):
    ms: int = 0


@job("RELEASED", title="First", concurrency=2, timeout=seconds(10))
async def released(run: RunContext, params: Asked) -> dict[str, int]:
    await asyncio.sleep(params.ms / 1000)
    return {"release": 1}
