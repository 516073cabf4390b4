"""What the history answers at millions of runs while more are projected, on a Postgres as durable as `kronik up`'s."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from benchmarks import panel
from benchmarks.figures import Figure, latency, rate
from benchmarks.projecting import Projected
from services.api.commands import bulk
from services.api.history import counts, export, overview, queries, schema
from services.api.history.columns import term_of
from services.api.history.run_filter import RunFilter
from services.api.history.selection import Moment, Place
from services.api.pool import SETTINGS
from services.infra import sql
from tests import servers
from tests.definitions import plain_job

_END = datetime(2026, 11, 1, tzinfo=UTC)
_YEAR_S = 365 * 86_400
_JOBS = [f"BENCH_{letter}" for letter in "ABCDEFGHIJ"]


async def measure(*, runs: int, requests: int) -> list[Figure]:
    """Fill the tables with `runs` runs, as a rebuild leaves them, and ask each question `requests` times."""
    with servers.postgres(durable=True) as postgres:
        database = postgres.create_database()
        await fill(database, runs)
        async with _pool(database) as pool, _projecting(database) as meanwhile:
            figures = [await _asked(pool, what, ask, requests) for what, ask in questions(runs)]
            figures += [await _exported(pool, format, runs) for format in ("csv", "jsonl")]
        pages = await panel.pages(database, _JOBS[0], runs, max(3, requests // 10))
        return [*figures, *meanwhile, *pages]


@asynccontextmanager
async def _projecting(database: str) -> AsyncIterator[list[Figure]]:
    """Another process projects within the block; afterwards there is what it did."""
    figures: list[Figure] = []
    argv = (sys.executable, "-m", "benchmarks.projecting", database)
    process = await asyncio.create_subprocess_exec(*argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield figures
    finally:
        told, _ = await process.communicate(b"")
    done = msgspec.json.decode(told, type=Projected)
    figures.append(rate("projecting, meanwhile", done.events, done.seconds, "events", "by another process"))
    figures.append(latency("writing is locked, for a batch", done.spans, f"{len(done.spans)} batches"))


def _pool(database: str) -> "asyncpg.Pool[asyncpg.Record]":
    """As the API's."""
    return asyncpg.create_pool(database, min_size=1, max_size=2, server_settings=SETTINGS)


async def fill(database: str, runs: int) -> None:
    connection = await asyncpg.connect(
        database,
        server_settings={"search_path": "history", "maintenance_work_mem": "512MB", "timezone": "UTC"},
    )
    for statement in ("DROP SCHEMA history CASCADE; CREATE SCHEMA history", schema.TABLES_DDL):
        await connection.execute(statement)
    await connection.execute(sql.load("benchmarks", "runs.sql"), runs, _END, _YEAR_S / runs, timeout=None)
    await connection.execute(
        "INSERT INTO param SELECT CASE WHEN id % 20 = 0 THEN $1::bigint ELSE $2::bigint + id % 5000 END, id"
        " FROM run WHERE params_json <> '{}'",
        *(term_of("month", "2026-10"), term_of("order", "0")),
        timeout=None,
    )
    defined = [(job, 1, msgspec.json.encode(plain_job(job)).decode()) for job in _JOBS]
    await connection.executemany("INSERT INTO job (job_type, sequence, definition_json) VALUES ($1, $2, $3)", defined)
    for ddl in (schema.KEYS_DDL, schema.INDEXES_DDL, schema.statement("fill_tally"), schema.TALLY_DDL):
        await connection.execute(ddl, timeout=None)
    await connection.execute(schema.statement("first_checkpoint"), schema.VERSION)
    for table in ("run", "param", "tally"):
        await connection.execute(f"VACUUM (ANALYZE) {table}", timeout=None)  # as Postgres does it by itself
    await connection.close()


Ask = Callable[["asyncpg.Pool[asyncpg.Record]"], Awaitable[Any]]


def _page(wanted: RunFilter, place: Place | None = None, moment: Moment | None = None) -> Ask:
    return lambda pool: queries.page(pool, wanted, place=place, moment=moment)


def _count(wanted: RunFilter) -> Ask:
    return lambda pool: queries.count(pool, wanted)


def questions(runs: int) -> list[tuple[str, Ask]]:
    last = 3 * runs
    deep = Place(last - 3 * 10 * 1_000)
    old = _END - timedelta(days=300)
    then = Moment(last // 2, _END - timedelta(seconds=_YEAR_S / 2))
    wheres = {
        "job": RunFilter(job_types=("BENCH_A",)),
        "two jobs": RunFilter(job_types=("BENCH_A", "BENCH_J")),
        "not a job": RunFilter(not_job_types=("BENCH_A",)),
        "status RUNNING": RunFilter(statuses=("RUNNING",)),
        "status FAILED": RunFilter(statuses=("FAILED",)),
        "phase retrying": RunFilter(phases=("retrying",)),
        "open": RunFilter(open=True),
        "unresolved": RunFilter(unresolved=True),
        "who: a service": RunFilter(triggered_by=("SERVICE:crm",)),
        "who: nobody": RunFilter(triggered_by=("SERVICE:nobody",)),
        "from, to": RunFilter(since=old, until=old + timedelta(days=1)),
        "before the first": RunFilter(until=_END - timedelta(days=400)),
        "rerunOf": RunFilter(rerun_of=3_000),
        "correlation id": RunFilter(correlation_id="bulk-1"),
        "param": RunFilter(params=(("month", "2026-10"),)),
        "param, nothing": RunFilter(params=(("month", "1999-01"),)),
        "text, many": RunFilter(text="timeout"),
        "text, one": RunFilter(text="disk 77 is"),
        "text, nothing": RunFilter(text="no such words"),
        "job, status, who": RunFilter(job_types=("BENCH_B",), statuses=("FAILED",), triggered_by=("ADMIN:1",)),
        "job, who, nothing": RunFilter(job_types=("BENCH_A",), triggered_by=("SERVICE:crm",), statuses=("PARTIAL",)),
        "job, status, a day": RunFilter(
            job_types=("BENCH_C",), statuses=("FAILED",), since=old, until=old + timedelta(days=1)
        ),
        "param, FAILED": RunFilter(params=(("month", "2026-10"),), statuses=("FAILED",)),
        "text, job": RunFilter(text="timeout", job_types=("BENCH_D",)),
    }
    pages = [("first page", _page(RunFilter())), ("page 1,000", _page(RunFilter(), deep))]
    pages += [(f"page: {name}", _page(wanted)) for name, wanted in wheres.items()]
    pages += [
        ("page as of half a year ago", _page(RunFilter(), moment=then)),
        ("page as of half a year ago: RUNNING", _page(RunFilter(statuses=("RUNNING",)), moment=then)),
        ("page as of half a year ago: FAILED", _page(RunFilter(statuses=("FAILED",)), moment=then)),
    ]
    pages += [(f"count: {name}", _count(wanted)) for name, wanted in wheres.items()]
    month = _END.date() - timedelta(days=30)
    return [
        *pages,
        ("counts per job and status, with what is usual", counts.summary),
        ("counts per day, a month", lambda pool: counts.days(pool, "Europe/Copenhagen", month, _END.date())),
        ("last run of each job", queries.last_runs_by_job),
        ("panel: last runs of each job", overview.recent),
        ("panel: runs of each job, a day", lambda pool: overview.window(pool, _END - timedelta(days=1))),
        ("panel: failures of each job, a week", lambda pool: overview.failures(pool, _END - timedelta(days=7))),
        ("panel: runs by state, a week", lambda pool: overview.tally(pool, _END - timedelta(days=7))),
        ("plan of a bulk over 100,000 runs", _plan),
    ]


async def _plan(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    planned = await bulk.plan(pool, "rerun", RunFilter(correlation_id="bulk-1"))
    assert planned.selected == bulk.LIMIT
    assert planned.eligible


async def _asked(pool: "asyncpg.Pool[asyncpg.Record]", what: str, ask: Ask, requests: int) -> Figure:
    spans = []
    for number in range(requests + 3):
        begin = time.perf_counter()
        await ask(pool)
        if number >= 3:
            spans.append(time.perf_counter() - begin)
        if sum(spans) > 3:
            break
    return latency(what, spans, f"{len(spans)} times")


async def _exported(pool: "asyncpg.Pool[asyncpg.Record]", format: export.Format, runs: int) -> Figure:
    wanted = RunFilter(job_types=("BENCH_A",))
    count = (await queries.count(pool, wanted)).count
    begin = time.perf_counter()
    size = 0
    async for chunk in export.lines(pool, wanted, format):
        size += len(chunk)
    return rate(
        f"export as {format}", count, time.perf_counter() - begin, "runs", f"{size / 1e6:.0f} MB of {runs:,} runs"
    )


if __name__ == "__main__":
    for figure in asyncio.run(measure(runs=int(sys.argv[1]), requests=int(sys.argv[2]))):
        print(f"{figure.what:50} {figure.value:40} {figure.how}", flush=True)
