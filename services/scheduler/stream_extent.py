"""What tells one stream from another of the same name: where it begins, and when each of its events was stored."""

import json
from datetime import datetime
from typing import Final

import msgspec
from kronik import subjects
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from services.log.append import LogUnavailable, parse_time

_NOT_FOUND: Final = "404"


class _State(Struct, frozen=True):
    first_seq: int


class _Info(Struct, frozen=True):
    state: _State | None = None


async def stored_at(connection: Client, sequence: int) -> datetime | None:
    """When the event at this sequence was stored; None where there is none. Raises LogUnavailable."""
    query = json.dumps({"seq": sequence}).encode()
    headers = (await _ask(connection, f"$JS.API.DIRECT.GET.{subjects.STREAM}", query)).headers or {}
    if headers.get("Status") == _NOT_FOUND:
        return None
    if "Nats-Time-Stamp" not in headers:
        raise LogUnavailable(f"NATS answered a read with {headers.get('Status')}")
    return parse_time(headers["Nats-Time-Stamp"])


async def first_sequence(connection: Client) -> int:
    """Of the first event that the stream still holds. Raises LogUnavailable, also where there is no stream."""
    answer = await _ask(connection, f"$JS.API.STREAM.INFO.{subjects.STREAM}", b"")
    state = msgspec.json.decode(answer.data, type=_Info).state
    if state is None:
        raise LogUnavailable(f"there is no stream {subjects.STREAM}")
    return state.first_seq


async def _ask(connection: Client, subject: str, body: bytes) -> Msg:
    try:
        return await connection.request(subject, body, timeout=4)
    except (NatsError, TimeoutError) as away:
        raise LogUnavailable(f"NATS did not answer on {subject}") from away
