"""Secrets that were sent, looked up: wrong ones are logged, and an address that sends many has to wait."""

import math
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar

from litestar.connection import ASGIConnection

from services.api.access import store
from services.api.front.throttle import Throttle, network
from services.api.problems import TOO_MANY_TRIES, Problem
from services.infra import logs
from services.infra.clock import monotonic_s

log = logs.get()

T = TypeVar("T")
Connection = ASGIConnection[Any, Any, Any, Any]
Kind = Literal["token", "session", "link"]


async def opened(
    connection: Connection, kind: Kind, secret: str, look: Callable[[str], Awaitable[T | None]], wrong: Problem
) -> T:
    """What the secret opens. Raises `wrong` where it opens nothing, a 429 problem where the address has to wait."""
    throttle: Throttle = connection.app.state.throttle
    address = address_of(connection)
    hashed, now = store.hash_of(secret), monotonic_s()
    wait = throttle.wait_s(address, now)
    if wait > 0 and throttle.was_sent_before(address, hashed):
        raise wrong
    if wait > 0 and not throttle.is_known(hashed):
        raise _wait(math.ceil(wait))
    found = await look(secret)
    if found is None:
        if throttle.was_wrong(address, hashed, now):
            log.warning("secret_refused", kind=kind, address=network(address))
        raise wrong
    throttle.was_right(hashed)
    return found


def address_of(connection: Connection) -> str:
    return connection.client.host if connection.client else "?"


def _wait(seconds: int) -> Problem:
    detail = f"Wait {seconds} s. What was right before is let in meanwhile."
    return Problem(TOO_MANY_TRIES, detail, headers={"Retry-After": str(seconds), "Cache-Control": "no-store"})
