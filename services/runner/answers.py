"""What deliveries are answered: all that is said at the same moment leaves in one write."""

import asyncio

from nats.aio.client import Client
from nats.errors import Error as NatsError

from services.infra import logs
from services.log.sending import publication, send

log = logs.get()


class Answers:
    """Best effort: an answer that is lost means another delivery, which finds the run as it is."""

    def __init__(self, connection: Client) -> None:
        self._connection = connection
        self._waiting: list[bytes] = []
        self._leaving: asyncio.Task[None] | None = None

    async def publish(self, reply: str, answer: bytes) -> None:
        """Behind everything that is ready now."""
        self._waiting.append(publication(reply, answer))
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._leave())

    async def _leave(self) -> None:
        self._leaving = None
        waiting, self._waiting = self._waiting, []
        try:
            await send(self._connection, waiting)
        except NatsError as error:
            log.warning("acknowledgement_lost", count=len(waiting), error=repr(error))

    async def flush(self) -> None:
        """Until all is with the server. Raises NatsError."""
        if self._leaving is not None:
            await self._leaving
        if self._connection.is_connected:
            await self._connection.flush(timeout=2)
