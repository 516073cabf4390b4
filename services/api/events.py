"""What changes, as it changes: server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.response import ServerSentEvent, ServerSentEventMessage

from services.api.access.gate import admitted
from services.api.changes import Changes
from services.api.problems import documented


@get(
    "/events",
    tags=["runs"],
    responses=documented(401, 403),
    summary="Server-sent events: `run`, with the position of the history and the ids of the runs that changed",
)
async def events(
    request: Request[Any, Any, Any], changes: NamedDependency[Changes], stop: NamedDependency[asyncio.Event]
) -> ServerSentEvent:
    told = _messages(request, changes, stop)
    return ServerSentEvent(told, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


async def _messages(
    request: Request[Any, Any, Any], changes: Changes, stop: asyncio.Event
) -> AsyncIterator[ServerSentEventMessage]:
    """`runs` is null where too many changed to be named. A comment every few seconds keeps proxies from hanging up."""
    yield ServerSentEventMessage(comment="listening", retry=1000, data=None)
    async with admitted(request, stop) as ended:
        async for change in changes.follow(ended):
            if change is None:
                yield ServerSentEventMessage(comment="nothing new", data=None)
            else:
                data = msgspec.json.encode(change).decode()
                yield ServerSentEventMessage(event="run", id=str(change.position), data=data)
