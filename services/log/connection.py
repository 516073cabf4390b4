"""How every service connects to NATS: for good, noticing a hung server within seconds, and never deaf in silence.

Nothing here depends on how the server sets its users up: JetStream is asked below `$JS.API.` and answers come below
`_INBOX.` everywhere. Where each role has an account of its own (services.log.accounts) the server maps both.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from urllib.parse import unquote, urlsplit

from nats.aio.client import Client
from nats.errors import Error as NatsError

from services.infra import logs
from services.infra.clock import monotonic_s
from services.log import instances
from services.log.protocol import harden

log = logs.get()

Callback = Callable[[], Awaitable[None]]

NO_CONNECTION = 69
"""Exit status of a service that has no working connection to NATS and can't get one (EX_UNAVAILABLE)."""
PATIENCE_S = 120.0
_LOOK_EVERY_S = 2.0
_LOOKS = 15
"""In the time after which a silent server is given up; while it answers, each look is a message to and fro."""
_ANSWER_WITHIN_S = 8
_watches: set["asyncio.Task[None]"] = set()
"""The event loop itself keeps tasks by weak references alone."""


def options(url: str, name: str, on_closed: Callback | None = None, client: Client | None = None) -> dict[str, Any]:
    """Connection options for nats-py. client: whose they will be.

    It reconnects without end and every half second; three unanswered pings (about 10 s) count as a lost
    server. `on_closed` is called when the client gives up for good, which it does on a protocol
    error: the process should end and be started anew. No callback raises: in the client's own task that would
    be the end of its reconnecting, without a word.
    """

    async def disconnected() -> None:
        if client is None or not client.is_closed:  # else by us, and it says so itself
            log.warning("nats_disconnected", name=name)

    async def reconnected() -> None:
        log.info("nats_reconnected", name=name)

    async def failed(error: Exception) -> None:
        log.warning("nats_error", name=name, error=repr(error)[:500])

    async def closed() -> None:
        log.info("nats_closed", name=name)
        if on_closed is not None:
            await on_closed()

    servers, credentials = _split(url)
    return {
        "servers": servers,
        **credentials,
        "name": name,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.5,
        "connect_timeout": 3,
        "ping_interval": 4,
        "max_outstanding_pings": 2,
        "inbox_prefix": b"_INBOX",
        "disconnected_cb": disconnected,
        "reconnected_cb": reconnected,
        "error_cb": failed,
        "closed_cb": closed,
    }


def _split(url: str) -> tuple[list[str], dict[str, str]]:
    """The servers' addresses, and the credentials that stand in the first of them, as options of the connection.

    Servers of a cluster tell their clients each other's addresses: what stands in an address alone is missing there.
    """
    addresses = [urlsplit(each.strip()) for each in url.split(",")]
    servers = [each._replace(netloc=each.netloc.rpartition("@")[2]).geturl() for each in addresses]
    user, password = addresses[0].username, addresses[0].password
    if user is None:
        return servers, {}
    if password is None:
        return servers, {"token": unquote(user)}
    return servers, {"user": unquote(user), "password": unquote(password)}


async def connect(
    url: str,
    name: str,
    on_lost: Callback | None = None,
    *,
    patience_s: float = PATIENCE_S,
    client: Client | None = None,
    alone: bool = False,
) -> Client:
    """Connect, waiting as long as it takes for a server to be there. client: one that others have been given already.

    on_lost: called when there will be no connection any more: the client has closed for good, or no request of
    this connection was answered for patience_s, be it that NATS is away, hangs, or does not let us in. With
    alone=True also when somebody of this name was connected before: see instances.
    """
    client = harden(client or Client())
    connected = asyncio.Event()
    if on_lost is not None:
        _go_on_with(_watch(client, connected, name, on_lost, patience_s))
    await client.connect(**options(url, name, on_lost, client))
    connected.set()
    if on_lost is not None and alone:
        _go_on_with(instances.hold(client, name, on_lost))
    return client


def _go_on_with(watch: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(watch)
    _watches.add(task)
    task.add_done_callback(_watches.discard)


async def _watch(client: Client, connected: asyncio.Event, name: str, on_lost: Callback, patience_s: float) -> None:
    """What the client believes of itself is not asked: only an answer proves a connection.

    connected: it was once. Before that a client that is closed may be one that is refused, and tries again.
    """
    every_s = max(_LOOK_EVERY_S, patience_s / _LOOKS)
    silent_s, looked_s = 0.0, monotonic_s()
    while silent_s < patience_s:
        await asyncio.sleep(every_s if silent_s == 0 else _LOOK_EVERY_S)
        if client.is_closed and connected.is_set():
            return  # by us, or on_lost was called
        answered = await _answers(client)
        # A process that was stopped for an hour has not listened for an hour.
        gone_by_s = min(monotonic_s() - looked_s, every_s + _ANSWER_WITHIN_S)
        silent_s, looked_s = 0.0 if answered else silent_s + gone_by_s, monotonic_s()
    log.error("nats_silent", name=name, silent_s=round(silent_s), last=repr(client.last_error)[:500])
    await on_lost()


async def _answers(client: Client) -> bool:
    if not client.is_connected:
        return False
    with contextlib.suppress(NatsError, TimeoutError, OSError):
        await client.flush(timeout=_ANSWER_WITHIN_S)
        return client.is_connected
    return False


async def close(connection: Client) -> None:
    """Close without draining: nothing here relies on buffered publishes, each was acknowledged or is repeated."""
    if not connection.is_closed:
        await asyncio.wait_for(connection.close(), 5)
