"""What a process of its own costs a run, and that nothing survives it: attempts that time out with their families."""

import asyncio
import time

import psutil
from nats.aio.client import Client

from benchmarks.figures import Figure, percentile
from services.log import connection as nats_connection
from services.log.provision import provision
from tests import processes, servers
from tests.isolated_jobs import STAYS


async def measure(*, runs: int, kills: int) -> list[Figure]:
    """Milliseconds that a process adds to a run, one after another, and survivors of killed attempts."""
    with servers.nats() as server:
        connection = await nats_connection.connect(server.url, "benchmark")
        await provision(connection, replicas=1)
        jobs = "tests.sample_jobs,tests.isolated_jobs"
        with processes.runner(server.url, jobs=jobs, grace_s="0.2", log_level="warning", ready=""):
            for warm_up in ("NOOP", "INSTANT"):
                await _one_by_one(connection, warm_up, 10)
            shared = await _one_by_one(connection, "NOOP", runs)
            apart = await _one_by_one(connection, "INSTANT", runs)
            begin = time.perf_counter()
            await _all_at_once(connection, "STUBBORN", kills)
            took_s = time.perf_counter() - begin
            left = _survivors()
        await nats_connection.close(connection)
    added = (percentile(apart, 50) - percentile(shared, 50)) * 1000
    return [
        Figure(
            "a process of its own adds to a run",
            f"{added:.1f} ms",
            f"{runs} runs one by one, p50 {percentile(apart, 50) * 1000:.1f} ms against"
            f" {percentile(shared, 50) * 1000:.1f} ms in the runner's own process",
        ),
        Figure(
            "timeouts of jobs with grandchildren",
            f"{kills} killed, {left} survivors",
            f"4 descendants each, some in sessions of their own; {took_s:.0f} s with concurrency 20",
        ),
    ]


async def _one_by_one(connection: Client, job: str, count: int) -> list[float]:
    told = await connection.subscribe(f"jobs.run.{job}.*.completed")
    spans = []
    for _ in range(count):
        begin = time.perf_counter()
        await connection.publish(f"jobs.trigger.{job}.bench", b"")
        await told.next_msg(timeout=30)
        spans.append(time.perf_counter() - begin)
    await told.unsubscribe()
    return spans


async def _all_at_once(connection: Client, job: str, count: int) -> None:
    ended, counted = asyncio.Event(), 0

    async def count_one(_: object) -> None:
        nonlocal counted
        counted += 1
        if counted == count:
            ended.set()

    for name in ("completed", "failed"):
        await connection.subscribe(f"jobs.run.{job}.*.{name}", cb=count_one)
    for _ in range(count):
        await connection.publish(f"jobs.trigger.{job}.bench", b"")
    await asyncio.wait_for(ended.wait(), 600)


def _survivors() -> int:
    return sum(STAYS in " ".join(each.info["cmdline"] or []) for each in psutil.process_iter(["cmdline"]))
