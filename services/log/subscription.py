"""Following the stream from a position on, for as long as a service lives: projector, scheduler, `kronik tail`.

    check what stands at the position ──▶ read behind it, hand on, again and again
       ▲            │ another message                     │ lost: connection, consumer, order
       │            ▼                                     │
       │      StreamReplaced                              │
       └────────────────────── a pause ◀──────────────────┘

Sequences are used again where a stream lost its tail or was made anew, and a reader that goes on by sequence
alone would skip the new events in silence. So whenever reading begins, also after every reconnect, what stands at
the position is compared with what was taken there.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from kronik import KronikError
from nats.aio.client import Client

from services.infra import logs
from services.infra.clock import monotonic_s
from services.log import jetstream
from services.log.event_reader import EventReader, ReaderCut, ReaderLost, directly_after, open_reader
from services.log.jetstream import LogUnavailable
from services.log.stored import START, Position, Stored

log = logs.get()

_AGAIN_AFTER_S = 0.5
_REACHED_WITHIN_S = 5.0
_REPLICA_CATCHES_UP_S = 5.0


class StreamReplaced(KronikError):
    """The stream does not hold what was read from it: it was restored, truncated, lost its tail or was made anew."""


async def check(connection: Client, position: Position) -> None:
    """Return if what was taken at the position stands there. Raises StreamReplaced, LogUnavailable.

    Where there are replicas the one that answers may lag behind: for some seconds it is asked again.
    """
    if not position.event_id:
        return
    give_up = monotonic_s() + _REPLICA_CATCHES_UP_S
    while True:
        found = await jetstream.stored_at(connection, position.sequence)
        if found is not None and found.stands_at(position):
            return
        there = await jetstream.stream_info(connection)
        if there.state.first_seq == position.sequence + 1:
            return  # archived up to here, and not further
        if there.config.get("num_replicas", 1) == 1 or monotonic_s() > give_up:
            raise StreamReplaced(_difference(position, found, there.state))
        await asyncio.sleep(_AGAIN_AFTER_S)


def _difference(position: Position, found: Stored | None, state: jetstream.StreamState) -> str:
    at = f"event {position.sequence} ({position.event_id}) was read"
    if found is not None:
        return f"{at}, but the stream has another one there ({found.position.event_id}). {_REMEDY}"
    return f"{at}, but the stream has none there: it holds {state.first_seq} to {state.last_seq}. {_REMEDY}"


_REMEDY = "It was restored, truncated or lost its tail: find out which, then run `kronik rebuild`."


def _silent(problem: str | None) -> None:
    pass


@dataclass(slots=True)
class Subscription:
    """Hands every message to `take`, in order and in batches, over lost connections and consumers.

    A batch counts as taken when `take` returns; whatever it raises ends run(). position: the last message
    taken; one without an id is where to begin, and believed. current: set while everything that stood in the stream
    when it was last opened has been taken. name: its consumer's, seen in `nats consumer report JOBS`.
    filter: see open_reader. on_problem: told why it can't follow, and None when it does.
    """

    connection: Client
    name: str
    take: Callable[[Sequence[Stored]], Awaitable[None]]
    filter: str | None = None
    headers_only: bool = False
    position: Position = START
    on_problem: Callable[[str | None], None] = _silent
    current: asyncio.Event = field(default_factory=asyncio.Event)
    _moved: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def run(self) -> NoReturn:
        """Follow until cancelled. Raises StreamReplaced, and what `take` raises."""
        while True:
            try:
                await self._follow_to_a_cut()
            except (ReaderLost, LogUnavailable) as lost:
                self.current.clear()
                self.on_problem(str(lost))
                log.warning("subscription_lost", name=self.name, position=self.position.sequence, error=str(lost))
                await asyncio.sleep(_AGAIN_AFTER_S)

    async def reached(self, sequence: int) -> bool:
        """Wait until the event at this sequence was taken; False where that takes more than a few seconds."""
        if self.position.sequence >= sequence:
            return True
        async with self._moved:
            try:
                async with asyncio.timeout(_REACHED_WITHIN_S):
                    return await self._moved.wait_for(lambda: self.position.sequence >= sequence)
            except TimeoutError:
                return False

    async def _follow_to_a_cut(self) -> None:
        """Returns where a reader was cut off and what stands behind it has been read in another way."""
        try:
            await self._follow()
        except ReaderCut:
            if batch := await directly_after(self.connection, self.position.sequence, self.filter):
                await self._take(batch)

    async def _follow(self) -> None:
        await check(self.connection, self.position)
        async with open_reader(
            self.connection,
            name=self.name,
            start=self.position.sequence + 1,
            filter=self.filter,
            headers_only=self.headers_only,
        ) as reader:
            self.on_problem(None)
            if reader.nothing_yet:
                self.current.set()
            while True:
                await self._take_next(reader)

    async def _take_next(self, reader: EventReader) -> None:
        batch = await reader.next_batch()
        if not batch:
            return
        await self._take(batch)
        if batch[-1].behind == 0:
            self.current.set()

    async def _take(self, batch: Sequence[Stored]) -> None:
        await self.take(batch)
        self.position = batch[-1].position
        async with self._moved:
            self._moved.notify_all()
