"""What JetStream says of a consumer: how far it has delivered, and what is still out for work."""

import msgspec
from kronik import subjects
from msgspec import Struct
from nats.aio.client import Client
from nats.errors import Error as NatsError

from services.log.append import LogUnavailable

_CONSUMER_NOT_FOUND = 10014


class Position(Struct, frozen=True):
    stream_seq: int


class ConsumerInfo(Struct, frozen=True):
    """delivered: the last message handed out. ack_floor: all up to it are settled. num_ack_pending: handed out
    and not settled. num_pending: not handed out yet. num_waiting: requests of idle readers."""

    delivered: Position
    ack_floor: Position
    num_ack_pending: int
    num_pending: int
    num_waiting: int

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


async def consumer_info(connection: Client, name: str) -> ConsumerInfo | None:
    """None where the stream has no such consumer. Raises LogUnavailable."""
    try:
        answer = await connection.request(f"$JS.API.CONSUMER.INFO.{subjects.STREAM}.{name}", timeout=4)
    except NatsError as away:
        raise LogUnavailable(f"NATS did not say anything of consumer {name}") from away
    error = msgspec.json.decode(answer.data, type=_Answer).error
    if error is None:
        return msgspec.json.decode(answer.data, type=ConsumerInfo)
    if error.err_code == _CONSUMER_NOT_FOUND:
        return None
    raise LogUnavailable(f"NATS can't say anything of consumer {name}: {error.description}")
