"""Child processes that are kept running: one that ends is started again, later each time, and it is said so.

    starting ──> running ──(ended)──> waiting ──> starting ...
                    └──(stop)──> asked to stop ──(grace is over)──> killed

A child that ran for a while before it ended is started again at once. Output goes to `<logs>/<name>.log`.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil
from msgspec import Struct

from services.infra.clock import monotonic_s
from services.infra.lifecycle import happens
from services.stack import leftovers, state
from services.stack.process import Command, popen_options
from services.stack.state import Process, StateDirectory

_FIRST_DELAY_S = 0.5
_LONGEST_DELAY_S = 30.0
_STEADY_AFTER_S = 20.0
_FAILS_WITHIN_S = 3.0
_KILLED_WITHIN_S = 5.0
MISUSED = 2
"""The exit status of a command that was told what makes no sense."""


class Ended(Struct, frozen=True):
    """One life of a child. status: as Popen's returncode, negative for a signal."""

    status: int
    lived_s: float


def restart_delay_s(deaths_in_a_row: int) -> float:
    """0.5, 1, 2, 4 ... at most 30."""
    doublings = min(deaths_in_a_row - 1, 10)
    return float(min(_FIRST_DELAY_S * 2**doublings, _LONGEST_DELAY_S))


def describe(status: int) -> str:
    """Words for how a process ended."""
    if status >= 0:
        return f"ended with exit code {status}"
    return f"was killed by {signal.Signals(-status).name}"


class Child:
    """One command and the process that runs it now."""

    def __init__(self, command: Command, log: Path, on_change: Callable[[], None], say: Callable[[str], None]) -> None:
        self.command = command
        self.deaths_in_a_row = 0
        self.last_status: int | None = None
        self.process: Process | None = None
        self._log = log
        self._on_change = on_change
        self._say = say
        self._began = 0.0
        self._running: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._task = asyncio.create_task(self._keep_running(), name=f"supervise {command.name}")

    async def _keep_running(self) -> None:
        while not self._stopping.is_set():
            ended = await self._run_once()
            self.last_status = ended.status
            if self._stopping.is_set():
                return
            self.deaths_in_a_row = 1 if ended.lived_s > _STEADY_AFTER_S else self.deaths_in_a_row + 1
            delay = restart_delay_s(self.deaths_in_a_row)
            self._say(
                f"{self.command.name} {describe(ended.status)}; it is started again in {delay:g} s"
                f" (what it said: {self._log})"
            )
            await happens(self._stopping, delay)

    async def _run_once(self) -> Ended:
        self._began = monotonic_s()
        if self.command.prepare is not None:
            await asyncio.to_thread(self.command.prepare)
        try:
            with self._log.open("ab") as log:
                self._running = await asyncio.create_subprocess_exec(
                    *self.command.argv,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    **popen_options(self.command),
                )
        except OSError as error:
            self._say(f"{self.command.name} can't be started: {error}")
            return Ended(127, 0.0)
        self._know(self._running.pid)
        if self._stopping.is_set():
            self._signal(self.command.stop_signal)
        status = await self._running.wait()
        self._know(None)
        return Ended(status, monotonic_s() - self._began)

    def settled(self) -> bool:
        """Whether it runs, and if it ended before, for longer than it takes to fail at start."""
        lived_s = monotonic_s() - self._began
        return self.process is not None and (not self.deaths_in_a_row or lived_s > _FAILS_WITHIN_S)

    def _know(self, pid: int | None) -> None:
        self.process = None
        if pid is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                self.process = state.this_process(self.command.name, pid)
        self._on_change()

    async def stop(self, grace_s: float, hurry: asyncio.Event) -> bool:
        """Ask it to finish; after grace_s, or once hurry is set, kill it. Whether it finished by itself."""
        self._stopping.set()
        self._signal(self.command.stop_signal)
        hurried = asyncio.create_task(hurry.wait())
        await asyncio.wait({self._task, hurried}, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        by_itself = self._task.done()
        if not by_itself:
            self._signal(signal.SIGKILL)
            await asyncio.wait({self._task}, timeout=_KILLED_WITHIN_S)
        return by_itself

    def _signal(self, signum: signal.Signals) -> None:
        if self._running is not None and self._running.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._running.send_signal(signum)
                # One that is frozen (SIGSTOP, a debugger) would not hear it.
                os.kill(self._running.pid, signal.SIGCONT)


class Supervisor:
    """Starts, watches and stops the children of one `up`. say: tells the person at the terminal."""

    def __init__(self, directory: StateDirectory, say: Callable[[str], None]) -> None:
        self.hurry = asyncio.Event()
        self._directory = directory
        self._say = say
        self._children: dict[str, Child] = {}

    def start(self, command: Command) -> None:
        log = self._directory.logs / f"{command.name}.log"
        self._children[command.name] = Child(command, log, self._remember, self._say)

    def deaths(self) -> dict[str, int]:
        """How often in a row each child has ended, of those that have."""
        return {name: child.deaths_in_a_row for name, child in self._children.items() if child.deaths_in_a_row}

    def refused(self, name: str) -> bool:
        """Whether it ended because of what it was told, which another try does not change."""
        return self._children[name].last_status == MISUSED

    def settled(self, names: Iterable[str]) -> bool:
        """Whether all of these run, those that ended before for a moment already."""
        return all(self._children[name].settled() for name in names)

    async def stop(self, names: Iterable[str], grace_s: float) -> None:
        """Drain these at the same time; those that are not there are skipped."""
        children = [self._children.pop(name) for name in names if name in self._children]
        finished = await asyncio.gather(*(child.stop(grace_s, self.hurry) for child in children))
        for child, by_itself in zip(children, finished, strict=True):
            if not by_itself:
                why = "was told to hurry" if self.hurry.is_set() else f"did not stop within {grace_s:g} s"
                self._say(f"{child.command.name} {why} and was killed")
        self._remember()

    def _remember(self) -> None:
        running = [child.process for child in self._children.values() if child.process is not None]
        leftovers.remember(self._directory, running)
