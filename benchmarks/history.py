"""The history at a million events, what the projector and a rebuild do with it; the API's answers at a million runs."""

import asyncio
import time
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import httpx
import msgspec

from benchmarks import panel, stream
from benchmarks.figures import Figure, latency, rate
from services.api.access import store
from services.api.history.rebuild import rebuild
from services.api.history.verify import verify
from services.log import connection as nats_connection
from services.log.provision import provision
from tests import processes, servers
from tests.definitions import plain_job


async def measure(*, events: int, requests: int) -> list[Figure]:
    """Project, rebuild and verify `events` events, then ask for pages of the history they make."""
    with servers.nats() as nats, servers.postgres(durable=True) as postgres:
        connection = await nats_connection.connect(nats.url, "benchmark")
        await provision(connection, replicas=1)
        await nats_connection.close(connection)
        events = await stream.fill(nats.url, events)
        database = postgres.create_database()
        projected = await _project(nats.url, database, events)
        rebuilt = await _timed_rebuild(nats.url, database)
        begin = time.perf_counter()
        report = await verify(nats.url, database)
        verified = time.perf_counter() - begin
        assert not report.differences, "the benchmark's own history is wrong"
        runs = await _copy_rows(database, times=2)
        pages = await _requests(nats.url, database, requests)
        shown = await panel.pages(database, stream.JOBS[0], runs, max(3, requests // 20))
    how = f"{events // 3:,} runs of 3 events"
    return [
        rate("projector, catching up", events, projected, "events", how),
        rate("rebuild", events, rebuilt, "events", how),
        rate("verify", events, verified, "events", how),
        latency("GET /api/admin/job-run?limit=10", pages, f"{requests} requests one by one, {runs:,} runs"),
        *shown,
    ]


async def _project(nats_url: str, database: str, events: int) -> float:
    """Seconds from the API's readiness to project until the checkpoint stands at the last event."""
    reader = await asyncpg.connect(database)
    with TemporaryDirectory() as directory, _api(nats_url, database, Path(directory)) as process:
        process.wait_for_log('"projecting"', within_s=60)
        begin = time.perf_counter()
        while await reader.fetchval("SELECT sequence FROM history.checkpoint") < events:
            await asyncio.sleep(0.05)
        elapsed = time.perf_counter() - begin
    await reader.close()
    return elapsed


async def _timed_rebuild(nats_url: str, database: str) -> float:
    begin = time.perf_counter()
    await rebuild(nats_url, database, lambda _: None)
    return time.perf_counter() - begin


async def _copy_rows(database: str, times: int) -> int:
    """Copy each row so many times, under ids further on; how many runs there are then."""
    connection = await asyncpg.connect(database)
    rows = await connection.fetch("SELECT * FROM history.run")
    columns, step = list(rows[0].keys()), max(row["id"] for row in rows)
    for number in range(1, times + 1):
        records = ([row["id"] + number * step, *row[1:]] for row in rows)
        await connection.copy_records_to_table("run", schema_name="history", columns=columns, records=records)
    await connection.execute("ANALYZE history.run")
    await connection.close()
    return len(rows) * (times + 1)


async def _requests(nats_url: str, database: str, count: int) -> list[float]:
    connection = await asyncpg.connect(database)
    token = await store.create_token(connection, await store.ensure_admin(connection), "benchmark")
    defined = [(job, 1, msgspec.json.encode(plain_job(job)).decode()) for job in stream.JOBS]
    announced = "INSERT INTO history.job (job_type, sequence, definition_json) VALUES ($1, $2, $3)"
    await connection.executemany(announced, defined)
    await connection.close()
    spans = []
    with TemporaryDirectory() as directory, _api(nats_url, database, Path(directory)) as process:
        process.wait_for_log("api_ready", within_s=60)
        port = (Path(directory) / "port").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
            for number in range(count):
                query = {"limit": "10", **({"jobType": stream.JOBS[number % 10]} if number % 2 else {})}
                begin = time.perf_counter()
                (await client.get("/api/admin/job-run", params=query)).raise_for_status()
                spans.append(time.perf_counter() - begin)
    return spans


def _api(nats_url: str, database: str, directory: Path) -> AbstractContextManager[processes.Process]:
    return processes.service(
        "api",
        ready="",
        nats_url=nats_url,
        database_url=database,
        port="0",
        api_port_file=str(directory / "port"),
    )
