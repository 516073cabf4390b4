"""What changes, as it changes: server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.response import Stream

from services.api.access.gate import admitted
from services.api.problems import documented
from services.api.told import Line, Told


@get(
    "/events",
    tags=["runs"],
    responses=documented(401, 403),
    summary="Server-sent events: `run`, with the position of the history and the ids of the runs that changed; "
    "`state`, every second or two: what is out of reach, and where the history stands",
)
async def events(
    request: Request[Any, Any, Any], told: NamedDependency[Told], stop: NamedDependency[asyncio.Event]
) -> Stream:
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Stream(_words(request, told, stop), media_type="text/event-stream", headers=headers)


async def _words(request: Request[Any, Any, Any], told: Told, stop: asyncio.Event) -> AsyncIterator[bytes]:
    """`runs` is null where too many changed to be named. The state also keeps proxies from hanging up."""
    line = Line()
    async with admitted(request, stop, line.end):
        async for word in told.listen(line):
            yield word
