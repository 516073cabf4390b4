"""The API's connections to Postgres: a question is answered, or given up, within a time that a client waits."""

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeVar

import asyncpg

from services.infra.clock import monotonic_s

if TYPE_CHECKING:
    _Pool = asyncpg.Pool[asyncpg.Record]
else:
    _Pool = asyncpg.Pool

T = TypeVar("T")

_STATEMENT_S: Final = 5
_COMMAND_S: Final = 8
_WITHIN_S: Final = 9.0
"""For all the questions of one request that Postgres is slow to answer."""
_AGAIN_WITHIN_S: Final = 0.5
_spent_s: ContextVar[float] = ContextVar("spent_s", default=0.0)


SETTINGS: Final = {
    "plan_cache_mode": "force_custom_plan",
    "random_page_cost": "1.1",  # the indexes are in memory, or on an SSD: a walk over the table is never cheaper
    "statement_timeout": str(_STATEMENT_S * 1000),
    "application_name": "kronik-api",
    "timezone": "UTC",
}
"""Of every connection."""


class BoundedPool(_Pool):
    """asyncpg bounds each step by itself; where Postgres hangs the steps of one question (a free connection, the
    question, asking to cancel it, giving the connection back) add up to twenty seconds."""

    __slots__ = ()

    async def fetch(self, *args: Any, **how: Any) -> Any:
        return await _in_time(super().fetch(*args, **how))

    async def fetchrow(self, *args: Any, **how: Any) -> Any:
        return await _in_time(super().fetchrow(*args, **how))

    async def fetchval(self, *args: Any, **how: Any) -> Any:
        return await _in_time(super().fetchval(*args, **how))

    async def execute(self, *args: Any, **how: Any) -> Any:
        return await _in_time(super().execute(*args, **how))


_cleaning_up: set["asyncio.Future[Any]"] = set()


async def _in_time(question: Coroutine[Any, Any, Any]) -> Any:
    """Raises TimeoutError at the time, and leaves the cleaning up to the question's own task, which may take longer."""
    task = asyncio.ensure_future(question)
    _cleaning_up.add(task)
    task.add_done_callback(_seen)
    try:
        return await in_time(task)
    except (TimeoutError, asyncio.CancelledError):
        task.cancel()
        raise


async def in_time(answer: asyncio.Future[T]) -> T:
    """What comes of it, or TimeoutError at the time; the question goes on then, for others may wait for it too."""
    begun_s, spent_s = monotonic_s(), _spent_s.get()
    done, _ = await asyncio.wait({answer}, timeout=max(_WITHIN_S - spent_s, _AGAIN_WITHIN_S))
    took_s = monotonic_s() - begun_s
    _spent_s.set(spent_s + took_s if took_s > _AGAIN_WITHIN_S else 0.0)
    if not done:
        raise TimeoutError
    return answer.result()


def _seen(task: "asyncio.Future[Any]") -> None:
    _cleaning_up.discard(task)
    if not task.cancelled():
        task.exception()


async def _as_it_is(_: object) -> None:
    """A connection is given back as it was taken: nothing here sets more than a transaction, which asyncpg ends.

    Its own way is a question to Postgres after each of ours, which takes as long as most of them.
    """


def create_pool(database_url: str) -> BoundedPool:
    """Connects at the first query, not before. Every call is planned by its arguments.

    Postgres ends a statement before the client gives up: then it is known that it is the question that takes long.
    """
    return BoundedPool(
        database_url,
        min_size=0,
        max_size=10,
        max_queries=50_000,
        max_inactive_connection_lifetime=300.0,
        loop=None,
        connection_class=asyncpg.Connection,
        record_class=asyncpg.Record,
        timeout=5,
        command_timeout=_COMMAND_S,
        reset=_as_it_is,
        server_settings=SETTINGS,
    )
