"""Jobs that run in a process of their own, and do there what would cost a runner its life."""

import asyncio
import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from typing import Any

from kronik import NoParams, Params, PermanentError, Retry, RunContext, command_job, job, seconds

ONCE = Retry(attempts=1)
STAYS = os.environ.setdefault("TEST_STAYS", f"611.{os.getpid()}")
"""Seconds that the children sleep which a test looks for: others than those of a test that runs beside it."""


class Deed(Params, frozen=True):
    what: str = ""
    ms: int = 0


def grandchildren() -> None:
    """Three that stay: a child, one in a session of its own, and an orphan in another."""
    subprocess.Popen(["sleep", STAYS])
    subprocess.Popen(["setsid", "sleep", STAYS])
    subprocess.Popen(["sh", "-c", f"setsid sh -c 'sleep {STAYS} & sleep {STAYS}' & exit 0"]).wait()


def double(number: int) -> int:
    return 2 * number


@job("APART", concurrency=8, retry=ONCE, timeout=seconds(15), isolation="process", memory_limit="150 MiB")
def apart(run: RunContext, params: Deed) -> Any:
    match params.what:
        case "":
            run.progress(1, 2, "half")
            run.log.info("at work", pid=os.getpid())
            run.warn("could not be updated", item="household 17")
            print("printed")  # noqa: T201
            os.system("echo by another program >&2")
            together = f"{run.correlation_id} {run.traceparent}"
            return {"id": run.id, "token": run.token, "attempt": run.attempt, "by": together}
        case "exit":
            sys.exit(3)
        case "os exit":
            os._exit(4)
        case "segfault":
            ctypes.string_at(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "memory":
            held = []
            while True:
                held.append(bytearray(os.urandom(1024)) * 4096)
        case "at once":
            return {"size": len(b"x" * 1_000_000_000)}
        case "children memory":
            script = "x = [bytearray(b'x') * 1000000 for _ in range(400)]; import time; time.sleep(60)"
            subprocess.run([sys.executable, "-c", script], check=True)
        case "permanent":
            raise PermanentError("no lamp here")
        case "no stdout":
            sys.stdout = None  # type: ignore[assignment]
            return {"done": True}
        case "leaves children":
            grandchildren()
            return {"done": True}
        case "fork" | "forkserver" | "spawn":
            with multiprocessing.get_context(params.what).Pool(2) as pool:
                return {"doubled": pool.map(double, [1, 2, 3])}
    return None


@job("APART_TOO", concurrency=8, retry=ONCE, timeout=seconds(15), isolation="process")
async def apart_too(run: RunContext, params: Deed) -> dict[str, int]:
    await asyncio.sleep(params.ms / 1000)
    return {"attempt": run.attempt}


@job("STUBBORN", concurrency=20, retry=ONCE, timeout=seconds(0.5), isolation="process")
def stubborn(run: RunContext, params: NoParams) -> None:
    """Hears nothing, and has a family."""
    grandchildren()
    while True:
        time.sleep(1)


@job("INSTANT", concurrency=8, retry=ONCE, isolation="process")
def instant(run: RunContext, params: NoParams) -> None: ...


SCRIPT = """
read params; echo "got $params"; echo "month $KRONIK_PARAM_MONTH run $KRONIK_RUN_ID"; echo careful >&2
echo '{"seen": '"$params"'}'; exit "$KRONIK_PARAM_STATUS"
"""
report = command_job(
    "REPORT",
    ["sh", "-c", SCRIPT],
    params={"month": str, "status": (int, 0)},
    retry=ONCE,
    timeout=seconds(5),
)
slow_command = command_job(
    "SLOW_COMMAND", ["sh", "-c", f"sleep {STAYS} & sleep {STAYS}"], retry=ONCE, timeout=seconds(0.3)
)
no_command = command_job("NO_COMMAND", ["no-such-program-7"], concurrency=2)
large_result = command_job("LARGE_RESULT", [sys.executable, "-c", """print('{"a": "' + 'x' * 300_000 + '"}')"""])
