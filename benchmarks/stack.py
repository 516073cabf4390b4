"""`kronik up` as a whole: how soon it answers, and what it costs while nothing happens."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.figures import Figure

_SERVERS = ("nats-server", "postgres")


async def measure(*, idle_s: float) -> list[Figure]:
    """First and second start with the demo community, then memory and CPU of every process while idle."""
    with tempfile.TemporaryDirectory(prefix="kronik-bench-") as directory:
        state = Path(directory) / "state"
        first, _ = await _up(state, 0)
        second, idle = await _up(state, idle_s)
    return [
        Figure(
            "kronik up, first start", f"{first:.1f} s", "state made, demo community filled, until everything answers"
        ),
        Figure("kronik up, second start", f"{second:.1f} s", "the same state, until everything answers"),
        *idle,
    ]


async def _up(state: Path, idle_s: float) -> tuple[float, list[Figure]]:
    ready = state.parent / "ready.json"
    ready.unlink(missing_ok=True)
    begin = time.perf_counter()
    argv = [sys.executable, "-m", "services.cli", "up", "--demo", "--port", "0", "--ready-file", str(ready)]
    process = subprocess.Popen(argv, env=_environ(state), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not _written(ready):
            assert process.poll() is None, "kronik up ended"
            await asyncio.sleep(0.02)
        elapsed = time.perf_counter() - begin
        return elapsed, await _idle(process.pid, idle_s) if idle_s else []
    finally:
        process.terminate()
        process.wait(60)


def _environ(state: Path) -> dict[str, str]:
    return {**os.environ, "KRONIK_STATE_DIR": str(state)}


def _written(ready: Path) -> bool:
    try:
        return bool(json.loads(ready.read_text()))
    except (FileNotFoundError, ValueError):
        return False


async def _idle(pid: int, seconds: float) -> list[Figure]:
    """Proportional memory and CPU of up's children over this time, after a pause to settle."""
    await asyncio.sleep(3)
    groups = {_name(child): [child, *child.children(recursive=True)] for child in psutil.Process(pid).children()}
    groups["up itself"] = [psutil.Process(pid)]
    before = {name: _cpu(group) for name, group in groups.items()}
    await asyncio.sleep(seconds)
    costs = {
        name: (_memory(group) / 2**20, 100 * (_cpu(group) - before[name]) / seconds) for name, group in groups.items()
    }
    ours = [cost for name, cost in costs.items() if name not in _SERVERS]
    sums = {"Kronik together": _sum(ours), "and the servers": _sum(list(costs.values()))}
    return [
        Figure(
            f"idle: {name}",
            f"{memory:.0f} MiB, {cpu:.1f} % CPU",
            f"over {seconds:g} s; memory is proportional (PSS)",
        )
        for name, (memory, cpu) in {**costs, **sums}.items()
    ]


def _sum(costs: list[tuple[float, float]]) -> tuple[float, float]:
    return sum(memory for memory, _ in costs), sum(cpu for _, cpu in costs)


def _name(process: psutil.Process) -> str:
    """`-m services.cli.service api` is api, `-m services.dining.sandbox --port 1` is stack.sandbox."""
    line = process.cmdline()
    if "-m" not in line:
        return Path(line[0]).name
    module, *rest = line[line.index("-m") + 1 :]
    return rest[0] if module == "services.cli.service" else module.removeprefix("services.")


def _cpu(group: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in group if process.is_running())


def _memory(group: list[psutil.Process]) -> int:
    return sum(process.memory_full_info().pss for process in group if process.is_running())
