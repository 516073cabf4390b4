"""JetStream's direct get: messages of a stream by sequence or subject, without a consumer (NATS ADR-31)."""

import json
from collections.abc import Mapping

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeout

_ANSWER_WITHIN_S = 1.0


async def ask(connection: Client, stream: str, query: Mapping[str, object]) -> list[Msg]:
    """The messages that the query selects: one, or with `batch` in it up to so many; none where there is nothing.

    Raises what nats-py raises when NATS is away, silent for a second, or refuses: nats.errors.Error all of it.
    """
    if not connection.is_connected:
        raise NatsTimeout
    inbox = connection.new_inbox()
    subscription = await connection.subscribe(inbox)
    messages: list[Msg] = []
    try:
        await connection.publish(f"$JS.API.DIRECT.GET.{stream}", json.dumps(query).encode(), reply=inbox)
        while "batch" in query or not messages:
            message = await subscription.next_msg(timeout=_ANSWER_WITHIN_S)
            status = (message.headers or {}).get("Status")
            if status in ("204", "404"):  # the end of a batch, nothing found
                break
            if status is not None:
                raise NoRespondersError
            messages.append(message)
        return messages
    finally:
        if not connection.is_closed:
            await subscription.unsubscribe()
