"""Who says much, or little, or nothing: against the service as it is started, spoken to byte by byte."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from services.api.front import protocol
from services.infra.clock import monotonic_s
from tests.integration.api.test_api_process import Service, serving

HEAD = b"GET /health/live HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /sign-in/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n"
WITHIN_S = protocol.BODY_S + 10


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """Without NATS and Postgres: nothing of this needs them."""
    environ = {"KRONIK_NATS_URL": "nats://127.0.0.1:1", "KRONIK_DATABASE_URL": "postgres://x@127.0.0.1:1/x"}
    async with serving(environ, {}, tmp_path / "port") as one:
        yield one


class Wire:
    """A client's side of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> bytes:
        """Everything until the other side hangs up; nothing of it where it cut the line."""
        try:
            return await asyncio.wait_for(self.reader.read(), WITHIN_S)
        except ConnectionError:
            return b""


@asynccontextmanager
async def wire(service: Service) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.http.base_url.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


async def refused(service: Service, *parts: bytes) -> tuple[int, str]:
    """The status and type of the answer to these bytes; the connection is closed behind it."""
    async with wire(service) as client:
        for part in parts:
            await client.say(part)
        return told(await client.answer())


def told(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-security-policy: default-src 'self'" in head.lower()
    return int(head.split()[1]), json.loads(body)["type"].removeprefix("urn:kronik:problem:")


async def test_what_is_too_large_or_no_http_is_refused_at_once(service: Service) -> None:
    many = b"".join(b"X-%d: 1\r\n" % n for n in range(150))
    for parts, expected in {
        (HEAD + b"X: " + b"x" * 20_000 + b"\r\n\r\n",): (431, "header-too-large"),
        (HEAD + many + b"Connection: close\r\n\r\n",): (431, "header-too-large"),
        (HEAD + b"X: " + b"x" * 17_000,): (431, "header-too-large"),
        (b"GET /" + b"x" * 17_000,): (431, "header-too-large"),
        (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",): (414, "address-too-long"),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",): (400, "not-http"),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",): (400, "not-http"),
        (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: x\r\n\r\n",): (501, "not-http"),
    }.items():
        began = monotonic_s()
        status, type = await refused(service, *parts)
        assert type == expected[1], parts[0][:60]
        assert status in (expected[0], 400)
        assert monotonic_s() - began < 3


async def test_an_endless_header_costs_nobody_anything(service: Service) -> None:
    process = psutil.Process(service.process.pid)
    before = process.memory_info().rss

    async def endless() -> None:
        async with wire(service) as client:
            try:
                await client.say(HEAD)
                for n in range(3_000):
                    await client.say(b"X-%d: %s\r\n" % (n, b"x" * 4_000))
            except ConnectionError:
                return
            raise AssertionError("12 MB of headers were taken")

    flood = [asyncio.create_task(endless()) for _ in range(20)]
    began = monotonic_s()
    for _ in range(20):
        assert (await service.http.get("/health/live")).status_code == 200
    assert monotonic_s() - began < 5
    await asyncio.gather(*flood)
    assert process.memory_info().rss - before < 50 * 2**20


async def drip(service: Service, begin: bytes) -> tuple[bytes, float]:
    """One byte every half second until the other side has had enough: what it said, and after how long."""
    async with wire(service) as client:
        began = monotonic_s()
        await client.say(begin)
        answering = asyncio.create_task(client.answer())
        while not answering.done():
            await asyncio.wait({answering}, timeout=0.5)
            try:
                await client.say(b"x")
            except ConnectionError:
                break
        return await answering, monotonic_s() - began


@pytest.mark.slow
async def test_who_is_slow_is_cut_however_steadily_bytes_come(service: Service) -> None:
    first = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    header, later, nothing, body = await asyncio.gather(
        drip(service, HEAD + b"X: "), drip(service, first + HEAD + b"X: "), drip(service, b""), drip(service, POST)
    )
    assert told(header[0]) == (408, "too-slow")
    assert protocol.HEADER_S - 1 < header[1] < protocol.HEADER_S + 5
    assert later[0].startswith(b"HTTP/1.1 200")
    assert b"408" in later[0]
    assert later[1] < protocol.HEADER_S + 5
    assert nothing[1] < protocol.HEADER_S + 5
    assert body[1] < protocol.BODY_S + 5


async def test_connections_of_one_address_are_counted(service: Service) -> None:
    async with asyncio.timeout(40):
        held = [await asyncio.open_connection("127.0.0.1", service.http.base_url.port) for _ in range(399)]
        first = await service.http.get("/health/live", headers={"Connection": "close"})
        assert first.status_code == 200
        held.append(await asyncio.open_connection("127.0.0.1", service.http.base_url.port))
        assert await refused(service, b"") == (503, "too-many-connections")
        for _, writer in held:
            writer.close()
        while (await service.http.get("/health/live")).status_code != 200:  # noqa: ASYNC110  they end one by one
            await asyncio.sleep(0.1)
