"""What those who listen are told of the changes of the history."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from services.api.changes import Changes
from services.api.history.projector import Change
from services.api.pulse import FIRST
from services.api.told import Line, Told
from services.infra.lifecycle import end


class _Pulse:
    beat = FIRST


@asynccontextmanager
async def _telling() -> AsyncIterator[tuple[Changes, Told]]:
    changes = Changes("")
    told = Told(changes, _Pulse())  # type: ignore[arg-type]
    task = asyncio.create_task(told.run())
    await asyncio.sleep(0)
    yield changes, told
    await end([task])


def _run(position: int, *runs: int) -> bytes:
    data = msgspec.json.encode({"position": position, "runs": runs})
    return b"id: %d\r\nevent: run\r\ndata: %s\r\n\r\n" % (position, data)


async def test_who_listens_ends_at_once_when_it_is_told_to() -> None:
    line = Line()
    following = asyncio.create_task(_all(line))
    await asyncio.sleep(0)
    line.end()
    async with asyncio.timeout(10):
        assert await following == []


async def _all(line: Line) -> list[bytes]:
    return [word async for word in line.words()]


async def test_everybody_is_told_in_one_moment_and_who_is_slow_hears_of_all_as_one_change() -> None:
    async with _telling() as (changes, told), asyncio.timeout(10):
        quick, slow = Line(), Line()
        hears, sleeps = told.listen(quick), told.listen(slow)
        await anext(hears), await anext(sleeps)
        heard = []
        for position in (3, 6):
            changes.tell(Change(position, (position,)))
            while b"id: " not in (word := await anext(hears)):
                pass
            heard.append(word[word.index(b"id: ") :])
        assert heard == [_run(3, 3), _run(6, 6)]
        assert told.number == 2
        assert (await anext(sleeps)).endswith(_run(6, 3, 6))
        await hears.aclose(), await sleeps.aclose()
