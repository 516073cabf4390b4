"""Schedules: how late slots are that are due together, and what a scheduler costs with ten thousand of them."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import psutil
from kronik.events import Schedule

from benchmarks.figures import Figure, percentile
from services.infra.clock import SystemClock
from services.log import connection as nats_connection
from services.log.append import EventLog
from services.log.provision import provision
from tests import processes, servers
from tests.scheduling import define

_DEFINED_AT_ONCE = 500


async def measure(*, together: tuple[int, ...]) -> list[Figure]:
    """together: how many slots are due in the same second, one measurement each; among all of them one is alone."""
    figures: list[Figure] = []
    for count in together:
        async with _scheduled(count) as (log, process, slot):
            late = await _lateness(log, count, slot)
            memory = psutil.Process(process.pid).memory_full_info().uss / 2**20
            how = f"stored behind the slot; scheduler {memory:.0f} MiB (USS)"
            figures.append(Figure(f"{count:,} slots due in one second", f"all after {max(late) * 1000:.0f} ms", how))
            alone = await _lateness(log, 1, slot + timedelta(minutes=1), job="ALONE")
            figures.append(
                Figure(f"one slot, among {count:,} schedules", f"after {percentile(alone, 99) * 1000:.0f} ms", how)
            )
    return figures


@asynccontextmanager
async def _scheduled(count: int) -> AsyncIterator[tuple[EventLog, processes.Process, datetime]]:
    with servers.nats() as server:
        connection = await nats_connection.connect(server.url, "benchmark")
        await provision(connection, replicas=1)
        log = EventLog(connection, SystemClock(), "/kronik/benchmark")
        slot = (datetime.now(UTC) + timedelta(seconds=30 + count / 250)).replace(second=0, microsecond=0)
        slot += timedelta(minutes=1)
        due = Schedule(expression=f"{slot.minute} {slot.hour} * * *", tz="UTC")
        for begin in range(0, count, _DEFINED_AT_ONCE):
            names = [f"JOB{number}" for number in range(begin, min(begin + _DEFINED_AT_ONCE, count))]
            await asyncio.gather(*(define(log, name, due) for name in names))
        following = slot + timedelta(minutes=1)
        await define(log, "ALONE", Schedule(expression=f"{following.minute} {following.hour} * * *", tz="UTC"))
        with processes.service("scheduler", nats_url=server.url, log_level="warning", ready="") as process:
            yield log, process, slot
        await nats_connection.close(connection)


async def _lateness(log: EventLog, count: int, slot: datetime, job: str = "*") -> list[float]:
    """Seconds from the slot to each event that says it fired."""
    await asyncio.sleep(max(0, (slot - datetime.now(UTC)).total_seconds()) + 0.5)
    found: list[float] = []
    filter, start = f"jobs.slot.{job}.fired", 1
    while len(found) < count:
        page = await log.read(filter, start=start)
        found += [(each.time - slot).total_seconds() for each in page if each.time >= slot]
        start = page[-1].sequence + 1 if page else start
        await asyncio.sleep(0 if page else 0.1)
    return found


if __name__ == "__main__":
    for figure in asyncio.run(measure(together=tuple(map(int, os.environ.get("TOGETHER", "1000").split(","))))):
        print(figure.what, "|", figure.value, "|", figure.how)
