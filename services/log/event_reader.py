"""Reading the stream from some sequence on, fast and in order, for projections.

One ephemeral consumer without acks, two pull requests in flight on one inbox, and a callback that
only appends to a list: the fastest way through nats-py (benchmarks/reading.py). Whatever goes wrong
(connection, server, consumer, a gap in the order) ends the iteration with ReaderLost: the
caller knows the last sequence that it took and starts again behind it.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from kronik import KronikError, codec, subjects
from kronik.errors import InvalidEvent, InvalidName
from kronik.events import Recorded
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

_REQUEST = 1000
_HEARTBEAT_S = 5
_EXPIRES_S = 30
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS = 1_000_000_000


class ReaderLost(KronikError):
    """The reader can't go on: begin another one behind the last sequence taken."""


class Stored(Struct, frozen=True):
    """A message as it stands in the stream, not decoded. behind: how many more are there after it."""

    sequence: int
    subject: str
    time: datetime
    body: bytes
    msg_id: str | None
    behind: int

    def decode(self) -> Recorded:
        """Raises InvalidName, InvalidEvent."""
        return codec.decode(self.subject, self.body, sequence=self.sequence, time=self.time, msg_id=self.msg_id)

    def decode_or_none(self) -> Recorded | None:
        """For readers that leave what can't be read to the projector, which parks it."""
        try:
            return self.decode()
        except (InvalidName, InvalidEvent):
            return None


class EventReader:
    """Batches of stored messages, from open_reader()."""

    def __init__(self, connection: Client, consumer: str, inbox: str) -> None:
        self._connection = connection
        self._consumer = consumer
        self._inbox = inbox
        self._buffer: list[Msg] = []
        self._arrived = asyncio.Event()
        self._owed = 0
        self._last_delivery = 0
        self._heard_at = 0.0

    async def next_batch(self) -> list[Stored]:
        """The messages that have arrived, at least one; waits for it. Raises ReaderLost."""
        loop = asyncio.get_running_loop()
        self._heard_at = max(self._heard_at, loop.time())
        while not self._buffer:
            await self._ask()
            self._arrived.clear()
            try:
                async with asyncio.timeout(_HEARTBEAT_S):
                    await self._arrived.wait()
                self._heard_at = loop.time()
            except TimeoutError:
                if loop.time() - self._heard_at > 2 * _HEARTBEAT_S:
                    raise ReaderLost(f"consumer {self._consumer} has been silent for {2 * _HEARTBEAT_S} s") from None
        messages, self._buffer = self._buffer, []
        await self._ask()
        return [stored for message in messages if (stored := self._stored(message)) is not None]

    async def __aiter__(self) -> AsyncIterator[list[Stored]]:
        while True:
            batch = await self.next_batch()
            if batch:
                yield batch

    async def on_message(self, message: Msg) -> None:
        self._buffer.append(message)
        self._arrived.set()

    async def _ask(self) -> None:
        """Keep two requests in flight, none while a full buffer waits to be taken."""
        body = {"batch": _REQUEST, "expires": _EXPIRES_S * _NS, "idle_heartbeat": _HEARTBEAT_S * _NS}
        while self._owed <= _REQUEST and len(self._buffer) < 2 * _REQUEST:
            self._owed += _REQUEST
            subject = f"$JS.API.CONSUMER.MSG.NEXT.{subjects.STREAM}.{self._consumer}"
            try:
                await self._connection.publish(subject, json.dumps(body).encode(), reply=self._inbox)
            except NatsError as error:
                raise ReaderLost(f"consumer {self._consumer}: {error}") from error

    def _stored(self, message: Msg) -> Stored | None:
        headers = message.headers
        if headers and "Status" in headers:
            self._on_status(headers)
            return None
        self._owed -= 1
        stored, delivery = stored_message(message)
        self._last_delivery += 1
        if delivery != self._last_delivery:
            raise ReaderLost(f"consumer {self._consumer} skipped from {self._last_delivery - 1} to {delivery}")
        return stored

    def _on_status(self, headers: dict[str, str]) -> None:
        """100: a heartbeat. 408, and 409 for a finished batch: a request ended, with so many messages still owed."""
        status = headers["Status"]
        if status == "100":
            return
        text = headers.get("Description", "")
        if status == "408" or (status == "409" and "Batch Completed" in text):
            self._owed = max(0, self._owed - int(headers.get("Nats-Pending-Messages", _REQUEST)))
            return
        raise ReaderLost(f"consumer {self._consumer}: {status} {text}")


def stored_message(message: Msg) -> tuple[Stored, int]:
    """A message that a consumer delivered, and which of the consumer's deliveries it is (from 1).

    Read from its reply: $JS.ACK.[domain.account.]<stream>.<consumer>.<n>.<sequence>.<delivery>.<ns>.<pending>[.token]
    """
    parts = message.reply.split(".")
    sequence, delivery, stamp, behind = parts[5:9] if len(parts) == 9 else parts[7:11]
    stored = Stored(
        int(sequence),
        message.subject,
        _EPOCH + timedelta(microseconds=int(stamp) // 1000),
        message.data,
        message.headers.get("Nats-Msg-Id") if message.headers else None,
        int(behind),
    )
    return stored, int(delivery)


@asynccontextmanager
async def open_reader(
    connection: Client,
    *,
    name: str,
    start: int = 1,
    filters: Sequence[str] = (),
    headers_only: bool = False,
) -> AsyncIterator[EventReader]:
    """A reader of JOBS from sequence `start` on. name: the consumer's, visible in `nats consumer report JOBS`.

    Raises ReaderLost when the consumer can't be made.
    """
    config: dict[str, object] = {
        "name": name,
        "deliver_policy": "by_start_sequence",
        "opt_start_seq": max(start, 1),
        "ack_policy": "none",
        "replay_policy": "instant",
        "max_waiting": 8,
        "mem_storage": True,
        "num_replicas": 1,
        "inactive_threshold": 60 * _NS,
        "headers_only": headers_only,
        "filter_subjects": list(filters),
    }
    inbox = connection.new_inbox()
    reader = EventReader(connection, name, inbox)
    try:
        await _delete(connection, name)
        await _create(connection, name, config)
        subscription = await connection.subscribe(
            inbox, cb=reader.on_message, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
    except NatsError as error:
        raise ReaderLost(f"consumer {name}: {error!r}") from error
    try:
        yield reader
    finally:
        if connection.is_connected:
            await subscription.unsubscribe()
            await connection.publish(f"$JS.API.CONSUMER.DELETE.{subjects.STREAM}.{name}")


async def _create(connection: Client, name: str, config: dict[str, object]) -> None:
    api = f"$JS.API.CONSUMER.CREATE.{subjects.STREAM}.{name}"
    body = json.dumps({"stream_name": subjects.STREAM, "config": config}).encode()
    answer = json.loads((await connection.request(api, body, timeout=5)).data)
    if "error" in answer:
        raise ReaderLost(f"consumer {name}: {answer['error'].get('description')}")


async def _delete(connection: Client, name: str) -> None:
    """One of the same name may be left by a reader that lost its connection."""
    await connection.request(f"$JS.API.CONSUMER.DELETE.{subjects.STREAM}.{name}", timeout=5)
