"""Reading the stream from some sequence on, fast and in order.

One ephemeral consumer without acks, two pull requests in flight on one inbox, and deliveries that come past nats-py
(protocol.deliver_raw) into a list. What waits here is bounded in messages and in bytes. Whatever goes wrong
(connection, server, consumer, a gap in the order) ends the iteration with ReaderLost: the caller knows the last
sequence that it took and starts again behind it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kronik import KronikError, subjects
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from services.infra.clock import monotonic_s
from services.infra.lifecycle import happens
from services.log import frames, jetstream
from services.log.jetstream import ApiRefused, LogUnavailable
from services.log.protocol import deliver_raw, forget_raw
from services.log.stored import Status, Stored, delivered_raw, status

_REQUEST = 4000
"""Two of them are in flight: of a run that begins and ends in one batch the projector writes the row once."""
_REQUEST_BYTES = 8 * 2**20
_HEARTBEAT_S = 5
_EXPIRES_S = 30
_LOOK_S = 0.5
_NS = 1_000_000_000
CUT_S = 0.1
"""For how long what may be cut off is waited for: on the streams' own account it comes."""
_DIRECTLY = 1000
_REQUEST_OVER = ("Batch Completed", "Message Size Exceeds MaxBytes")


class ReaderLost(KronikError):
    """The reader can't go on: begin another one behind the last sequence taken."""


class ReaderCut(ReaderLost):
    """A message of nothing at all (an empty body, no headers: a complete trigger) arrived, and soon nothing more.

    Where the stream is in another account that is how nats-server is told that an answer has ended: what the consumer
    delivers behind it reaches nobody. Read on by directly_after, and begin another reader behind that.
    """


class EventReader:
    """Batches of stored messages, from open_reader()."""

    def __init__(self, connection: Client, consumer: str, inbox: str) -> None:
        self._connection = connection
        self._consumer = consumer
        self._inbox = inbox
        self._sid = b""
        # Larger than any message, or one that is would never come.
        self._request_bytes = max(_REQUEST_BYTES, 2 * connection.max_payload)
        self._request = jetstream.pull_request(
            batch=_REQUEST, expires_s=_EXPIRES_S, heartbeat_s=_HEARTBEAT_S, max_bytes=self._request_bytes
        )
        self._reconnects = connection.stats["reconnects"]
        self._buffer: list[Stored] = []
        self._said: list[Status] = []
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._owed = 0
        self._last_delivery = 0
        self._skipped: str | None = None
        self._heard_s = 0.0
        self._cut = False
        self.nothing_yet = False
        """When it was opened, there was nothing to read."""

    async def next_batch(self) -> list[Stored]:
        """The messages that have arrived; waits for some. Raises ReaderLost."""
        self._heard_s = max(self._heard_s, monotonic_s())
        while not self._buffer:
            self._arrived.clear()
            self._heed()
            await self._ask()
            await self._wait()
        self._heed()
        if self._connection.stats["reconnects"] != self._reconnects:
            # The server may be another, and the stream too: nothing of it is handed out unchecked.
            raise ReaderLost("NATS was reconnected")
        batch, self._buffer, self._bytes = self._buffer, [], 0
        self._owed = max(0, self._owed - len(batch))
        await self._ask()
        return batch

    async def __aiter__(self) -> AsyncIterator[list[Stored]]:
        while True:
            yield await self.next_batch()

    async def _wait(self) -> None:
        if await happens(self._arrived, CUT_S if self._cut else _LOOK_S):
            self._heard_s = monotonic_s()
        elif self._cut:
            raise ReaderCut(f"consumer {self._consumer} delivered a message of nothing")
        elif self._connection.stats["reconnects"] != self._reconnects:
            raise ReaderLost("NATS was reconnected")
        elif monotonic_s() - self._heard_s > 2 * _HEARTBEAT_S:
            raise ReaderLost(f"consumer {self._consumer} has been silent for {2 * _HEARTBEAT_S} s")

    def listen(self, subscription: Subscription) -> None:
        """To what its consumer delivers there."""
        self._sid = b"%d" % subscription._id
        deliver_raw(self._connection, subscription, self.on_delivery, self.on_chunk)

    def on_delivery(self, subject: bytes, reply: bytes, headers: bytes | None, body: bytes) -> None:
        """Taken apart at once, while whoever takes the batches waits for something else."""
        try:
            stored, delivery = delivered_raw(subject, reply, headers, body)
        except ValueError:
            return  # not the server's: its acknowledgement subject would be whole
        self._take(stored, delivery)
        self._cut = self._cut or not (headers or body)

    def on_chunk(self, chunk: bytes, begin: int) -> int:
        before = len(self._buffer)
        end = frames.take_known(chunk, begin, self._sid, self._last_delivery, self._buffer)
        if end > begin:
            self._last_delivery += len(self._buffer) - before
            self._bytes += end - begin
            self._arrived.set()
        return end

    async def on_status(self, message: Msg) -> None:
        self._said.append(status(message))
        self._arrived.set()

    async def _ask(self) -> None:
        """Keep two requests in flight, none while a full buffer waits to be taken."""
        while self._owed <= _REQUEST and len(self._buffer) < 2 * _REQUEST and self._bytes < 2 * self._request_bytes:
            self._owed += _REQUEST
            try:
                await jetstream.pull(self._connection, self._consumer, self._inbox, self._request)
            except LogUnavailable as error:
                raise ReaderLost(f"consumer {self._consumer}: {error}") from error

    def _take(self, stored: Stored, delivery: int) -> None:
        """Nothing from the first gap on; what came before it is still good."""
        if delivery == self._last_delivery + 1:
            self._last_delivery = delivery
            self._buffer.append(stored)
            self._bytes += len(stored.body)
        else:
            skipped = f"consumer {self._consumer} skipped from {self._last_delivery} to {delivery}"
            self._skipped = self._skipped or skipped
        self._arrived.set()

    def _heed(self) -> None:
        """100: a heartbeat. 408, and some 409: a request ended, with so many messages still owed."""
        if self._skipped and not self._buffer:
            raise (ReaderCut if self._cut else ReaderLost)(self._skipped)
        for said in self._said:
            if said.code == "100":
                continue
            if said.code != "408" and not (said.code == "409" and said.text.startswith(_REQUEST_OVER)):
                raise ReaderLost(f"consumer {self._consumer}: {said}")
            self._owed = max(0, self._owed - (_REQUEST if said.pending is None else said.pending))
        self._said.clear()


async def directly_after(connection: Client, sequence: int, filter: str | None = None) -> list[Stored]:
    """What stands behind the sequence, up to a thousand, without a consumer: no answer to this is ever of nothing.

    Raises LogUnavailable.
    """
    query = {"seq": sequence + 1, "next_by_subj": filter or subjects.ALL, "batch": _DIRECTLY}
    return await jetstream.get(connection, query)


@asynccontextmanager
async def open_reader(
    connection: Client, *, name: str, start: int = 1, filter: str | None = None, headers_only: bool = False
) -> AsyncIterator[EventReader]:
    """A reader of JOBS from sequence `start` on. name: the consumer's, visible in `nats consumer report JOBS`.

    filter: one, because a consumer with several reads a hundred times slower. Raises ReaderLost when the
    consumer can't be made.
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
        **({"filter_subject": filter} if filter else {}),
    }
    inbox = connection.new_inbox()
    reader = EventReader(connection, name, inbox)
    try:
        # One of the same name may be left by a reader that lost its connection.
        await jetstream.delete_consumer(connection, name)
        # Nothing is delivered before the reader asks, so at this moment all that matches is pending.
        reader.nothing_yet = (await jetstream.create_consumer(connection, config)).num_pending == 0
        subscription = await connection.subscribe(
            inbox, cb=reader.on_status, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        reader.listen(subscription)
    except (NatsError, LogUnavailable, ApiRefused) as error:
        raise ReaderLost(f"consumer {name}: {error}") from error
    try:
        yield reader
    finally:
        forget_raw(connection, subscription)
        if connection.is_connected:
            await subscription.unsubscribe()
            await jetstream.forget_consumer(connection, name)
