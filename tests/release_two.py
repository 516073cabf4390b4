"""The same job as its second release has it: a param more, and room for more at once."""

import asyncio

from kronik import Params, RunContext, job, seconds


class Asked(Params, frozen=True):
    ms: int = 0
    note: str = ""


@job("RELEASED", title="Second", concurrency=5, timeout=seconds(10))
async def released(run: RunContext, params: Asked) -> dict[str, int]:
    await asyncio.sleep(params.ms / 1000)
    return {"release": 2}
