"""Some subjects of the stream from the first event on, and then live, for as long as the service runs."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from kronik import KronikError
from nats.aio.client import Client
from nats.errors import Error as NatsError

from services.infra import logs
from services.log.append import LogUnavailable
from services.log.event_reader import EventReader, ReaderLost, Stored, open_reader
from services.scheduler.consumer_info import consumer_info
from services.scheduler.stream_extent import first_sequence, stored_at

log = logs.get()


class StreamReplaced(KronikError):
    """The stream does not hold what was read from it: it was restored, truncated or made anew. Start afresh."""


_AGAIN_AFTER_S = 0.5
_PATIENCE_S = 5.0


@dataclass(slots=True)
class Feed:
    """Hands every message to `take`, once and in order, over lost connections and consumers.

    position: the last sequence taken. current: set while everything that stood in the stream when it
    was last opened has been taken. name: its consumer's, seen in `nats consumer report JOBS`.
    Sequences can be used again where a stream lost its tail, so whenever it is opened the last one taken is compared.
    """

    connection: Client
    name: str
    filters: Sequence[str]
    take: Callable[[Stored], None]
    headers_only: bool = False
    position: int = 0
    current: asyncio.Event = field(default_factory=asyncio.Event)
    _taken_at: datetime | None = None
    _moved: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def run(self) -> None:
        """Follow until cancelled. Raises StreamReplaced."""
        while True:
            try:
                await self._follow()
            except (ReaderLost, LogUnavailable, NatsError) as lost:
                self.current.clear()
                log.warning("feed_lost", feed=self.name, position=self.position, error=str(lost))
                await asyncio.sleep(_AGAIN_AFTER_S)

    async def reached(self, sequence: int) -> bool:
        """Wait until the event at this sequence was taken; False where that takes more than a few seconds."""
        async with self._moved:
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    return await self._moved.wait_for(lambda: self.position >= sequence)
            except TimeoutError:
                return False

    async def _follow(self) -> None:
        await self._check()
        async with open_reader(
            self.connection,
            name=self.name,
            start=self.position + 1,
            filters=self.filters,
            headers_only=self.headers_only,
        ) as reader:
            # Nothing is delivered before the reader asks, so at this moment all that matches is pending.
            info = await consumer_info(self.connection, self.name)
            if info is not None and info.num_pending == 0:
                self.current.set()
            await self._take_all(reader)

    async def _check(self) -> None:
        """Raises StreamReplaced, LogUnavailable."""
        if self._taken_at is None:
            return
        found = await stored_at(self.connection, self.position)
        if found != self._taken_at and not (found is None and await first_sequence(self.connection) > self.position):
            raise StreamReplaced(f"the event at {self.position} is not the one that was read there")

    async def _take_all(self, reader: EventReader) -> None:
        async for batch in reader:
            for stored in batch:
                self.take(stored)
                self.position, self._taken_at = stored.sequence, stored.time
            if batch[-1].behind == 0:
                self.current.set()
            async with self._moved:
                self._moved.notify_all()
