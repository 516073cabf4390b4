"""Who is behind the secrets that are shown in one moment: one question for all of them.

Nothing is kept. What is asked for is asked after it was shown, so who was revoked before is not let in.
"""

import asyncio
from contextvars import Context

from msgspec import Struct

from services.api.access import store
from services.api.access.store import Identity, Kept
from services.api.history.queries import Pool
from services.api.pool import in_time


class _Question(Struct, frozen=True, eq=False):
    hashes: set[bytes]
    answer: asyncio.Task[dict[bytes, Identity]]


class Lookups:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._next: dict[Kept, _Question] = {}
        self._asked: set[asyncio.Task[dict[bytes, Identity]]] = set()

    async def identity(self, kind: Kept, secret: str) -> Identity | None:
        """Whom it lets in. Raises what the pool raises."""
        question = self._next.get(kind) or self._begin(kind)
        hashed = store.hash_of(secret)
        question.hashes.add(hashed)
        return (await in_time(question.answer)).get(hashed)

    def _begin(self, kind: Kept) -> _Question:
        """Put at the next turn of the event loop: what many browsers ask at once comes in one turn."""
        answer = asyncio.get_running_loop().create_task(self._ask(kind), context=Context())
        self._asked.add(answer)
        answer.add_done_callback(self._ended)
        self._next[kind] = question = _Question(set(), answer)
        return question

    async def _ask(self, kind: Kept) -> dict[bytes, Identity]:
        return await store.identities(self._pool, kind, self._next.pop(kind).hashes)

    def _ended(self, answer: "asyncio.Task[dict[bytes, Identity]]") -> None:
        self._asked.discard(answer)
        if not answer.cancelled():
            answer.exception()  # whoever asked may have gone
