"""How every service connects to NATS: for good, noticing a hung server within seconds."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import nats
from nats.aio.client import Client

from services.infra import logs
from services.log.protocol import harden

log = logs.get()


def options(url: str, name: str, on_closed: Callable[[], Awaitable[None]] | None = None) -> dict[str, Any]:
    """Connection options for `nats.connect` and FastStream's broker alike.

    It reconnects without end and every half second; three unanswered pings (about 10 s) count as a lost
    server. `on_closed` is called when the client gives up for good, which it does on a protocol
    error: the process should end and be started anew.
    """
    user = urlsplit(url.split(",")[0]).username

    async def disconnected() -> None:
        log.warning("nats_disconnected", name=name)

    async def reconnected() -> None:
        log.info("nats_reconnected", name=name)

    async def failed(error: Exception) -> None:
        log.warning("nats_error", name=name, error=repr(error)[:500])

    async def closed() -> None:
        log.info("nats_closed", name=name)
        if on_closed is not None:
            await on_closed()

    return {
        "servers": url.split(","),
        "name": name,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.5,
        "connect_timeout": 3,
        "ping_interval": 4,
        "max_outstanding_pings": 2,
        "inbox_prefix": f"_INBOX_{user}".encode() if user else b"_INBOX",
        "disconnected_cb": disconnected,
        "reconnected_cb": reconnected,
        "error_cb": failed,
        "closed_cb": closed,
    }


async def connect(url: str, name: str, on_closed: Callable[[], Awaitable[None]] | None = None) -> Client:
    """Connect, waiting as long as it takes for a server to be there."""
    return harden(await nats.connect(**options(url, name, on_closed)))


async def close(connection: Client) -> None:
    """Close without draining: nothing here relies on buffered publishes, each was acknowledged or is repeated."""
    if not connection.is_closed:
        await asyncio.wait_for(connection.close(), 5)
