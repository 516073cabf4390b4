"""Who follows the changes of the history."""

import asyncio

from services.api.changes import Changes


async def test_it_ends_at_once_when_it_is_told_to_and_not_at_its_next_beat() -> None:
    stop = asyncio.Event()

    async def follow() -> list[object]:
        return [change async for change in Changes("").follow(stop, beat_s=60)]

    following = asyncio.create_task(follow())
    await asyncio.sleep(0)
    stop.set()
    async with asyncio.timeout(10):
        assert await following == []
