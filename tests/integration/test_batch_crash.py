"""A process that dies before, or right behind, a batch of its own: all of the batch stands or nothing, and whoever
does the same again finds what stands and adds the rest, each event once."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from nats.aio.client import Client

from services.log.append import EventLog
from tests.runs import trigger

RUNS = 60
_DIED = 137

WRITER = """
import asyncio, sys
from kronik.events import Started
from services.infra.clock import SystemClock
from services.log import connection
from services.log.append import EventLog

async def main():
    log = EventLog(await connection.connect(sys.argv[1], "writer"), SystemClock(), "/kronik/test")
    runs = [(await log.read_run(run_id))[0] for run_id in range(1, int(sys.argv[2]) + 1)]
    fresh = [run for run in runs if run.token == 0]
    started = Started(attempt=1, incarnation="x", timeout_ms=1000)
    await asyncio.gather(*(log.append_to_run(run, started, by="writer") for run in fresh))
    print(len(fresh))

asyncio.run(main())
"""


def write(nats_url: str, failpoint: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "KRONIK_FAILPOINT": failpoint}
    argv = [sys.executable, "-c", WRITER, nats_url, str(RUNS)]
    root = Path(__file__).parents[2]
    return subprocess.run(argv, env=environ, cwd=root, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(("failpoint", "stored"), [("before_batch", 0), ("after_batch", RUNS)])
async def test_a_writer_that_dies_at_its_batch_leaves_all_of_it_or_nothing(
    nats_client: Client, event_log: EventLog, nats_url: str, failpoint: str, stored: int
) -> None:
    for _ in range(RUNS):
        await trigger(nats_client, "NAP")
    died = await asyncio.to_thread(write, nats_url, failpoint)
    assert died.returncode == _DIED, died.stderr
    assert len(await event_log.read("jobs.run.>")) == stored
    again = await asyncio.to_thread(write, nats_url, "")
    assert (again.returncode, again.stdout.split()[-1]) == (0, str(RUNS - stored)), again.stderr
    events = await event_log.read("jobs.run.>")
    assert len({event.subject for event in events}) == len(events) == RUNS
