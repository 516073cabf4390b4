"""The panel: how long its pages take and what they weigh, and whether a crowd before it sees what is so."""

import asyncio
import contextlib
import gzip
import json
import math
import re
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, get_args
from urllib.parse import urlsplit

import asyncpg
import httpx
import psutil
from kronik import subjects
from kronik.events import AnyEvent, Completed, Started, Triggered

from benchmarks.figures import Figure, latency, percentile
from services.api.access import store
from services.infra.clock import SystemClock
from services.log import connection as nats_connection
from services.log.append import Appended, EventLog, Expected
from services.log.provision import provision
from tests import processes, servers
from tests.definitions import plain_job

_PAGES: Final = (
    *("", "/history", "/history?unresolved=1", "/history?job={job}", "/job/{job}", "/job/{job}/run", "/run/{run}"),
    *("/calendar", "/journal", "/truth", "/access", "/bulk/new?job={job}&status=FAILED&text=disk+77"),
)
_WATCHED: Final = ("/admin/system", "/admin/system/history", "/admin/system/job/BENCH_A")
_QUIET_S: Final = 0.25
"""As live.js: so long between two refreshes of a page."""
_SLOW: Final = 10
_PASSING_HZ: Final = 10
_ADDRESSES: Final = [f"127.0.0.{n}" for n in range(2, 10)]
"""Of one address the API takes four hundred connections."""
_AT: Final = re.compile(rb'data-at="(\d+)"')


async def pages(database: str, job: str, runs: int, count: int) -> list[Figure]:
    """Each page so many times, by an admin, as if the last run had only just been asked for.

    database: of a history with so many runs; of the stream that they came of nothing is there.
    """
    token = await _token(database)
    last, ago_s = await _last(database)
    with servers.nats() as nats:
        connection = await nats_connection.connect(nats.url, "benchmark")
        await provision(connection, replicas=1)
        await nats_connection.close(connection)
        with _api(nats.url, database, -ago_s) as (_, address):
            headers = {"Authorization": f"Bearer {token}", "Accept": "text/html", "Accept-Encoding": "gzip"}
            async with httpx.AsyncClient(base_url=address, headers=headers, timeout=30) as client:
                paths = [f"/admin/system{path.format(job=job, run=last)}" for path in _PAGES]
                return [await _page(client, path, runs, count) for path in paths]


async def _page(client: httpx.AsyncClient, path: str, runs: int, count: int) -> Figure:
    spans, weight = [], 0
    for number in range(count + 1):
        begin = time.perf_counter()
        answer = await client.get(path)
        answer.raise_for_status()
        weight = answer.num_bytes_downloaded
        if number:
            spans.append(time.perf_counter() - begin)
    named = re.sub(r"\d{4,}", "…", path)
    return latency(f"GET {named}", spans, f"{runs:,} runs; {weight / 1000:.1f} kB compressed, {count} times")


async def crowd(*, readers: int, silent: int, seconds: float, rate: int) -> list[Figure]:
    """So many open pages, and sessions that never read what they are told, while so many runs a second happen."""
    with servers.nats() as nats, servers.postgres(durable=True) as postgres:
        connection = await nats_connection.connect(nats.url, "benchmark")
        await provision(connection, replicas=1)
        log = EventLog(connection, SystemClock(), "/kronik/benchmark")
        await _append(log, subjects.definition("BENCH_A"), plain_job("BENCH_A"))
        database = postgres.create_database()
        tokens = await _tokens(database, readers)
        with _api(nats.url, database) as (process, address):
            async with _silent(address, tokens[0], silent), _passing(address, tokens[0]):
                figures = await _watched(log, process, address, tokens, seconds, rate)
        await nats_connection.close(connection)
    others = f"{_SLOW} that read a byte a second, {_PASSING_HZ} opened and broken off a second"
    whom = f"{readers} pages of {readers} people, {silent} sessions that never read, {others}"
    return [Figure(what, value, f"{whom}; {rate} runs/s for {seconds:g} s") for what, value in figures]


async def _watched(
    log: EventLog, process: processes.Process, address: str, tokens: list[str], seconds: float, rate: int
) -> list[tuple[str, str]]:
    appended = [math.inf] * 10  # what stood there before the first page was open
    late: list[float] = []
    pages = [_Page(number, token) for number, token in enumerate(tokens)]
    seen = [asyncio.create_task(page.watch(address, appended, late)) for page in pages]
    memory: list[int] = []
    measuring = asyncio.create_task(_measure(process.pid, memory))
    await asyncio.sleep(2)
    used = sum(psutil.Process(process.pid).cpu_times()[:2])
    await _happen(log, appended, seconds, rate)
    used = sum(psutil.Process(process.pid).cpu_times()[:2]) - used
    await asyncio.sleep(2)
    for task in (measuring, *seen):
        task.cancel()
    ended = await asyncio.gather(measuring, *seen, return_exceptions=True)
    assert not (failed := [one for one in ended if not isinstance(one, asyncio.CancelledError)]), failed[:3]
    assert late, "no open page was renewed"
    third = max(1, len(memory) // 3)
    begin, end = (sorted(part)[len(part) // 2] / 2**20 for part in (memory[third : 2 * third], memory[-third:]))
    p50, p99, most = (percentile(late, percent) for percent in (50, 99, 100))
    right = sum(page.shown == len(appended) - 1 for page in pages)
    return [
        ("an open page, behind the stream at most", f"p50 {p50:.2f} s, p99 {p99:.2f} s, most {most:.2f} s"),
        ("open pages that show the last event 2 s after it", f"{right} of {len(pages)}"),
        ("the API's memory meanwhile", f"{begin:.0f} MiB, at the end {end:.0f} MiB"),
        ("the API's processor time meanwhile", f"{100 * used / seconds:.0f} % of one"),
    ]


async def _happen(log: EventLog, appended: list[float], seconds: float, rate: int) -> None:
    """Runs, one after the other at this rate; appended: when each event of the stream was."""

    async def one() -> None:
        run_id = await _append(log, subjects.trigger("BENCH_A", "cron"), Triggered())
        _note(appended, run_id)
        last = 0
        for type, event in (("started", Started(1, "bench-0001", 600_000)), ("completed", Completed(1, {"n": 1}))):
            last = await _append(log, subjects.run_event("BENCH_A", run_id, type), event, last)
            _note(appended, last)

    begin, running = time.perf_counter(), set()
    for number in range(int(seconds * rate)):
        await asyncio.sleep(max(0.0, begin + number / rate - time.perf_counter()))
        task = asyncio.create_task(one())
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)


async def _append(log: EventLog, subject: str, event: AnyEvent, last: int = 0) -> int:
    """Where it stands. last: where the one before it of its aggregate does."""
    aggregate = subjects.aggregate(subject)
    expected = Expected(aggregate, last) if aggregate else None
    appended = await log.append(subject, event, id=uuid.uuid4().hex, expected=expected)
    assert isinstance(appended, Appended)
    return appended.sequence


def _note(appended: list[float], sequence: int) -> None:
    appended.extend([time.perf_counter()] * (sequence + 1 - len(appended)))


@dataclass
class _Page:
    """An open page of somebody; shown: the last event in it."""

    number: int
    token: str
    shown: int = 0

    async def watch(self, address: str, appended: list[float], late: list[float]) -> None:
        """Told of news it asks again; late: how old what it lacked had become."""
        path = _WATCHED[self.number // 3 % len(_WATCHED)]  # the roles alternate
        news = asyncio.Event()
        of = _ADDRESSES[self.number % len(_ADDRESSES)]
        listening = asyncio.create_task(_listen(await _Line.open(address, self.token, of), news))
        page = await _Line.open(address, self.token, of)
        try:
            while True:
                await news.wait()
                news.clear()
                position = int((_AT.search(await page.get(path)) or [b"", b"0"])[1])
                first = self.shown + 1  # of those it did not show until now
                if position >= first > 1 and first < len(appended) and appended[first] != math.inf:
                    late.append(time.perf_counter() - appended[first])
                self.shown = max(self.shown, position)
                await asyncio.sleep(_QUIET_S)
        finally:
            listening.cancel()
            page.writer.close()


async def _listen(stream: "_Line", news: asyncio.Event) -> None:
    await stream.ask("/api/admin/events", "")
    while line := await stream.reader.readline():
        if line.startswith(b"event: run"):
            news.set()


@dataclass(frozen=True)
class _Line:
    """A connection of a browser, with less of a client behind it than a hundred of them could afford."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: str

    @classmethod
    async def open(cls, address: str, token: str, of: str = "127.0.0.1") -> "_Line":
        """of: the client's own address."""
        place = urlsplit(address)
        reader, writer = await asyncio.open_connection(place.hostname, place.port, local_addr=(of, 0))
        return cls(reader, writer, f"Host: {place.netloc}\r\nAuthorization: Bearer {token}\r\n")

    async def ask(self, path: str, headers: str) -> None:
        self.writer.write(f"GET {path} HTTP/1.1\r\n{self.head}{headers}\r\n".encode())

    async def get(self, path: str) -> bytes:
        await self.ask(path, "Accept: text/html\r\nAccept-Encoding: gzip\r\nX-Kronik-Refresh: 1\r\n")
        answered = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        assert answered.partition(b"\r\n")[0].split()[1] in (b"200", b"503"), answered  # 503: what is away, in words
        length = re.search(rb"content-length: (\d+)", answered)
        assert length, answered
        return gzip.decompress(await self.reader.readexactly(int(length[1])))


async def _measure(pid: int, memory: list[int]) -> None:
    process = psutil.Process(pid)
    while True:
        memory.append(process.memory_info().rss)
        await asyncio.sleep(0.5)


@contextlib.asynccontextmanager
async def _silent(address: str, token: str, count: int) -> AsyncIterator[None]:
    """So many event streams that were asked for, and of which nothing is read."""
    held = [await _Line.open(address, token) for _ in range(count)]
    for line in held:
        await line.ask("/api/admin/events", "")
    yield
    for line in held:
        line.writer.close()


@contextlib.asynccontextmanager
async def _passing(address: str, token: str) -> AsyncIterator[None]:
    """Meanwhile some read a byte a second, and others come and go without a word."""

    async def slowly() -> None:
        line = await _Line.open(address, token, _ADDRESSES[0])
        await line.ask("/api/admin/events", "")
        while await line.reader.read(1):
            await asyncio.sleep(1)

    async def in_and_out() -> None:
        while True:
            line = await _Line.open(address, token, _ADDRESSES[0])
            await line.ask("/api/admin/events", "")
            await line.reader.readuntil(b"event: state")
            line.writer.transport.abort()
            await asyncio.sleep(1 / _PASSING_HZ)

    tasks = [asyncio.create_task(one) for one in (in_and_out(), *(slowly() for _ in range(_SLOW)))]
    yield
    assert not [task for task in tasks if task.done()], "a reader was sent away"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _tokens(database: str, count: int) -> list[str]:
    """Of as many people, of every role."""
    connection = await asyncpg.connect(database)
    roles = get_args(store.Role)
    try:
        people = [await store.create_account(connection, f"Reader {n}", roles[n % len(roles)]) for n in range(count)]
        return [await store.create_token(connection, one, "benchmark") for one in people]
    finally:
        await connection.close()


async def _token(database: str) -> str:
    """An admin's."""
    connection = await asyncpg.connect(database)
    try:
        return await store.create_token(connection, await store.ensure_admin(connection), f"benchmark {uuid.uuid4()}")
    finally:
        await connection.close()


async def _last(database: str) -> tuple[int, int]:
    """The newest run, and how many seconds ago it was asked for."""
    connection = await asyncpg.connect(database)
    try:
        asked = "SELECT id, extract(epoch FROM now() - triggered_at)::int FROM history.run ORDER BY id DESC LIMIT 1"
        row = await connection.fetchrow(asked)
        assert row is not None
        return row[0], row[1]
    finally:
        await connection.close()


@contextmanager
def _api(nats_url: str, database: str, clock_s: int = 0) -> Iterator[tuple[processes.Process, str]]:
    """With its address. clock_s: how far its clock is ahead."""
    with TemporaryDirectory() as directory:
        port, clock = Path(directory) / "port", Path(directory) / "clock"
        clock.write_text(str(clock_s))
        places = {"nats_url": nats_url, "database_url": database, "port": "0", "clock_file": str(clock)}
        with processes.service("api", ready="", api_port_file=str(port), **places) as process:
            process.wait_for_log("api_ready", within_s=120)
            yield process, f"http://127.0.0.1:{port.read_text().strip()}"


if __name__ == "__main__":
    for figure in asyncio.run(crowd(readers=100, silent=200, seconds=20, rate=50)):
        print(json.dumps([figure.what, figure.value, figure.how]), flush=True)
