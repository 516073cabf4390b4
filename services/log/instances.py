"""One process per name: two with the same KRONIK_INSTANCE would fight for a consumer, and neither would say so.

Every process says hello on the subject of its name, when it comes and now and then. Whoever hears another's hello and
was there before says hello in turn; whoever hears one of somebody who was there before is the one too many.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from services.infra import logs
from services.infra.clock import SystemClock
from services.infra.lifecycle import happens

log = logs.get()

SUBJECTS = "kronik.instance.>"
_AGAIN_AFTER_S = 10.0


def subject_of(name: str) -> str:
    """A name may hold anything; a subject may not."""
    return f"kronik.instance.{name.encode().hex()}"


async def hold(client: Client, name: str, on_taken: Callable[[], Awaitable[None]]) -> None:
    """Hold the name until cancelled or the connection is closed; on_taken: there was one of this name before us."""
    mine, subject = _since(SystemClock().now()), subject_of(name)
    taken = asyncio.Event()

    async def heard(message: Msg) -> None:
        theirs = message.data.decode(errors="replace")
        if theirs < mine:
            taken.set()
        elif theirs > mine:
            await client.publish(subject, mine.encode())

    await client.subscribe(subject, cb=heard)
    while not client.is_closed:
        with contextlib.suppress(NatsError):
            await client.publish(subject, mine.encode())
        if await happens(taken, _AGAIN_AFTER_S):
            log.error("instance_taken", name=name, hint="two services have one KRONIK_INSTANCE: give each its own")
            return await on_taken()


def _since(now: datetime) -> str:
    """Orders processes by when they came; no two are the same."""
    return f"{now.astimezone(UTC).isoformat(timespec='microseconds')} {uuid.uuid4().hex}"
