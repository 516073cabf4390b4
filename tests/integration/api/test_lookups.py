"""Who comes in while many do."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.api.access import store
from services.api.access.lookups import Lookups
from services.api.pool import SETTINGS, BoundedPool
from services.api.pool import create_pool as create
from services.infra.lifecycle import end
from tests.integration.api.conftest import Connection


class SlowWire:
    """A pool whose answers are on their way until they may come. asked: how many questions there were."""

    def __init__(self, pool: BoundedPool) -> None:
        self._pool = pool
        self.asked = 0
        self.arrived = asyncio.Event()
        self.answered = asyncio.Event()

    async def fetch(self, *args: Any) -> Any:
        self.asked += 1
        rows = await self._pool.fetch(*args)
        self.answered.set()
        await self.arrived.wait()
        return rows


@pytest.fixture
async def wire(database_url: str) -> AsyncIterator[SlowWire]:
    async with create(database_url) as pool:
        yield SlowWire(pool)


async def test_a_hundred_in_one_moment_are_one_question_and_each_is_who_it_is(db: Connection, wire: SlowWire) -> None:
    tokens = {}
    for number in range(10):
        account = await store.create_account(db, f"one of ten, {number}", "viewer")
        tokens[await store.create_token(db, account, "t")] = account
    wire.arrived.set()
    lookups = Lookups(wire)  # type: ignore[arg-type]
    shown = [*tokens, "kronik_nobody's"] * 10
    found = await asyncio.gather(*(lookups.identity("token", one) for one in shown))
    assert [one and one.user_id for one in found] == [tokens.get(one) for one in shown]
    assert wire.asked == 1


async def test_who_was_revoked_is_not_let_in_by_an_answer_that_was_on_its_way(db: Connection, wire: SlowWire) -> None:
    account = await store.ensure_admin(db)
    token = await store.create_token(db, account, "t")
    lookups = Lookups(wire)  # type: ignore[arg-type]
    before = asyncio.create_task(lookups.identity("token", token))
    await wire.answered.wait()
    await store.revoke_tokens(db, account, "t")
    after = asyncio.create_task(lookups.identity("token", token))
    await asyncio.sleep(0)
    wire.arrived.set()
    assert await before is not None
    assert await after is None


async def test_who_goes_away_takes_nobodys_answer_along(db: Connection, wire: SlowWire) -> None:
    token = await store.create_token(db, await store.ensure_admin(db), "t")
    lookups = Lookups(wire)  # type: ignore[arg-type]
    one, other = (asyncio.create_task(lookups.identity("token", token)) for _ in range(2))
    await wire.answered.wait()
    await end([one])
    wire.arrived.set()
    assert await other is not None


async def test_a_connection_that_was_given_back_is_as_it_was(database_url: str, db: Connection) -> None:
    async with create(database_url) as pool:
        async with pool.acquire() as connection, connection.transaction(readonly=True):
            await connection.execute("SET LOCAL statement_timeout = 1")
        assert await pool.fetchval("SHOW statement_timeout") == "5s"
        await pool.execute("CREATE TABLE public.as_before (n int)")
    assert SETTINGS["statement_timeout"] == "5000"
