"""A long history: how soon every service is ready on it and what it costs idle, and what rebuild and verify take."""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal

import asyncpg
import psutil
from kronik import subjects
from nats.aio.client import Client

from benchmarks import stream
from benchmarks.figures import Figure, rate
from services.api.history import schema
from services.log import connection as nats_connection
from services.log import jetstream
from services.log.provision import provision
from tests import processes, servers

_ASK_S: Final = 0.02


async def measure(*, events: int, idle_s: float) -> list[Figure]:
    with servers.nats() as nats, servers.postgres(durable=True) as postgres:
        connection = await nats_connection.connect(nats.url, "benchmark")
        await provision(connection, replicas=1)
        begin = time.perf_counter()
        events = await stream.fill(nats.url, events)
        figures = [rate("a stream made in atomic batches", events, time.perf_counter() - begin, "events", "one writer")]
        await _settle(connection, events)
        await nats_connection.close(connection)
        database = postgres.create_database()
        figures.append(await _replayed("rebuild", nats.url, database, events))
        figures.append(await _replayed("verify", nats.url, database, events))
        figures += await _services(nats.url, database, events, idle_s)
        return [*figures, await _restarted(nats, events)]


async def _restarted(nats: servers.NatsServer, events: int) -> Figure:
    nats.stop()
    begin = time.perf_counter()
    nats.start()
    connection = await nats_connection.connect(nats.url, "benchmark")
    assert (await jetstream.stream_info(connection)).state.messages >= events
    ready_s = time.perf_counter() - begin
    await nats_connection.close(connection)
    assert nats.process is not None
    memory = psutil.Process(nats.process.pid).memory_info().rss / 2**20
    return Figure(f"nats-server, {events:,} events", f"ready after {ready_s:.1f} s, {memory:,.0f} MiB", "RSS")


async def _settle(connection: Client, last: int) -> None:
    """The jobs' consumers as their runners left them: all that was asked for is done."""
    for job in stream.JOBS:
        await jetstream.create_consumer(
            connection,
            {
                "durable_name": subjects.runner_consumer(job),
                "filter_subject": subjects.triggers_of(job),
                "ack_policy": "explicit",
                "deliver_policy": "by_start_sequence",
                "opt_start_seq": last + 1,
            },
        )


def _together(process: psutil.Process) -> int:
    """With the processes that fold its parts; what they share counts several times."""
    return sum(each.memory_info().rss for each in (process, *process.children(recursive=True)))


async def _replayed(command: Literal["rebuild", "verify"], nats: str, database: str, events: int) -> Figure:
    """By the command of that name, in a process of its own."""
    environ = {**os.environ, "KRONIK_NATS_URL": nats, "KRONIK_DATABASE_URL": database}
    argv = [sys.executable, "-m", "services.cli", command, "--json"]
    async with _waiting_to_write(database) as waits:
        begin = time.perf_counter()
        process = await asyncio.create_subprocess_exec(*argv, env=environ, stdout=asyncio.subprocess.PIPE)
        answering, peak = asyncio.ensure_future(process.communicate()), 0
        while not answering.done():
            with contextlib.suppress(psutil.NoSuchProcess):
                peak = max(peak, _together(psutil.Process(process.pid)))
            await asyncio.sleep(0.2)
        elapsed = time.perf_counter() - begin
    assert process.returncode == 0, f"kronik {command} failed"
    runs = json.loads(answering.result()[0])["runs"]
    how = f"{runs:,} runs; at most {peak / 2**20:.0f} MiB (RSS); a writer waited at most {max(waits) * 1000:.0f} ms"
    return rate(f"kronik {command}, a long history", events, elapsed, "events", how)


@asynccontextmanager
async def _waiting_to_write(database: str) -> AsyncIterator[list[float]]:
    """How long who writes the history, as the projector does, has to wait for it, again and again."""
    connection = await asyncpg.connect(database)
    waits = [0.0]

    async def ask() -> None:
        while True:
            begin = time.perf_counter()
            async with connection.transaction():
                await connection.execute(schema.statement("lock_writing"), timeout=None)
            waits.append(time.perf_counter() - begin)
            await asyncio.sleep(_ASK_S)

    asking = asyncio.create_task(ask())
    try:
        yield waits
    finally:
        asking.cancel()
        await asyncio.wait([asking])
        connection.terminate()


async def _services(nats: str, database: str, events: int, idle_s: float) -> list[Figure]:
    figures = []
    with TemporaryDirectory() as directory:
        of: dict[str, dict[str, str]] = {
            "runner": {"jobs": "benchmarks.old_jobs"},
            "scheduler": {},
            "api": {"database_url": database, "port": "0", "api_port_file": str(Path(directory) / "port")},
        }
        for name, settings in of.items():
            begin = time.perf_counter()
            with processes.service(name, ready="", nats_url=nats, **settings) as process:
                process.wait_for_log(f"{name}_ready", within_s=120)
                ready_s = time.perf_counter() - begin
                await asyncio.sleep(3)
                watched, spent_s = psutil.Process(process.pid), _cpu_s(process.pid)
                await asyncio.sleep(idle_s)
                cpu = 100 * (_cpu_s(process.pid) - spent_s) / idle_s
                memory = watched.memory_full_info().uss / 2**20
            value = f"ready after {ready_s:.1f} s, {memory:.0f} MiB, {cpu:.1f} % CPU"
            figures.append(Figure(f"{name}, {events:,} events", value, f"USS; idle, over {idle_s:g} s"))
    return figures


def _cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    for figure in asyncio.run(measure(events=int(sys.argv[1]), idle_s=float(sys.argv[2]))):
        print(figure.what, "|", figure.value, "|", figure.how)
