"""Jobs that do to their runner what other people's code does: none of it may reach a neighbour."""

import asyncio
import contextvars
import ctypes
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from typing import Any

from kronik import NoParams, Params, PermanentError, Retry, RunContext, job, seconds

ONCE = Retry(attempts=1)
TWICE = Retry(attempts=2, wait=seconds(0.1), max_wait=seconds(0.1))

_left_behind: contextvars.ContextVar[str] = contextvars.ContextVar("left_behind", default="nothing")


class Deed(Params, frozen=True):
    what: str
    ms: int = 0


class Almost:
    """As numpy's integers are: numbers, and of no type that JSON knows."""

    def __index__(self) -> int:
        return 7


def _sleep() -> None:
    time.sleep(60)


async def _exits() -> None:
    sys.exit(3)


@job("QUIET", concurrency=4, retry=TWICE, timeout=seconds(20))
async def quiet(run: RunContext, params: Deed) -> dict[str, int]:
    """The neighbour: its attempt must be the first and the only one."""
    await asyncio.sleep(params.ms / 1000)
    return {"attempt": run.attempt}


@job("RUDE", concurrency=20, retry=TWICE, timeout=seconds(10))
async def rude(run: RunContext, params: Deed) -> Any:
    match params.what:
        case "gathered exit":
            await asyncio.gather(_exits(), asyncio.sleep(5))
        case "background exit":
            task = asyncio.create_task(_exits())
            await asyncio.sleep(5)
            del task
        case "callback exit":
            asyncio.get_running_loop().call_soon(sys.exit, 4)
            await asyncio.sleep(0.1)
        case "group":
            async with asyncio.TaskGroup() as group:
                group.create_task(_refuses())
        case "chain":
            try:
                raise KeyError("the switch")
            except KeyError as error:
                raise ValueError("the lamp") from error
        case "nan":
            return {"a": [1.0, float("nan")]}
        case "odd words":
            run.progress(Almost(), 10.0)  # type: ignore[arg-type]
            run.progress("many")  # type: ignore[arg-type]
            run.log.info("line", **{"half a \ud83d": "\ud83d", "n": Almost()})
            run.warn(ValueError("not a text"), item=7)  # type: ignore[arg-type]
            return {"done": True}
        case "too many words":
            for n in range(150):
                run.warn("\x01" * 1_000, item="\x01" * 1_000 + str(n))
            return {"text": "x" * 250_000}
        case "flood":
            for n in range(60_000):
                run.log.info("line", n=n)
            run.log.info("y" * 2_000_000, **{f"f{n}": "z" * 10_000 for n in range(200)})
            return {"done": True}
        case "stderr":
            sys.stderr.close()
            sys.stdout.close()
            return {"done": True}
        case "stops the loop":
            asyncio.get_running_loop().stop()
            await asyncio.sleep(0.1)
        case "cancels everybody":
            for task in asyncio.all_tasks():
                if task is not asyncio.current_task():
                    task.cancel()
            await asyncio.sleep(0.1)
        case "takes the loop":
            asyncio.get_running_loop().set_task_factory(lambda *_, **__: sys.exit(5))
            asyncio.get_running_loop().set_exception_handler(lambda *_: sys.exit(6))
            await asyncio.get_running_loop().shutdown_default_executor()
            await asyncio.to_thread(print, "threads go on")
            asyncio.get_running_loop().close()
        case "fork":
            if os.fork():
                await asyncio.sleep(0.5)
                return {"parent": True}
        case "signals":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        case "asleep":
            await asyncio.sleep(params.ms / 1000)
    return None


async def _refuses() -> None:
    raise PermanentError("no lamp here")


@job("PLAIN", concurrency=20, retry=TWICE, timeout=seconds(1))
def plain(run: RunContext, params: Deed) -> Any:
    match params.what:
        case "fork":
            child = multiprocessing.get_context("fork").Process(target=_sleep)
            child.start()
            child.terminate()
            child.join(5)
            return {"status": child.exitcode}
        case "fork comes back":
            if os.fork():
                time.sleep(0.5)
                return {"parent": True}
        case "thread":
            speaking = threading.Thread(target=print, args=("said in a thread",))
            speaking.start()
            speaking.join()
            return {"done": True}
        case "context":
            before = _left_behind.get()
            _left_behind.set(f"by run {run.id}")
            return {"before": before}
        case "speak":
            print("printed\nand again", end="")  # noqa: T201
            print("to stderr", file=sys.stderr)  # noqa: T201
            logging.getLogger("library").info("logged %d", 5)
            warnings.warn("warned", stacklevel=1)
            return {"done": True}
        case "late":
            time.sleep(params.ms / 1000)
            return {"attempt": run.attempt}
        case "child":
            subprocess.run(["sleep", "600.7531"], check=True)
    return None


@job("SPINS", retry=ONCE, timeout=seconds(0.5))
async def spins(run: RunContext, params: NoParams) -> None:
    """Holds the loop, and never lets go."""
    while True:
        time.sleep(0.05)  # noqa: ASYNC251


@job("DEADLY", concurrency=4, retry=Retry(attempts=3, wait=seconds(0.1), max_wait=seconds(0.1)), timeout=seconds(20))
async def deadly(run: RunContext, params: Deed) -> None:
    """Kills the process it is in, in every way there is."""
    await asyncio.sleep(params.ms / 1000)
    match params.what:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "abort":
            os.abort()
        case "segfault":
            ctypes.string_at(0)
        case "os exit":
            os._exit(9)


@job("HOLDS_GIL", concurrency=4, retry=ONCE, timeout=seconds(20))
def holds_gil(run: RunContext, params: Deed) -> dict[str, int]:
    """As a C extension does that never lets go."""
    ctypes.PyDLL(None).usleep(params.ms * 1000)
    return {"attempt": run.attempt}
