"""The runner on a real nats-server that syncs every write: how soon a run starts, and how many it can do."""

import asyncio
import time
from contextlib import ExitStack

from nats.aio.client import Client

from benchmarks.figures import Figure, latency, rate
from services.infra.clock import SystemClock
from services.log import connection as nats_connection
from services.log.append import EventLog
from services.log.provision import provision
from tests import processes, servers

CONCURRENCIES = (50, 500, 1000)


async def measure(*, runs: int, latencies: int) -> list[Figure]:
    """Trigger-to-start latency, and runs per second of a job that does nothing."""
    with servers.nats() as server:
        connection = await nats_connection.connect(server.url, "benchmark")
        await provision(connection, replicas=1)
        figures = await _idle(connection, server.url, latencies)
        for runners in (1, 2):
            figures += await _busy(connection, server.url, runs, runners)
        await nats_connection.close(connection)
    return figures


async def _idle(connection: Client, url: str, latencies: int) -> list[Figure]:
    with processes.service("runner", nats_url=url, jobs="tests.sample_jobs", log_level="warning", ready=""):
        await _announced(connection, "NAP")
        started = await _trigger_to_started(connection, latencies)
    return [latency("trigger → started", started, f"{latencies} triggers one by one, publish to `started` seen")]


async def _busy(connection: Client, url: str, runs: int, runners: int) -> list[Figure]:
    figures = []
    with ExitStack() as stack:
        for number in range(runners):
            of = {"nats_url": url, "jobs": "benchmarks.jobs", "slots": "2000", "instance": f"bench-{number}"}
            stack.enter_context(processes.service("runner", **of, log_level="warning", ready=""))
        for concurrency in CONCURRENCIES:
            job = f"NOOP_{concurrency}"
            await _announced(connection, job)
            elapsed = await _throughput(connection, job, runs)
            how = f"{runners} runner{'s' * (runners > 1)}, concurrency {concurrency}, every write synced"
            figures.append(rate("runs of a job that does nothing", runs, elapsed, "runs", how))
    return figures


async def _announced(connection: Client, job: str) -> None:
    log = EventLog(connection, SystemClock(), "/kronik/benchmark")
    while await log.last(f"jobs.definition.{job}") is None:
        await asyncio.sleep(0.1)


async def _trigger_to_started(connection: Client, count: int) -> list[float]:
    told = await connection.subscribe("jobs.run.NAP.*.started")
    completed = await connection.subscribe("jobs.run.NAP.*.completed")
    spans = []
    for _ in range(count):
        begin = time.perf_counter()
        await connection.publish("jobs.trigger.NAP.bench", b"")
        await told.next_msg(timeout=10)
        spans.append(time.perf_counter() - begin)
        await completed.next_msg(timeout=10)
    return spans


async def _throughput(connection: Client, job: str, count: int) -> float:
    """Seconds from the first publish to the last terminal event."""
    done, counted = asyncio.Event(), 0

    async def count_completed(_: object) -> None:
        nonlocal counted
        counted += 1
        if counted == count:
            done.set()

    told = await connection.subscribe(f"jobs.run.{job}.*.completed", cb=count_completed)
    begin = time.perf_counter()
    jetstream = connection.jetstream()
    for first in range(0, count, 500):
        acks = [await jetstream.publish_async(f"jobs.trigger.{job}.bench", b"") for _ in range(min(500, count - first))]
        await asyncio.gather(*acks)
    await asyncio.wait_for(done.wait(), 600)
    elapsed = time.perf_counter() - begin
    await told.unsubscribe()
    return elapsed
