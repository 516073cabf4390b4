"""The one door to JetStream: what is said to its API, and what is made of the answers.

Nothing else in the services names a subject of the API (tests/unit/test_one_door.py). Everything raises LogUnavailable
where NATS is away, silent, or not ready yet, and ApiRefused for what asking again would not change.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec
from kronik import KronikError, subjects
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import ConnectionClosedError
from nats.errors import Error as NatsError

from services.log.sending import publication, send
from services.log.stored import Stored, fetched

PREFIX: Final = "$JS.API"
_ANSWER_WITHIN_S: Final = 4.0
_READ_WITHIN_S: Final = 1.0
_NS: Final = 1_000_000_000
_STREAM_NOT_FOUND: Final = 10059
_CONSUMER_NOT_FOUND: Final = 10014
_NOT_YET: Final = frozenset({10005, 10008, 10023})
"""Of a cluster on its way up: no suitable peers, temporarily unavailable, insufficient resources."""
_MIRRORS: Final = 20
"""How often a read is asked again because a mirror answered, which it does as often as a replica."""
_LARGEST_BYTES: Final = 64 * 1024

_NOTHING: Final = frozenset({"204", "404"})
"""A direct get's end of a batch, and nothing found."""


class LogUnavailable(KronikError):
    """NATS did not answer in time. Whether the event was stored is not known; the same id can be sent again."""


class LogClosed(LogUnavailable):
    """The connection is closed for good: asking again is of no use."""


class NoStream(LogUnavailable):
    """There is no such stream (yet, or any more)."""


class ApiRefused(KronikError):
    """JetStream refused, with its reason. code: its own number of the error."""

    def __init__(self, about: str, reason: str, code: int) -> None:
        super().__init__(f"{about}: {reason}")
        self.reason = reason
        self.code = code


class StreamState(Struct, frozen=True):
    """first_seq is greater than last_seq where the stream is empty, or both are 0."""

    messages: int
    first_seq: int
    last_seq: int
    bytes: int = 0

    @property
    def first(self) -> int:
        """Where reading all of it begins."""
        return max(1, self.first_seq)


class StreamInfo(Struct, frozen=True):
    """ts: the server's time when it answered."""

    ts: datetime
    config: dict[str, Any]
    created: str
    state: StreamState

    @property
    def full(self) -> bool:
        """Whether it has a limit, and no room for one more message of the largest kind that anybody may send."""
        most_bytes, most = int(self.config.get("max_bytes", -1)), int(self.config.get("max_msgs", -1))
        no_room = most_bytes > 0 and self.state.bytes + _LARGEST_BYTES > most_bytes
        return no_room or 0 < most <= self.state.messages


class Sequences(Struct, frozen=True):
    stream_seq: int


class ConsumerInfo(Struct, frozen=True):
    """delivered: the last message handed out. ack_floor: all up to it are settled. num_ack_pending: handed out
    and not settled. num_pending: not handed out yet. num_waiting: requests of idle readers. paused: hands out nothing.
    """

    name: str
    config: dict[str, Any]
    delivered: Sequences
    ack_floor: Sequences
    num_ack_pending: int
    num_pending: int
    num_waiting: int
    paused: bool = False

    def has_lost(self, sequence: int) -> bool:
        """Whether this message was handed out and will not be again: acknowledged, or given up."""
        handed_out = sequence <= self.delivered.stream_seq
        return handed_out and (sequence <= self.ack_floor.stream_seq or self.num_ack_pending == 0)


class _Error(Struct, frozen=True):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Answer(Struct, frozen=True):
    error: _Error | None = None


class _Page(Struct, frozen=True):
    total: int
    consumers: list[ConsumerInfo] | None = None


class _SubjectCounts(Struct, frozen=True):
    subjects: dict[str, int] = {}


class _Subjects(Struct, frozen=True):
    state: _SubjectCounts
    total: int = 0


class _Made(Struct, frozen=True):
    """Of an answer that says no more than that it was done."""


_T = TypeVar("_T", bound=Struct)


def prefix(connection: Client) -> str:
    """How subjects of the API begin for this connection: an account that imports them names them otherwise."""
    given: str = getattr(connection, "js_prefix", PREFIX)
    return given


async def stream_info(connection: Client, stream: str = subjects.STREAM) -> StreamInfo:
    """Raises NoStream."""
    return await _call(connection, f"STREAM.INFO.{stream}", None, StreamInfo)


async def subjects_of(connection: Client, filter: str) -> list[str]:
    """The subjects in the stream that the filter selects."""
    found: dict[str, int] = {}
    while True:
        query = {"subjects_filter": filter, "offset": len(found)}
        page = await _call(connection, f"STREAM.INFO.{subjects.STREAM}", query, _Subjects)
        found |= page.state.subjects
        if not page.state.subjects or len(found) >= page.total:
            return list(found)


async def create_stream(connection: Client, config: Mapping[str, Any]) -> None:
    await _call(connection, f"STREAM.CREATE.{config['name']}", config, _Made)


async def update_stream(connection: Client, config: Mapping[str, Any]) -> None:
    await _call(connection, f"STREAM.UPDATE.{config['name']}", config, _Made)


async def consumer_info(connection: Client, name: str) -> ConsumerInfo | None:
    """None where the stream has no such consumer."""
    try:
        return await _call(connection, f"CONSUMER.INFO.{subjects.STREAM}.{name}", None, ConsumerInfo)
    except ApiRefused as refused:
        if refused.code == _CONSUMER_NOT_FOUND:
            return None
        raise


async def consumers(connection: Client) -> list[ConsumerInfo]:
    """All consumers of the stream."""
    found: list[ConsumerInfo] = []
    while True:
        page = await _call(connection, f"CONSUMER.LIST.{subjects.STREAM}", {"offset": len(found)}, _Page)
        found += page.consumers or []
        if not page.consumers or len(found) >= page.total:
            return found


async def create_consumer(connection: Client, config: Mapping[str, Any]) -> ConsumerInfo:
    """Make it, or change one of the same name. config: with `name` or `durable_name`, and at most one filter."""
    name = config.get("durable_name") or config["name"]
    filter = config.get("filter_subject")
    api = f"CONSUMER.CREATE.{subjects.STREAM}.{name}" + (f".{filter}" if filter else "")
    return await _call(connection, api, {"stream_name": subjects.STREAM, "config": config}, ConsumerInfo)


async def delete_consumer(connection: Client, name: str) -> None:
    """Nothing happens where there is none."""
    try:
        await _call(connection, f"CONSUMER.DELETE.{subjects.STREAM}.{name}", None, _Made)
    except ApiRefused as refused:
        if refused.code != _CONSUMER_NOT_FOUND:
            raise


async def forget_consumer(connection: Client, name: str) -> None:
    """Delete it without waiting for the answer: one that is left over ends by itself."""
    await _publish(connection, f"CONSUMER.DELETE.{subjects.STREAM}.{name}", b"", "")


async def pull(connection: Client, consumer: str, inbox: str, request: bytes, *, times: int = 1) -> None:
    """Ask a consumer for messages, to be delivered to the inbox. request: see pull_request; times: so many of them."""
    await _publish(connection, f"CONSUMER.MSG.NEXT.{subjects.STREAM}.{consumer}", request, inbox, times)


def pull_request(
    *, batch: int, expires_s: float, heartbeat_s: float | None = None, max_bytes: int | None = None
) -> bytes:
    """What a pull asks for: up to so many messages, of so many bytes, within expires_s."""
    request: dict[str, int] = {"batch": batch, "expires": round(expires_s * _NS)}
    if heartbeat_s is not None:
        request["idle_heartbeat"] = round(heartbeat_s * _NS)
    if max_bytes is not None:
        request["max_bytes"] = max_bytes
    return json.dumps(request).encode()


async def get(connection: Client, query: Mapping[str, object], *, stream: str = subjects.STREAM) -> list[Stored]:
    """The messages that the query selects (NATS ADR-31): one, or with `batch` in it up to so many; none where
    there is nothing. Any replica may answer, also one that lags behind, and any mirror, whose answer is not taken."""
    if not connection.is_connected:
        raise LogClosed("the connection to NATS is closed") if connection.is_closed else _silent("a read")
    try:
        for _ in range(_MIRRORS):
            if (found := await _get(connection, stream, query)) is not None:
                return found
        raise LogUnavailable(f"a mirror of {stream} answers in its place: kronik can't use what it holds")
    except ConnectionClosedError as closed:
        raise LogClosed("the connection to NATS is closed") from closed
    except (NatsError, TimeoutError) as away:
        raise _silent("a read") from away


async def reaches_runs(connection: Client, within_s: float) -> bool:
    """Whether this connection may ask what became of runs, which is all of the stream that another service reads."""
    try:
        await connection.request(f"{prefix(connection)}.DIRECT.GET.{subjects.STREAM}.jobs.run.>", timeout=within_s)
    except (NatsError, TimeoutError):
        return False
    return True


async def stored_at(connection: Client, sequence: int) -> Stored | None:
    """The message at this sequence as it stands, whether it can be read or not."""
    found = await get(connection, {"seq": sequence})
    return found[0] if found else None


async def _get(connection: Client, stream: str, query: Mapping[str, object]) -> list[Stored] | None:
    """None where a mirror answered: it holds the messages without the expectations that they were written with."""
    inbox = connection.new_inbox()
    subscription = await connection.subscribe(inbox)
    messages: list[Stored] = []
    try:
        api = f"{prefix(connection)}.DIRECT.GET.{stream}"
        await connection.publish(api, json.dumps(query).encode(), reply=inbox)
        while "batch" in query or not messages:
            message = await subscription.next_msg(timeout=_READ_WITHIN_S)
            found = fetched(message)
            if isinstance(found, Stored):
                if (message.headers or {}).get("Nats-Stream", stream) != stream:
                    return None
                messages.append(found)
            elif found.code in _NOTHING:
                break
            else:
                raise LogUnavailable(f"NATS answered a read with {found}")
        return messages
    finally:
        if not connection.is_closed:
            await subscription.unsubscribe()


async def _call(connection: Client, api: str, body: Mapping[str, Any] | None, answer: type[_T]) -> _T:
    payload = b"" if body is None else json.dumps(body).encode()
    message = await _request(connection, api, payload)
    error = msgspec.json.decode(message.data, type=_Answer).error
    if error is None:
        return msgspec.json.decode(message.data, type=answer)
    if error.err_code == _STREAM_NOT_FOUND:
        raise NoStream(f"there is no stream {api.split('.')[2]}")
    if error.code == 503 or error.err_code in _NOT_YET:
        raise LogUnavailable(f"JetStream is not ready: {error.description}")
    raise ApiRefused(api, error.description, error.err_code)


async def _request(connection: Client, api: str, payload: bytes) -> Msg:
    if not connection.is_connected:
        raise LogClosed("the connection to NATS is closed") if connection.is_closed else _silent(api)
    try:
        return await connection.request(f"{prefix(connection)}.{api}", payload, timeout=_ANSWER_WITHIN_S)
    except ConnectionClosedError as closed:
        raise LogClosed("the connection to NATS is closed") from closed
    except (NatsError, TimeoutError) as away:
        raise _silent(api) from away


async def _publish(connection: Client, api: str, payload: bytes, reply: str, times: int = 1) -> None:
    try:
        await send(connection, [publication(f"{prefix(connection)}.{api}", payload, reply=reply)] * times)
    except ConnectionClosedError as closed:
        raise LogClosed("the connection to NATS is closed") from closed
    except NatsError as away:
        raise _silent(api) from away


def _silent(what: str) -> LogUnavailable:
    return LogUnavailable(f"NATS did not answer {what}")
