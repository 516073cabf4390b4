"""Jobs for tests: each does one thing that a real job might do to its runner."""

import asyncio
import os
import sys
import time
from typing import Any

from kronik import NoParams, Params, PermanentError, Retry, RunContext, job, minutes, seconds

FAST = Retry(attempts=2, wait=seconds(0.1), max_wait=seconds(0.1))
ONCE = Retry(attempts=1)


class Nap(Params, frozen=True):
    ms: int = 0


class Fault(Params, frozen=True):
    kind: str


@job("NOOP", concurrency=50)
async def noop(run: RunContext, params: NoParams) -> None: ...


@job("NAP", concurrency=4, retry=FAST, timeout=seconds(5))
async def nap(run: RunContext, params: Nap) -> dict[str, int]:
    run.progress(0, params.ms, "lying down")
    await asyncio.sleep(params.ms / 1000)
    run.progress(params.ms, params.ms, "awake")
    return {"ms": params.ms, "attempt": run.attempt}


@job("ALONE", retry=FAST, timeout=seconds(5))
async def alone(run: RunContext, params: Nap) -> dict[str, int]:
    """Never beside itself: concurrency is 1."""
    await asyncio.sleep(params.ms / 1000)
    return {"ms": params.ms}


@job("PATIENT", retry=Retry(attempts=3, wait=minutes(5)))
async def patient(run: RunContext, params: Nap) -> None:
    if params.ms < 0:
        raise ValueError("not now")


@job("WARNS", retry=ONCE)
async def warns(run: RunContext, params: NoParams) -> dict[str, int]:
    run.log.info("looking", things=2, event="full moon", text="no", run_id=7)
    run.warn("could not be updated", item="household 17")
    return {"done": 1}


@job("BLOCKS", concurrency=4, retry=ONCE, timeout=seconds(20))
async def blocks(run: RunContext, params: Nap) -> None:
    """Holds the runner's event loop, as bad jobs do."""
    time.sleep(params.ms / 1000)  # noqa: ASYNC251


@job("THREAD", concurrency=2, retry=ONCE, timeout=seconds(1))
def in_thread(run: RunContext, params: Nap) -> dict[str, bool]:
    end = time.monotonic() + params.ms / 1000
    while time.monotonic() < end and not run.cancelled:
        time.sleep(0.01)
    return {"cancelled": run.cancelled}


@job("DEAF", retry=ONCE, timeout=seconds(0.5))
def deaf(run: RunContext, params: Nap) -> None:
    """Ignores its cancellation."""
    time.sleep(params.ms / 1000)


class Unsayable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@job("BREAKS", concurrency=4, retry=FAST)
async def breaks(run: RunContext, params: Fault) -> Any:
    match params.kind:
        case "raise":
            raise ValueError("the lamp is broken")
        case "once" if run.attempt == 1:
            raise ValueError("the first time never works")
        case "permanent":
            raise PermanentError("no lamp here")
        case "text":
            raise ValueError("half a \ud83d and a \0 in it")
        case "unsayable":
            raise Unsayable
        case "exit":
            sys.exit(3)
        case "interrupt":
            raise KeyboardInterrupt
        case "kill":
            os._exit(9)
        case "big":
            return {"text": "x" * 10_000_000}
        case "list":
            return [1, 2]
        case "object":
            return object()
        case "nan":
            return {"value": float("nan")}
        case "deep":
            return {"deep": _nested(5_000)}
    return {"attempt": run.attempt}


def _nested(depth: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner
