"""When a token or a session was last used: written down in the background, once a minute of each at most.

Best effort: whoever may come in comes in, whether that can be written down or not.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import asyncpg

from services.api.access import store
from services.api.access.store import Kept
from services.api.history.queries import Pool
from services.infra.clock import monotonic_s

_EVERY_S: Final = 60.0
_REMEMBERED: Final = 1_000


class Uses:
    def __init__(self) -> None:
        self._noted_s: OrderedDict[bytes, float] = OrderedDict()
        self._writing: set[asyncio.Task[None]] = set()

    @property
    def writing(self) -> Iterable[asyncio.Task[None]]:
        """To be ended with the process."""
        return list(self._writing)

    def note(self, pool: Pool, kind: Kept, secret: str, address: str) -> None:
        hashed, now_s = store.hash_of(secret), monotonic_s()
        if now_s - self._noted_s.get(hashed, float("-inf")) < _EVERY_S:
            return
        self._noted_s[hashed] = now_s
        self._noted_s.move_to_end(hashed)
        if len(self._noted_s) > _REMEMBERED:
            self._noted_s.popitem(last=False)
        task = asyncio.create_task(_write(pool, kind, hashed, address))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)


async def _write(pool: Pool, kind: Kept, hashed: bytes, address: str) -> None:
    try:
        await store.was_used(pool, kind, hashed, address)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        return
