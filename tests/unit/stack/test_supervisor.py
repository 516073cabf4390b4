"""What the supervisor does with processes that end, hang, or do not start: real ones, a shell each."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from services.stack import leftovers, state
from services.stack.process import Command
from services.stack.state import StateDirectory
from services.stack.supervisor import Supervisor, describe, restart_delay_s


class Said:
    """What the supervisor told, to be waited for."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._heard = asyncio.Condition()

    def __call__(self, text: str) -> None:
        self.lines.append(text)
        self._wake = asyncio.ensure_future(self._notify())

    async def _notify(self) -> None:
        async with self._heard:
            self._heard.notify_all()

    async def wait_for(self, text: str) -> str:
        async with self._heard, asyncio.timeout(10):
            await self._heard.wait_for(lambda: any(text in line for line in self.lines))
        return next(line for line in self.lines if text in line)


@pytest.fixture
def directory(tmp_path: Path) -> StateDirectory:
    made = StateDirectory(tmp_path / "state")
    made.prepare()
    return made


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
async def supervisor(directory: StateDirectory, said: Said) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(directory, said)
    yield supervisor
    await supervisor.stop(("child",), grace_s=0)


def python(code: str) -> Command:
    return Command(name="child", argv=(sys.executable, "-c", code))


STAYS = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


async def started(supervisor: Supervisor, directory: StateDirectory, command: Command) -> psutil.Process:
    """Once it has said `up`."""
    supervisor.start(command)
    log = directory.logs / "child.log"
    async with asyncio.timeout(10):
        while not log.exists() or "up" not in log.read_text():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    (process,) = state.read(directory.processes, list[state.Process]) or []
    return psutil.Process(process.pid)


async def test_a_child_that_ends_is_started_again_and_its_exit_code_is_said(supervisor: Supervisor, said: Said) -> None:
    supervisor.start(python("raise SystemExit(7)"))
    assert "it is started again in 0.5 s" in await said.wait_for("child ended with exit code 7")
    await said.wait_for("started again in 1 s")
    assert supervisor.deaths() == {"child": 2}
    assert not supervisor.settled(("child",))


async def test_a_killed_child_is_started_again(supervisor: Supervisor, directory: StateDirectory, said: Said) -> None:
    (await started(supervisor, directory, python(STAYS))).kill()
    await said.wait_for("child was killed by SIGKILL")


async def test_a_command_that_is_not_there_is_said(supervisor: Supervisor, said: Said) -> None:
    supervisor.start(Command(name="child", argv=("/no/such/binary",)))
    await said.wait_for("child can't be started")


async def test_stop_asks_first(supervisor: Supervisor, directory: StateDirectory, said: Said) -> None:
    child = await started(supervisor, directory, python(STAYS))
    assert supervisor.settled(("child",))
    await supervisor.stop(("child",), grace_s=10)
    assert not child.is_running()
    assert said.lines == []


async def test_stop_kills_what_does_not_stop(supervisor: Supervisor, directory: StateDirectory, said: Said) -> None:
    child = await started(supervisor, directory, python(STUBBORN))
    await supervisor.stop(("child",), grace_s=0.1)
    assert not child.is_running()
    assert said.lines == ["child did not stop within 0.1 s and was killed"]


async def test_a_second_signal_kills_at_once(supervisor: Supervisor, directory: StateDirectory) -> None:
    child = await started(supervisor, directory, python(STUBBORN))
    supervisor.hurry.set()
    async with asyncio.timeout(5):
        await supervisor.stop(("child",), grace_s=60)
    assert not child.is_running()


async def test_a_frozen_child_is_woken_to_stop(supervisor: Supervisor, directory: StateDirectory, said: Said) -> None:
    child = await started(supervisor, directory, python(STAYS))
    child.suspend()
    await supervisor.stop(("child",), grace_s=10)
    assert not child.is_running()
    assert said.lines == []


async def test_the_next_start_ends_what_was_left_and_nothing_else(
    supervisor: Supervisor, directory: StateDirectory
) -> None:
    """A pid that belongs to another process by now is left alone."""
    child = await started(supervisor, directory, python(STAYS))
    remembered = state.read(directory.processes, list[state.Process]) or []
    somebody_else = state.Process("runner", psutil.Process().pid, started=1.0)
    leftovers.remember(directory, [*remembered, somebody_else])
    ended = await asyncio.to_thread(leftovers.end, directory)
    assert [process.pid for process in ended] == [child.pid]
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


async def test_the_processes_file_follows_what_runs(supervisor: Supervisor, directory: StateDirectory) -> None:
    child = await started(supervisor, directory, python(STAYS))
    assert [each["pid"] for each in json.loads(directory.processes.read_text())] == [child.pid]
    await supervisor.stop(("child",), grace_s=10)
    assert json.loads(directory.processes.read_text()) == []


@pytest.mark.parametrize(("deaths", "delay_s"), [(1, 0.5), (2, 1), (3, 2), (4, 4), (7, 30), (5000, 30)])
def test_each_death_in_a_row_waits_longer(deaths: int, delay_s: float) -> None:
    assert restart_delay_s(deaths) == delay_s


@pytest.mark.parametrize(
    ("status", "words"), [(0, "ended with exit code 0"), (75, "ended with exit code 75"), (-9, "was killed by SIGKILL")]
)
def test_how_a_process_ended_in_words(status: int, words: str) -> None:
    assert describe(status) == words
