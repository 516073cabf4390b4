"""Children of an `up` that was killed. Linux ends them with it; elsewhere, and to be sure, the next `up` does."""

from collections.abc import Callable

import psutil

from services.stack import state
from services.stack.state import Process, StateDirectory

_PATIENCE_S = 5


def remember(directory: StateDirectory, processes: list[Process]) -> None:
    state.write(directory.processes, processes)


def end(directory: StateDirectory) -> list[Process]:
    """End what the last `up` on this directory left running, and nothing else; what was found is returned."""
    remembered = state.read(directory.processes, list[Process]) or []
    found = [(process, alive) for process in remembered if (alive := process.find()) is not None]
    servers = [alive for _, alive in found]
    for alive in servers:
        _quietly(alive.terminate)
    _, stubborn = psutil.wait_procs(servers, timeout=_PATIENCE_S)
    for alive in stubborn:
        _quietly(alive.kill)
    psutil.wait_procs(stubborn, timeout=_PATIENCE_S)
    return [process for process, _ in found]


def _quietly(act: Callable[[], None]) -> None:
    try:
        act()
    except psutil.NoSuchProcess:
        return
