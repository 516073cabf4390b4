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
from urllib.parse import unquote, urlsplit

from kronik import KronikError
from nats.aio.client import Client

from services.log import jetstream
from services.log.event_reader import ReaderLost
from services.log.jetstream import ApiRefused, LogUnavailable
from services.log.protocol import text
from services.log.stored import Stored, time_of

_REQUEST = 5_000
_HEARTBEAT_S = 5
_EXPIRES_S = 30
_CONNECT_S = 5
_CHUNK = 2**20
_NS = 1_000_000_000
_ID = b"Nats-Msg-Id"

_HEAD = re.compile(
    rb"H?MSG ([^ ]+) [^ ]+ (?:\$JS\.ACK\.(?:[^. ]+\.[^. ]+\.)?[^. ]+\.[^. ]+\.\d+\.(\d+)\.(\d+)\.(\d+)\.(\d+)[^ ]* )?"
    rb"(?:(\d+) )?(\d+)\r\n"
)
"""A message's first line: subject, reply (a status has none), size of the headers where there are some, size of all.

The reply is $JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<n>.<sequence>.<delivery>.<ns>.<pending>[.<token>].
"""


class WireRefused(KronikError):
    """The server can't be read in this way: read it with nats-py."""


class WireReader:
    """Batches of stored messages, from open_wire()."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, consumer: str, request: bytes
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._consumer = consumer
        self._request = request
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
            if sequence is None:  # not a delivery: the server's own word
                self._on_status(text(header))
                continue
            self._delivered += 1
            if int(delivery) != self._delivered:
                raise ReaderLost(f"consumer {self._consumer} skipped from {self._delivered - 1} to {int(delivery)}")
            time = time_of(int(stamp))
            found.append(Stored(int(sequence), text(subject), time, data[body:after], _msg_id(header), int(behind)))
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
    """As nats-py reads it: the last one of this name."""
    if _ID not in header:
        return None
    lines = (line.partition(b":") for line in header.split(b"\r\n"))
    found = [value for name, colon, value in lines if colon and name.strip() == _ID]
    return text(found[-1].strip()) if found else None


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
        body = jetstream.pull_request(batch=_REQUEST, expires_s=_EXPIRES_S, heartbeat_s=_HEARTBEAT_S)
        yield WireReader(reader, writer, name, _publish(jetstream.pull_subject(connection, name), inbox, body))
    finally:
        writer.transport.abort()
        if connection.is_connected:
            await jetstream.forget_consumer(connection, name)


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
    try:
        await jetstream.delete_consumer(connection, name)
        await jetstream.create_consumer(connection, config)
    except (LogUnavailable, ApiRefused) as error:
        raise ReaderLost(f"consumer {name}: {error}") from error
