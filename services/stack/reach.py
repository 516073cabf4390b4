"""Connecting to a NATS that may not be there, with a clear word on why not."""

import asyncio
from urllib.parse import urlsplit

import nats
from kronik import KronikError
from nats.aio.client import Client

from services.log import connection as nats_connection
from services.log.protocol import harden


class NatsUnreachable(KronikError):
    """NATS did not let us in within the time; the message has its address, without secrets, and the last reason."""


async def connect(url: str, name: str, within_s: float) -> Client:
    """A connection for short work: what fails on it, fails at once. Raises NatsUnreachable."""
    reasons: list[str] = []

    async def failed(error: Exception) -> None:
        reasons.append(str(error) or repr(error))

    options = {**nats_connection.options(url, name), "error_cb": failed}
    try:
        async with asyncio.timeout(within_s):
            return harden(await nats.connect(**options))
    except (TimeoutError, OSError, nats.errors.Error) as error:
        reason = reasons[-1] if reasons else str(error) or "no answer"
        raise NatsUnreachable(f"NATS at {_place(url)} can't be reached within {within_s:g} s: {reason}") from error


def _place(url: str) -> str:
    return ", ".join(f"{parts.hostname}:{parts.port or 4222}" for parts in map(urlsplit, url.split(",")))
