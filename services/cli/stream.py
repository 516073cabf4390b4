"""The event log as a command reads it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.infra import logs
from services.infra.clock import SystemClock
from services.log import connection as nats_connection
from services.log.append import EventLog
from services.stack import reach

_ANSWERS_WITHIN_S = 5.0


@asynccontextmanager
async def connect(nats_url: str) -> AsyncIterator[EventLog]:
    """Raises NatsUnreachable."""
    logs.configure("cli", log_format="console", level="error")
    connection = await reach.connect(nats_url, "kronik-cli", _ANSWERS_WITHIN_S)
    try:
        yield EventLog(connection, SystemClock(), "/kronik/cli")
    finally:
        await nats_connection.close(connection)
