"""The stream straight from the socket: as much of the NATS protocol as reading takes.

nats-py spends 12 µs on a message, most of it on parsing headers and on its queues; this spends 3. A rebuild of
millions of events notices. It speaks to the server that nats-py has connected to, with the address's
user and password; where the server wants more than that, `open_wire` says so with WireRefused.

Source: https://docs.nats.io/reference/reference-protocols/nats-protocol
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote, urlsplit

from kronik import KronikError, subjects
from nats.aio.client import Client
from nats.errors import Error as NatsError

from services.log.event_reader import ReaderLost, Stored

_REQUEST = 5_000
_HEARTBEAT_S = 5
_EXPIRES_S = 30
_CONNECT_S = 5
_CHUNK = 2**20
_NS = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ID_LINE = b"\r\nNats-Msg-Id:"

_HEAD = re.compile(
    rb"H?MSG (\S+) \S+ (?:\$JS\.ACK\.(?:[^. ]+\.[^. ]+\.)?[^. ]+\.[^. ]+\.\d+\.(\d+)\.(\d+)\.(\d+)\.(\d+)[^ ]* )?"
    rb"(?:(\d+) )?(\d+)\r\n"
)
"""A message's first line: subject, reply (a status has none), size of the headers where there are some, size of all.

The reply is $JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<n>.<sequence>.<delivery>.<ns>.<pending>[.<token>].
"""


class WireRefused(KronikError):
    """The server can't be read in this way: read it with nats-py."""


class WireReader:
    """Batches of stored messages, from open_wire()."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, consumer: str, inbox: str) -> None:
        self._reader = reader
        self._writer = writer
        self._consumer = consumer
        body = {"batch": _REQUEST, "expires": _EXPIRES_S * _NS, "idle_heartbeat": _HEARTBEAT_S * _NS}
        self._request = _publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{subjects.STREAM}.{consumer}", inbox, json.dumps(body).encode()
        )
        self._rest = b""
        self._owed = 0
        self._delivered = 0

    async def next_batch(self) -> list[Stored]:
        """The messages that have arrived; waits for some. Raises ReaderLost."""
        while True:
            while self._owed <= _REQUEST:
                self._owed += _REQUEST
                self._writer.write(self._request)
            try:
                chunk = await asyncio.wait_for(self._reader.read(_CHUNK), 2 * _HEARTBEAT_S)
            except (TimeoutError, OSError) as error:
                raise ReaderLost(f"consumer {self._consumer}: {error!r}") from error
            if not chunk:
                raise ReaderLost(f"consumer {self._consumer}: the server hung up")
            if batch := self._parse(self._rest + chunk):
                return batch

    def _parse(self, data: bytes) -> list[Stored]:
        """All whole messages of the data; what is left of it waits for the next chunk."""
        found: list[Stored] = []
        begin, size = 0, len(data)
        while begin < size:
            head = _HEAD.match(data, begin)
            if head is None:
                if (after := self._line(data, begin)) == begin:
                    break
                begin = after
                continue
            subject, sequence, delivery, stamp, behind, header_size, whole_size = head.groups()
            start = head.end()
            body, after = start + int(header_size or 0), start + int(whole_size)
            if after + 2 > size:
                break
            begin = after + 2
            header = data[start:body]
            if header and not header.startswith(b"NATS/1.0\r\n"):
                self._on_status(header.decode())
                continue
            self._delivered += 1
            if int(delivery) != self._delivered:
                raise ReaderLost(f"consumer {self._consumer} skipped from {self._delivered - 1} to {int(delivery)}")
            time = _EPOCH + timedelta(0, 0, int(stamp) // 1000)
            found.append(Stored(int(sequence), subject.decode(), time, data[body:after], _msg_id(header), int(behind)))
        self._owed -= len(found)
        self._rest = data[begin:]
        return found

    def _line(self, data: bytes, begin: int) -> int:
        """Where the line ends that begins here and is no message; `begin` itself where it is not whole."""
        end = data.find(b"\r\n", begin)
        if end < 0 or data.startswith((b"HMSG ", b"MSG "), begin):
            return begin
        self._on_line(data[begin:end])
        return end + 2

    def _on_line(self, line: bytes) -> None:
        if line == b"PING":
            self._writer.write(b"PONG\r\n")
        elif line.startswith(b"-ERR"):
            raise ReaderLost(f"consumer {self._consumer}: {line.decode('utf-8', 'replace')}")

    def _on_status(self, header: str) -> None:
        """100: a heartbeat. 408, and 409 for a finished batch: a request ended, with so many messages still owed."""
        lines = header.split("\r\n")
        status = lines[0][9:]
        if status.startswith("100"):
            return
        if not (status.startswith("408") or "Batch Completed" in status):
            raise ReaderLost(f"consumer {self._consumer}: {status}")
        owed = [line.partition(":")[2] for line in lines if line.startswith("Nats-Pending-Messages:")]
        self._owed = max(0, self._owed - int(owed[0] if owed else _REQUEST))


def _msg_id(header: bytes) -> str | None:
    at = header.find(_ID_LINE)
    if at < 0:
        return None
    value = header[at + len(_ID_LINE) : header.index(b"\r\n", at + 2)]
    return value.strip().decode("utf-8", "surrogateescape")


def _publish(subject: str, reply: str, body: bytes) -> bytes:
    return f"PUB {subject} {reply} {len(body)}\r\n".encode() + body + b"\r\n"


@asynccontextmanager
async def open_wire(connection: Client, url: str, name: str, start: int) -> AsyncIterator[WireReader]:
    """A reader of JOBS from sequence `start` on. Raises ReaderLost, WireRefused. url: for its user and password."""
    inbox = connection.new_inbox()
    reader, writer = await _connect(connection, url)
    try:
        await _hello(reader, writer, url, inbox)
        await _create_consumer(connection, name, start)
        yield WireReader(reader, writer, name, inbox)
    finally:
        writer.transport.abort()
        if connection.is_connected:
            await connection.publish(f"$JS.API.CONSUMER.DELETE.{subjects.STREAM}.{name}")


async def _connect(connection: Client, url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    server = connection.connected_url
    if server is None or not url.startswith("nats://"):
        raise WireRefused("only a nats:// address is read straight from the socket")
    opening = asyncio.open_connection(server.hostname, server.port or 4222, limit=_CHUNK)
    try:
        return await asyncio.wait_for(opening, _CONNECT_S)
    except (OSError, TimeoutError) as error:
        raise WireRefused(f"{server.hostname}:{server.port} does not answer: {error!r}") from error


async def _hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, url: str, inbox: str) -> None:
    info = json.loads((await asyncio.wait_for(reader.readline(), _CONNECT_S)).removeprefix(b"INFO "))
    if info.get("tls_required") or info.get("nonce"):
        raise WireRefused("the server wants TLS or a signature")
    writer.write(f"CONNECT {json.dumps(_credentials(url))}\r\nSUB {inbox} 1\r\nPING\r\n".encode())
    answer = b""
    while answer != b"PONG\r\n":
        answer = await asyncio.wait_for(reader.readline(), _CONNECT_S)
        if not answer or answer.startswith(b"-ERR"):
            raise WireRefused(f"the server refused: {answer.decode('utf-8', 'replace').strip()}")


def _credentials(url: str) -> dict[str, object]:
    place = urlsplit(url.split(",")[0])
    hello: dict[str, object] = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True}
    hello |= {"lang": "python", "version": "0", "protocol": 1, "name": "kronik-replay"}
    if place.password is not None:
        return {**hello, "user": unquote(place.username or ""), "pass": unquote(place.password)}
    return {**hello, "auth_token": unquote(place.username)} if place.username else hello


async def _create_consumer(connection: Client, name: str, start: int) -> None:
    config = {
        "name": name,
        "deliver_policy": "by_start_sequence",
        "opt_start_seq": max(start, 1),
        "ack_policy": "none",
        "max_waiting": 8,
        "mem_storage": True,
        "num_replicas": 1,
        "inactive_threshold": 60 * _NS,
    }
    body = json.dumps({"stream_name": subjects.STREAM, "config": config}).encode()
    try:
        await connection.request(f"$JS.API.CONSUMER.DELETE.{subjects.STREAM}.{name}", timeout=_CONNECT_S)
        answer = await connection.request(f"$JS.API.CONSUMER.CREATE.{subjects.STREAM}.{name}", body, timeout=_CONNECT_S)
    except NatsError as error:
        raise ReaderLost(f"consumer {name}: {error!r}") from error
    if "error" in (made := json.loads(answer.data)):
        raise ReaderLost(f"consumer {name}: {made['error'].get('description')}")
