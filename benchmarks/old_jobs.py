"""The jobs of the stream that benchmarks/stream.py fills, for a runner that starts on it."""

from kronik import NoParams, RunContext, job

from benchmarks.stream import JOBS


async def _noop(run: RunContext, params: NoParams) -> None: ...


for name in JOBS:
    globals()[name] = job(name)(_noop)
