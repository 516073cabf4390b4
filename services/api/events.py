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
from services.api.pulse import Pulse
from services.infra.clock import monotonic_s

_STATE_S = 1.5
_BREATH_S = 0.2
"""What changes so soon after the last word is told together: hundreds listen, and hundreds of runs a second may end."""
_LOOK_S = 0.5
"""How long a trouble may wait to be told, or its end."""


@get(
    "/events",
    tags=["runs"],
    responses=documented(401, 403),
    summary="Server-sent events: `run`, with the position of the history and the ids of the runs that changed; "
    "`state`, every second or two: what is out of reach, and where the history stands",
)
async def events(
    request: Request[Any, Any, Any],
    changes: NamedDependency[Changes],
    pulse: NamedDependency[Pulse],
    stop: NamedDependency[asyncio.Event],
) -> ServerSentEvent:
    told = _messages(request, changes, pulse, stop)
    return ServerSentEvent(told, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


async def _messages(
    request: Request[Any, Any, Any], changes: Changes, pulse: Pulse, stop: asyncio.Event
) -> AsyncIterator[ServerSentEventMessage]:
    """`runs` is null where too many changed to be named. The state also keeps proxies from hanging up."""
    yield ServerSentEventMessage(comment="listening", retry=1000, data=None)
    yield _state(pulse)
    told, trouble = monotonic_s(), pulse.beat.trouble
    async with admitted(request, stop) as ended:
        async for change in changes.follow(ended, beat_s=_LOOK_S):
            if monotonic_s() - told >= _STATE_S or pulse.beat.trouble != trouble:
                yield _state(pulse)
                told, trouble = monotonic_s(), pulse.beat.trouble
            if change is not None:
                data = msgspec.json.encode(change).decode()
                yield ServerSentEventMessage(event="run", id=str(change.position), data=data)
                await asyncio.sleep(_BREATH_S)


def _state(pulse: Pulse) -> ServerSentEventMessage:
    return ServerSentEventMessage(event="state", data=msgspec.json.encode(pulse.beat).decode())
