"""The runner on a real nats-server that syncs every write: how soon a run starts, and how many it can do."""

import asyncio
import time

from nats.aio.client import Client

from benchmarks.figures import Figure, latency, rate
from services.infra.clock import SystemClock
from services.log import connection as nats_connection
from services.log.append import EventLog
from services.log.provision import provision
from tests import processes, servers


async def measure(*, runs: int, latencies: int) -> list[Figure]:
    """Trigger-to-start latency, and runs per second of a job that does nothing."""
    with servers.nats() as server:
        connection = await nats_connection.connect(server.url, "benchmark")
        await provision(connection, replicas=1)
        with processes.service("runner", nats_url=server.url, jobs="tests.sample_jobs", log_level="warning", ready=""):
            await _announced(connection)
            started = await _trigger_to_started(connection, latencies)
            elapsed = await _throughput(connection, runs)
        await nats_connection.close(connection)
    return [
        latency("trigger → started", started, f"{latencies} triggers one by one, publish to the `started` event seen"),
        rate("runs of a job that does nothing", runs, elapsed, "runs", "1 runner, concurrency 50, every write synced"),
    ]


async def _announced(connection: Client) -> None:
    log = EventLog(connection, SystemClock(), "/kronik/benchmark")
    while await log.last("jobs.definition.WARNS") is None:
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


async def _throughput(connection: Client, count: int) -> float:
    """Seconds from the first publish to the last terminal event."""
    done, counted = asyncio.Event(), 0

    async def count_completed(_: object) -> None:
        nonlocal counted
        counted += 1
        if counted == count:
            done.set()

    await connection.subscribe("jobs.run.NOOP.*.completed", cb=count_completed)
    begin = time.perf_counter()
    jetstream = connection.jetstream()
    for first in range(0, count, 500):
        acks = [await jetstream.publish_async("jobs.trigger.NOOP.bench", b"") for _ in range(min(500, count - first))]
        await asyncio.gather(*acks)
    await asyncio.wait_for(done.wait(), 600)
    return time.perf_counter() - begin
