"""Group commit: appends that wait at the same moment go out together, as one atomic batch.

    commit(unit) ─▶ waiting ─┬─ few: each at once, by itself ───────────────▶ answer
                   ▲         └─ many: one batch ─▶ refused? ─▶ halves, and so on ─▶ answer
                   └── what comes while batches are on their way, until one returns

A unit is one message, or several that stand or fall together and are never split. A batch costs the server a directory
of files of its own (docs/adr/0007), so it is worth it only for many; a lone append is as fast as without
this. JetStream refuses a batch as a whole when one message of it meets a conflict, and does not say
which: it is halved until the guilty unit stands alone and is answered for itself. Two messages of one aggregate
would both pass within a batch (facts: the server looks at the stream, not at the batch), so they never share one.
Nothing is decided here: what a refusal or a silence means is for the log to find out by reading back.
"""

import asyncio
import uuid
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct
from nats.aio.client import Client
from nats.errors import ConnectionClosedError
from nats.errors import Error as NatsError

from services.infra.failpoints import failpoint
from services.log.protocol import EXPECTED, EXPECTED_FILTER
from services.log.sending import publication, send

WORTH: Final = 8
"""From so many waiting messages on a batch is worth it: four do where the server stages it in memory, twelve where it
does so on its disk (docs/adr/0013)."""
_BATCH: Final = 250
"""Behind a larger one the appends of other processes wait for longer, and a message of it costs hardly less."""
_BATCH_BYTES: Final = 4_000_000
_BATCHES_IN_FLIGHT: Final = 2
_COMMIT: Final = {"Nats-Batch-Commit": "1"}
_ANSWER_WITHIN_S: Final = 4.0
_ATOMIC_SINCE: Final = (2, 15, 1)
"""Older servers let a wrong expectation pass in a batch (nats-server #8377)."""


class Message(Struct, frozen=True):
    """What is published. aggregate: the filter of its expectation; None: it expects nothing."""

    subject: str
    body: bytes
    headers: dict[str, str]
    aggregate: str | None = None


Unit = tuple[Message, ...]


class Stored(Struct, frozen=True):
    """The unit stands at these sequences, in its order. duplicate: it stood there before, by its id."""

    sequences: tuple[int, ...]
    duplicate: bool = False


class Refused(Struct, frozen=True):
    """The server's code and words. The unit is not stored."""

    code: int
    reason: str


class Closed(Struct, frozen=True):
    """The connection is closed for good."""


Answer = Stored | Refused | Closed | None
"""None: no answer, and whether it was stored is not known."""


class Wire(Protocol):
    """What can be sent. atomic: whether several messages can stand or fall together."""

    @property
    def atomic(self) -> bool: ...

    async def one(self, message: Message) -> Answer: ...

    async def many(self, messages: Sequence[Message]) -> Answer: ...


class _Waiting(Struct):
    unit: Unit
    answer: "asyncio.Future[Answer]"


class Committer:
    """Sends the units of all writers of a process, each at once or in a batch with others."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._waiting: deque[_Waiting] = deque()
        self._messages = 0
        self._alone = 0
        self._batches = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._launching = False

    async def commit(self, unit: Unit) -> Answer:
        """Send the unit, in whatever company, and say what became of it alone."""
        waiting = _Waiting(unit, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._messages += len(unit)
        self._launch_soon()
        return await waiting.answer

    def _launch_soon(self) -> None:
        """Behind everything that is ready now, so that what is appended at the same moment goes together."""
        if not self._launching:
            self._launching = True
            asyncio.get_running_loop().call_soon(self._launch)

    def _launch(self) -> None:
        """What is few waits for the batches on their way: the server would store it behind them in any case, and by
        itself it costs as much as ten in a batch."""
        self._launching = False
        while self._waiting:
            many = self._messages >= WORTH and self._wire.atomic
            if many and self._batches < _BATCHES_IN_FLIGHT:
                self._batches += 1
                self._start(self._batch(self._take()))
            elif not many and self._batches == 0 and self._alone < WORTH:
                self._alone += 1
                first = self._waiting.popleft()
                self._messages -= len(first.unit)
                self._start(self._one(first))
            else:
                return

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _take(self) -> list[_Waiting]:
        """As many as fit one batch, in order; of two that continue one aggregate the later one waits."""
        taken: list[_Waiting] = []
        left: deque[_Waiting] = deque()
        aggregates: set[str] = set()
        messages = size = 0
        while self._waiting:
            waiting = self._waiting.popleft()
            bytes_, own = sum([len(each.body) for each in waiting.unit]), _aggregates(waiting.unit)
            full = taken and (messages + len(waiting.unit) > _BATCH or size + bytes_ > _BATCH_BYTES)
            if full or not aggregates.isdisjoint(own):
                left.append(waiting)
                aggregates |= own  # what comes behind it in its aggregate stays behind it
                if full:
                    break
                continue
            taken.append(waiting)
            aggregates |= own
            messages, size = messages + len(waiting.unit), size + bytes_
        left.extend(self._waiting)
        self._waiting = left
        self._messages -= messages
        return taken

    async def _one(self, waiting: _Waiting) -> None:
        try:
            _tell(waiting, await self._send(waiting.unit))
        finally:
            _tell(waiting, None)
            self._alone -= 1
            self._launch_soon()

    async def _batch(self, group: list[_Waiting]) -> None:
        try:
            await self._divide(group)
        except BaseException:
            for waiting in group:
                _tell(waiting, None)
            raise
        finally:
            self._batches -= 1
            self._launch_soon()

    async def _divide(self, group: list[_Waiting]) -> None:
        """Send them together, and where that is refused in halves; few are sent each for itself."""
        messages = [message for waiting in group for message in waiting.unit]
        if len(messages) < WORTH or len(group) == 1:
            for waiting, answer in zip(group, await _all(self._send(each.unit) for each in group), strict=True):
                _tell(waiting, answer)
            return
        answer = await self._wire.many(messages)
        match answer:
            case Refused():
                half = len(group) // 2
                await self._divide(group[:half])
                await self._divide(group[half:])
            case Stored():
                begin = 0
                for waiting in group:
                    end = begin + len(waiting.unit)
                    _tell(waiting, Stored(answer.sequences[begin:end]))
                    begin = end
            case _:
                for waiting in group:
                    _tell(waiting, answer)

    async def _send(self, unit: Unit) -> Answer:
        return await (self._wire.one(unit[0]) if len(unit) == 1 else self._wire.many(unit))


def _aggregates(unit: Unit) -> set[str]:
    return {message.aggregate for message in unit if message.aggregate is not None}


def _tell(waiting: _Waiting, answer: Answer) -> None:
    """Once; nobody listens any more where the writer was cancelled."""
    if not waiting.answer.done():
        waiting.answer.set_result(answer)


async def _all(sendings: Iterable[Any]) -> list[Answer]:
    return list(await asyncio.gather(*sendings))


class _Error(Struct, frozen=True):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Ack(Struct, frozen=True):
    """What JetStream answers a publish: a sequence, of a batch's last message, or an error."""

    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    count: int = 1
    error: _Error | None = None


class NatsWire:
    """A connection to NATS."""

    def __init__(self, connection: Client) -> None:
        self._connection = connection

    @property
    def atomic(self) -> bool:
        version = self._connection.connected_server_version
        try:
            return (version.major, version.minor, version.patch) >= _ATOMIC_SINCE
        except ValueError:  # one of somebody's own making
            return False

    async def one(self, message: Message) -> Answer:
        return await self._request(message, message.headers)

    async def many(self, messages: Sequence[Message]) -> Answer:
        if not self.atomic:
            return Refused(0, f"batches need nats-server {'.'.join(map(str, _ATOMIC_SINCE))} or newer")
        failpoint("before_batch")
        batch = uuid.uuid4().hex
        try:
            await send(
                self._connection,
                [
                    publication(message.subject, message.body, _in_batch(message, batch, number))
                    for number, message in enumerate(messages[:-1], 1)
                ],
            )
        except ConnectionClosedError:
            return Closed()
        except NatsError:
            return None
        answer = await self._request(messages[-1], {**_in_batch(messages[-1], batch, len(messages)), **_COMMIT})
        failpoint("after_batch")
        return answer

    async def _request(self, message: Message, headers: dict[str, str]) -> Answer:
        if self._connection.is_closed:
            return Closed()
        if not self._connection.is_connected:
            return None
        try:
            answer = await self._connection.request(
                message.subject, message.body, timeout=_ANSWER_WITHIN_S, headers=headers
            )
            ack = msgspec.json.decode(answer.data, type=_Ack)
        except ConnectionClosedError:
            return Closed()
        except (NatsError, TimeoutError, msgspec.MsgspecError):
            return None
        if ack.error is not None:
            return None if ack.error.code == 503 else Refused(ack.error.err_code, ack.error.description)
        return Stored(tuple(range(ack.seq - ack.count + 1, ack.seq + 1)), ack.duplicate) if ack.stream else None


def _in_batch(message: Message, batch: str, number: int) -> dict[str, str]:
    return {**message.headers, "Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}


def expecting(filter: str, sequence: int) -> dict[str, str]:
    """The headers of a message that is to be stored only where this is the aggregate's last sequence."""
    return {EXPECTED: str(sequence), EXPECTED_FILTER: filter}
