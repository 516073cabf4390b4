"""News of the read model: one LISTEN per process, told on to whoever waits."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import msgspec

from services.api.history import queries, tables
from services.api.history.projector import CHANNEL, NAMED_RUNS, Change
from services.api.history.queries import Pool
from services.infra import logs
from services.infra.clock import monotonic_s
from services.infra.lifecycle import happens

log = logs.get()

_AGAIN_S = 1.0
_BULK = "bulk"
_LOOK_S = 0.1
_changes = msgspec.json.Decoder(Change)


class Waiter:
    """One who waits: what has changed since it last looked, as one change however many there were."""

    def __init__(self) -> None:
        self._news: Change | None = None
        self._arrived = asyncio.Event()

    def tell(self, change: Change) -> None:
        self._news = both(self._news, change)
        self._arrived.set()

    async def next(self, within_s: float) -> Change | None:
        """What has changed; None where nothing did within this time."""
        if not await happens(self._arrived, within_s):
            return None
        self._arrived.clear()
        news, self._news = self._news, None
        return news


class Changes:
    """Tells everybody in this process what was projected, by whichever process. position: the last that was told of;
    promised: set when somebody has asked for a bulk."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._waiters: set[Waiter] = set()
        self.position = 0
        self.promised = asyncio.Event()

    @contextmanager
    def waiting(self) -> Iterator[Waiter]:
        """A waiter, told of everything until the block ends."""
        waiter = Waiter()
        self._waiters.add(waiter)
        try:
            yield waiter
        finally:
            self._waiters.discard(waiter)

    async def reached(self, pool: Pool, sequence: int, within_s: float = 1.0) -> bool:
        """Wait until the read model holds the event at this sequence; False where it still does not."""
        give_up = monotonic_s() + within_s
        with self.waiting() as waiter:
            while (await queries.position(pool)).sequence < sequence:
                if monotonic_s() > give_up:
                    return False
                await waiter.next(_LOOK_S)
        return True

    async def run(self) -> None:
        """Listen until cancelled, through every absence of Postgres."""
        while True:
            try:
                await self._listen()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
                log.warning("listening_lost", error=repr(error)[:300])
            await asyncio.sleep(_AGAIN_S)

    async def _listen(self) -> None:
        connection = await tables.connect(self._dsn)
        ended = asyncio.Event()
        connection.add_termination_listener(lambda _: ended.set())
        try:
            await connection.add_listener(CHANNEL, self._on_notify)
            await connection.add_listener(_BULK, lambda *_: self.promised.set())
            self.tell(Change(0))  # what happened before is not known
            await ended.wait()
        finally:
            connection.terminate()

    def stir(self) -> None:
        """No run has changed, and whoever waits looks again all the same."""
        self.tell(Change(0, ()))

    def _on_notify(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        self.tell(_changes.decode(str(payload)))

    def tell(self, change: Change) -> None:
        """Everybody who waits in this process."""
        self.position = change.position or self.position
        for waiter in self._waiters:
            waiter.tell(change)


def both(one: Change | None, other: Change) -> Change:
    """As one change."""
    if one is None:
        return other
    position = max(one.position, other.position)
    if one.runs is None or other.runs is None:
        return Change(position)
    runs = {*one.runs, *other.runs}
    return Change(position, tuple(sorted(runs)) if len(runs) <= NAMED_RUNS else None)
