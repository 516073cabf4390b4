"""What time it is by the stream's server, which alone decides whether a slot is due.

The machine's own clock is never read: between two looks at the server's the time that has passed is measured, and a
look is taken before anything is decided. An answer is at least as old as it takes to arrive, so the time told here is
never ahead of the server's. `ahead` is the rehearsal clock, which is added to it.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from nats.aio.client import Client

from services.infra.clock import monotonic_s
from services.log import jetstream


class Time(Protocol):
    @property
    def ahead(self) -> timedelta:
        """How far what `now` tells is ahead of the stream's own time."""

    async def look(self) -> None:
        """Ask the server. Raises LogUnavailable."""

    def now(self) -> datetime:
        """As of the last look and what has passed since, with `ahead` in it."""

    def stream_now(self) -> datetime:
        """The same without `ahead`: the stream's own time."""

    def passed_s(self) -> float:
        """Seconds since the last look."""


class StreamTime:
    """Look before the first `now`. rehearsal: how far to be ahead, read at every look."""

    def __init__(self, connection: Client, rehearsal: Callable[[], timedelta]) -> None:
        self._connection = connection
        self._rehearsal = rehearsal
        self._shown: datetime | None = None
        self._looked_s = 0.0
        self.ahead = timedelta(0)

    async def look(self) -> None:
        self._shown = (await jetstream.stream_info(self._connection)).ts
        self._looked_s = monotonic_s()
        self.ahead = self._rehearsal()

    def now(self) -> datetime:
        return self.stream_now() + self.ahead

    def stream_now(self) -> datetime:
        assert self._shown is not None, "nobody has looked yet"
        return self._shown + timedelta(seconds=self.passed_s())

    def passed_s(self) -> float:
        return monotonic_s() - self._looked_s
