"""What open pages are told, all of them in the same moment: what changed, and what is out of reach.

    changes, one by one ──▶ a word, seldomer the more listen ──▶ each line: what it has not taken yet, as one

In one moment, because they all ask for their pages then: one rendering, and one question who they are, serves them.
"""

import asyncio
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import Final

import msgspec

from services.api.changes import Changes, both
from services.api.history.projector import Change
from services.api.pulse import Pulse
from services.infra.clock import monotonic_s

_STATE_S: Final = 1.5
_BREATH_S: Final = 0.2
"""What changes so soon after the last word is told together: hundreds of runs a second may end."""
_BREATH_OF_ONE_S: Final = 1 / 750
"""With this for each who listens, where that is more: what a crowd costs has a bound."""
_LOOK_S: Final = 0.5
"""How long a trouble may wait to be told, or its end."""

OPENING: Final = b"retry: 1000\r\n: listening\r\n\r\n"


class Line:
    """To one who listens: what it has not been told yet."""

    def __init__(self) -> None:
        self._state: bytes = b""
        self._change: Change | None = None
        self._over = False
        self._news = asyncio.Event()

    def say(self, state: bytes, change: Change | None) -> None:
        self._state = state or self._state
        if change is not None:
            self._change = both(self._change, change)
        self._news.set()

    def end(self) -> None:
        self._over = True
        self._news.set()

    async def words(self) -> AsyncIterator[bytes]:
        """As an event stream, until the end."""
        while True:
            await self._news.wait()
            if self._over:
                return
            self._news.clear()
            state, change, self._state, self._change = self._state, self._change, b"", None
            yield state + _run(change) if change else state


class Told:
    """number: how often it was said that something changed; what was made since the last time is as new as anybody
    knows of.
    """

    def __init__(self, changes: Changes, pulse: Pulse) -> None:
        self._changes, self._pulse = changes, pulse
        self._lines: set[Line] = set()
        self.number = 0

    async def run(self) -> None:
        """Until cancelled."""
        said_s, trouble = 0.0, self._pulse.beat.trouble
        with self._changes.waiting() as waiter:
            while True:
                change = await waiter.next(_LOOK_S)
                state = b""
                if monotonic_s() - said_s >= _STATE_S or self._pulse.beat.trouble != trouble:
                    said_s, trouble, state = monotonic_s(), self._pulse.beat.trouble, self._state()
                if change is not None:
                    self.number += 1
                if state or change is not None:
                    for line in self._lines:
                        line.say(state, change)
                if change is not None:
                    await asyncio.sleep(max(_BREATH_S, len(self._lines) * _BREATH_OF_ONE_S))

    async def listen(self, line: Line) -> AsyncIterator[bytes]:
        """The state first, then every word until the line ends."""
        self._lines.add(line)
        try:
            yield OPENING + self._state()
            async for word in line.words():
                yield word
        finally:
            self._lines.discard(line)

    def _state(self) -> bytes:
        return b"event: state\r\ndata: %s\r\n\r\n" % msgspec.json.encode(self._pulse.beat)


@lru_cache(maxsize=8)
def _run(change: Change) -> bytes:
    """Hundreds are told the same."""
    return b"id: %d\r\nevent: run\r\ndata: %s\r\n\r\n" % (change.position, msgspec.json.encode(change))
