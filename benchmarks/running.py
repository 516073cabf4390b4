"""The runner on a nats-server as `kronik up` starts it, each role in its account and every write synced: how soon a run
starts, and how many it can do. What it did is read from the stream, by the stream's own times."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from kronik.events import Triggered
from nats.aio.client import Client

from benchmarks.figures import Figure, latency, rate
from services.infra.clock import SystemClock
from services.infra.lifecycle import end
from services.log import connection as nats_connection
from services.log import jetstream
from services.log.append import Entry, EventLog
from services.log.provision import provision
from tests import processes, servers
from tests.servers import NatsServer

CONCURRENCIES = (50, 500, 1000)
_TOGETHER = 500
_LOOK_EVERY_S = 0.1
_BEATS_S = 0.005
"""A load that comes in bursts makes a queue of its own, which is what would be measured."""


async def measure(*, runs: int, latencies: int) -> list[Figure]:
    """Trigger-to-start latency, and runs per second of a job that does nothing."""
    figures = []
    async with _bus() as (server, log):
        with _runner(server, "tests.sample_jobs", 1):
            await _announced(log, "NAP")
            started = await _trigger_to_started(log.connection, latencies)
        how = f"{latencies} triggers one by one, publish to `started` seen"
        figures.append(latency("trigger → started", started, how))
    best = 0.0
    for runners in (1, 2):
        for concurrency in CONCURRENCIES:
            elapsed = await _worked_off(f"NOOP_{concurrency}", runs, runners)
            best = max(best, runs / elapsed) if runners == 1 else best
            how = f"{runners} runner{'s' * (runners > 1)}, concurrency {concurrency}, every write synced"
            figures.append(rate("runs of a job that does nothing", runs, elapsed, "runs", how))
    async with _bus() as (server, log):
        figures.append(await _half_loaded(server, log, best / 2, latencies))
    return figures


@asynccontextmanager
async def _bus() -> AsyncIterator[tuple[NatsServer, EventLog]]:
    with servers.nats(users=True) as server:
        connection = await nats_connection.connect(server.user("administrator"), "benchmark")
        await provision(connection, replicas=1)
        yield server, EventLog(connection, SystemClock(), "/kronik/benchmark")
        await nats_connection.close(connection)


@contextlib.contextmanager
def _runner(server: NatsServer, jobs: str, count: int):  # type: ignore[no-untyped-def]
    with ExitStack() as stack:
        for number in range(count):
            of = {"nats_url": server.user("runner"), "jobs": jobs, "slots": "4000", "instance": f"bench-{number}"}
            stack.enter_context(processes.service("runner", **of, ready=""))
        yield


async def _announced(log: EventLog, job: str) -> None:
    while await log.last(f"jobs.definition.{job}") is None:
        await asyncio.sleep(0.1)


async def _trigger_to_started(connection: Client, count: int) -> list[float]:
    told = await connection.subscribe("stored.jobs.run.NAP.*.started")
    completed = await connection.subscribe("stored.jobs.run.NAP.*.completed")
    spans = []
    for _ in range(count):
        begin = time.perf_counter()
        await connection.publish("jobs.trigger.NAP.bench", b"")
        await told.next_msg(timeout=30)
        spans.append(time.perf_counter() - begin)
        await completed.next_msg(timeout=30)
    return spans


async def _ask_for(log: EventLog, job: str, first: int, count: int) -> None:
    """The triggers of so many runs, together as far as a batch goes."""
    for begin in range(first, first + count, _TOGETHER):
        numbers = range(begin, min(begin + _TOGETHER, first + count))
        entries = [Entry(f"jobs.trigger.{job}.bench", Triggered(), id=f"{job}-{number}") for number in numbers]
        await asyncio.gather(*(log.append_unit([entry]) for entry in entries))


async def _worked_off(job: str, runs: int, runners: int) -> float:
    """Seconds from the first `started` to the last `completed` of runs that all waited."""
    async with _bus() as (server, log):
        await _ask_for(log, job, 0, runs)
        with _runner(server, "benchmarks.jobs", runners):
            while (info := await jetstream.consumer_info(log.connection, f"runner-{job}")) is None or not (
                info.num_pending == info.num_ack_pending == 0
            ):
                await asyncio.sleep(_LOOK_EVERY_S)
        ((first, *_), last) = await log.read(f"jobs.run.{job}.*.started", limit=1), await log.last("jobs.run.>")
        assert last is not None
        assert last.sequence >= 3 * runs, "somebody's run is missing"
        return (last.time - first.time).total_seconds()


async def _half_loaded(server: NatsServer, log: EventLog, per_s: float, latencies: int) -> Figure:
    """trigger → started of a job beside another one that keeps the runner half as busy as it can be."""

    async def load() -> None:
        number, begin = 0, time.perf_counter()
        for beat in itertools.count(1):
            due = round(beat * _BEATS_S * per_s)
            await _ask_for(log, "NOOP_1000", number, due - number)
            number = due
            await asyncio.sleep(begin + beat * _BEATS_S - time.perf_counter())

    with _runner(server, "benchmarks.jobs,tests.sample_jobs", 1):
        await _announced(log, "NOOP_1000")
        loading = asyncio.create_task(load())
        spans = await _trigger_to_started(log.connection, latencies)
        await end([loading])
    beside = f"{per_s:,.0f} runs/s of another job, asked for every {1000 * _BEATS_S:.0f} ms"
    how = f"{latencies} triggers one by one, beside {beside}"
    return latency("trigger → started, half loaded", spans, how)


if __name__ == "__main__":
    for figure in asyncio.run(measure(runs=10_000, latencies=300)):
        print(figure.what, "|", figure.value, "|", figure.how)
