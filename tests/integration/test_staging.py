"""Batches that are staged in memory, on a server that is killed while it stores one: all of it stands, or nothing."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from kronik.events import SlotFired, Triggered

from services.infra.clock import SystemClock
from services.infra.lifecycle import end
from services.log import connection as nats_connection
from services.log.append import Appended, Conflict, Entry, EventLog, Expected
from services.log.provision import provision
from services.stack import staging
from tests import servers
from tests.scheduling import next_minute
from tests.servers import NatsServer

JOBS = [f"JOB_{number}" for number in range(30)]
SLOT = next_minute()
WHOLE = ["trigger", "slot"] * len(JOBS)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NatsServer]:
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("no /dev/shm")
    monkeypatch.setattr(staging, "_ROOM_BYTES", 1)
    monkeypatch.setattr(staging, "_SCARCE_BYTES", 0)
    with servers.nats() as running:
        yield running


@pytest_asyncio.fixture
async def log(server: NatsServer) -> AsyncIterator[EventLog]:
    connection = await nats_connection.connect(server.url, "test")
    await provision(connection, replicas=1)
    await _linked(server)
    yield EventLog(connection, SystemClock(), "/kronik/test")
    await nats_connection.close(connection)


def _stream(server: NatsServer) -> Path:
    return server.log.parent / "store" / "jetstream" / "$G" / "streams" / "JOBS"


def _link(server: NatsServer) -> Path:
    return _stream(server) / "batches"


async def _linked(server: NatsServer) -> None:
    while not _link(server).is_symlink():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def _fire_all(log: EventLog) -> list[tuple[Appended, ...] | Conflict]:
    """A slot of each job and its trigger, all in one batch."""

    def unit(job: str) -> list[Entry]:
        expected = Expected(f"jobs.slot.{job}.*", 0)
        return [
            Entry(f"jobs.trigger.{job}.cron", Triggered(scheduled_for=SLOT), f"{job}.run"),
            Entry(f"jobs.slot.{job}.fired", SlotFired(scheduled_for=SLOT), job, expected),
        ]

    return await asyncio.gather(*(log.append_unit(unit(job)) for job in JOBS))


def _killed_at(server: NatsServer, write: int) -> "subprocess.Popen[str]":
    """The server gets a SIGKILL within a thread's n-th write to the stream's block of messages. Up to eight threads
    take turns at the sixty."""
    if shutil.which("strace") is None:
        assert "KRONIK_REQUIRE_TOOLS" not in os.environ, "strace must be there: KRONIK_REQUIRE_TOOLS is set"
        pytest.skip("no strace")
    assert server.process is not None
    inject = ["--inject", f"pwrite64:signal={signal.SIGKILL.name}:when={write}"]
    argv = ["strace", "-f", "-P", str(_stream(server) / "msgs" / "1.blk"), "-e", "trace=pwrite64", *inject]
    tracing = subprocess.Popen([*argv, "-p", str(server.process.pid)], stderr=subprocess.PIPE, text=True)
    assert tracing.stderr is not None
    if "attached" not in (said := tracing.stderr.readline()):
        tracing.communicate()
        pytest.skip(said)  # as Yama's ptrace_scope has it, for who is not root
    return tracing


async def _torn(server: NatsServer, log: EventLog, write: int) -> None:
    """The server dies while it writes the batch, and nobody hears of it. write: see _killed_at."""
    with _killed_at(server, write) as tracing:
        firing = asyncio.create_task(_fire_all(log))
        assert server.process is not None
        assert await asyncio.to_thread(server.process.wait, 10) == -signal.SIGKILL
        tracing.communicate()
    await end([firing])
    assert len(list(_link(server).iterdir())) == 1


@pytest.mark.parametrize("write", [2, 4, 7])
async def test_a_batch_that_the_server_was_killed_in_is_completed_when_it_starts(
    server: NatsServer, log: EventLog, write: int
) -> None:
    await _torn(server, log, write)
    server.start()
    assert await _stored(log) == WHOLE
    await _linked(server)
    assert list(_link(server).iterdir()) == []


async def test_over_a_power_cut_the_beginning_of_a_batch_may_stand_and_holds_no_slot_without_its_run(
    server: NatsServer, log: EventLog
) -> None:
    """None of it was acknowledged. What goes with the memory is what the server would complete it from."""
    await _torn(server, log, write=6)
    shutil.rmtree(_link(server).readlink())
    server.start()
    stored = await _stored(log)
    assert 5 <= len(stored) < len(WHOLE)
    assert stored == WHOLE[: len(stored)]


async def _stored(log: EventLog) -> list[str]:
    return [event.subject.split(".")[1] for event in await log.read("jobs.>")]
