"""The log by itself: appends of many writers at the same moment, each with its expectation, every write synced; and
following the stream as the scheduler does."""

import asyncio
import time
from collections.abc import Sequence

from kronik.events import Completed, Started
from kronik.run import Run
from nats.aio.client import Client

from benchmarks import stream
from benchmarks.figures import Figure, rate
from services.infra.clock import SystemClock
from services.infra.lifecycle import end
from services.log import connection as nats_connection
from services.log.append import EventLog
from services.log.provision import provision
from services.log.stored import Stored
from services.log.subscription import Subscription
from tests import servers

_STARTED = Started(attempt=1, incarnation="bench", timeout_ms=1_000)
_COMPLETED = Completed(attempt=1, result={"created": 120, "closed": 45})


async def measure(*, appends: int, events: int) -> list[Figure]:
    figures: list[Figure] = []
    for writers in (1, 50, 500):
        with servers.nats() as server:
            connection = await _connect(server.url)
            await stream.fill(server.url, 3)
            figures.append(await _append(connection, writers, appends if writers > 1 else appends // 20))
            await nats_connection.close(connection)
    with servers.nats() as server:
        connection = await _connect(server.url)
        figures.append(await _follow(connection, await stream.fill(server.url, events)))
        await nats_connection.close(connection)
    return figures


async def _connect(url: str) -> Client:
    connection = await nats_connection.connect(url, "bench")
    await provision(connection, replicas=1)
    return connection


async def _append(connection: Client, writers: int, appends: int) -> Figure:
    """Each writer claims and ends one run after the other."""
    log = EventLog(connection, SystemClock(), "/kronik/bench")
    found = await log.read_run(1)
    assert found is not None
    fresh = iter([_renamed(found[0], 10**9 + number) for number in range(appends // 2)])

    async def write() -> None:
        for run in fresh:
            claimed = await log.append_to_run(run, _STARTED, by="bench")
            assert isinstance(claimed, Run)
            assert isinstance(await log.append_to_run(claimed, _COMPLETED, by="bench"), Run)

    begin = time.perf_counter()
    await asyncio.gather(*(write() for _ in range(writers)))
    how = f"each expects its run as it was, one connection, {writers} writers, sync_interval: always"
    return rate(f"append_to_run, {writers} at a time", appends, time.perf_counter() - begin, "appends", how)


def _renamed(run: Run, run_id: int) -> Run:
    return Run(
        id=run_id, job_type=run.job_type, origin="crm", triggered_by="", triggered_at=run.triggered_at, params={}
    )


async def _follow(connection: Client, events: int) -> Figure:
    async def take(batch: Sequence[Stored]) -> None:
        pass

    followed = Subscription(connection, "bench-follow", take, headers_only=True)
    begin = time.perf_counter()
    following = asyncio.create_task(followed.run())
    await followed.current.wait()
    elapsed = time.perf_counter() - begin
    await end([following])
    return rate("the stream followed from its begin, without bodies", events, elapsed, "events", "one Subscription")
