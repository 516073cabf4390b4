"""Jobs that do nothing, so that what is measured is Kronik."""

from kronik import NoParams, RunContext, job


@job("NOOP_50", concurrency=50)
async def noop_50(run: RunContext, params: NoParams) -> None: ...


@job("NOOP_500", concurrency=500)
async def noop_500(run: RunContext, params: NoParams) -> None: ...


@job("NOOP_1000", concurrency=1000)
async def noop_1000(run: RunContext, params: NoParams) -> None: ...
