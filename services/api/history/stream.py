"""Where the read model stands in the stream, and whether that stream is still the one it was made from."""

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from kronik import KronikError, subjects
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from services.api.history.projections import Checkpoint, position, read
from services.log.append import LogUnavailable, parse_time
from services.log.event_reader import Stored

_ANSWER_WITHIN_S = 5


class CheckpointMismatch(KronikError):
    """The stream does not hold what the history was made from: it was restored, truncated or lost its tail."""


class Extent(Struct, frozen=True):
    """The first and the last sequence of the stream; first is greater where it is empty."""

    first: int
    last: int


async def extent(connection: Client) -> Extent:
    """Raises LogUnavailable, also where there is no stream."""
    answer = await _request(connection, f"$JS.API.STREAM.INFO.{subjects.STREAM}", b"")
    info = json.loads(answer.data)
    if "error" in info:
        raise LogUnavailable(f"stream {subjects.STREAM}: {info['error'].get('description')}")
    return Extent(max(1, info["state"]["first_seq"]), info["state"]["last_seq"])


async def stored_at(connection: Client, sequence: int) -> Stored | None:
    """The message at this sequence as it stands, whether it can be read or not. Raises LogUnavailable."""
    return await _get(connection, {"seq": sequence})


async def first_after(connection: Client, instant: datetime) -> int | None:
    """The sequence of the first message that was stored after this instant; None where none was."""
    start = (instant + timedelta(microseconds=1)).isoformat().replace("+00:00", "Z")
    stored = await _get(connection, {"start_time": start, "next_by_subj": ">"})
    return stored.sequence if stored else None


async def stored_of_run(connection: Client, run_id: int) -> AsyncIterator[Stored]:
    """The messages of a run, the trigger first. Raises LogUnavailable."""
    stored = await stored_at(connection, run_id)
    if stored is None or not stored.subject.startswith("jobs.trigger."):
        return
    events = subjects.run_aggregate(stored.subject.split(".")[2], run_id)
    while stored is not None:
        yield stored
        stored = await _get(connection, {"seq": stored.sequence + 1, "next_by_subj": events})


async def _get(connection: Client, query: dict[str, object]) -> Stored | None:
    message = await _request(connection, f"$JS.API.DIRECT.GET.{subjects.STREAM}", json.dumps(query).encode())
    headers = message.headers or {}
    if headers.get("Status") == "404":
        return None
    if "Nats-Subject" not in headers:
        raise LogUnavailable(f"NATS answered a read with {headers.get('Status')} {headers.get('Description')}")
    return Stored(
        int(headers["Nats-Sequence"]),
        headers["Nats-Subject"],
        parse_time(headers["Nats-Time-Stamp"]),
        message.data,
        headers.get("Nats-Msg-Id"),
        0,
    )


async def check(connection: Client, checkpoint: Checkpoint) -> None:
    """Raises CheckpointMismatch unless the event at the checkpoint is the one that was projected, LogUnavailable."""
    if checkpoint.sequence == 0:
        return
    stored = await stored_at(connection, checkpoint.sequence)
    if stored is None:
        there = await extent(connection)
        raise CheckpointMismatch(
            f"the history stands at event {checkpoint.sequence} (id {checkpoint.event_id}), but the stream"
            f" {subjects.STREAM} has none there: it holds {there.first} to {there.last}. {_REMEDY}"
        )
    found = position(read(stored))
    if found != checkpoint:
        raise CheckpointMismatch(
            f"the history stands at event {checkpoint.sequence} with id {checkpoint.event_id}, but the stream"
            f" {subjects.STREAM} has id {found.event_id} there. {_REMEDY}"
        )


_REMEDY = "The stream was restored, truncated or lost its tail: find out which, then run `kronik rebuild`."


async def _request(connection: Client, subject: str, body: bytes) -> Msg:
    if not connection.is_connected:
        raise LogUnavailable("NATS is not connected")
    try:
        return await connection.request(subject, body, timeout=_ANSWER_WITHIN_S)
    except (NatsError, TimeoutError) as error:
        raise LogUnavailable(f"NATS did not answer on {subject}") from error
