"""Whether this process lives, and whether it can do its work."""

import asyncio
from typing import Annotated, Any, Final, Literal

import asyncpg
from litestar import Response, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter
from msgspec import Struct

from services.api.history import projector, queries
from services.api.history.queries import Pool
from services.api.problems import documented
from services.log import jetstream
from services.log.append import EventLog, LogUnavailable

_WITHIN_S: Final = 3.0


class Alive(Struct, frozen=True):
    status: str = "ok"


class Ready(Struct, frozen=True, rename="camel"):
    """status: ready; degraded where this process serves and others don't do their part; unready where it can't serve.

    reasons: what is wrong, in words; empty where nothing is.
    position: the last event in the history. behind: how many events of the stream are not in it yet.
    """

    status: Literal["ready", "degraded", "unready"]
    reasons: list[str]
    nats: bool
    postgres: bool
    projector: str
    position: int | None
    behind: int | None
    parked: int | None


Everything = Annotated[
    bool, QueryParameter(description="true: 503 as well where others don't do their part, which is `degraded`")
]


_UNREADY = ResponseSpec(
    Ready, description="It can't serve, or is asked for everything; `reasons` say why", generate_examples=False
)


@get("/health/live", tags=["health"], summary="The process answers")
async def live() -> Alive:
    return Alive()


@get(
    "/health/ready",
    tags=["health"],
    summary="Whether this process can serve, and the others do their part",
    responses=documented(400) | {503: _UNREADY},
)
async def ready(
    pool: NamedDependency[Pool], log: NamedDependency[EventLog], state: State, everything: Everything = False
) -> Response[Ready]:
    """A load balancer asks as it is: an API that serves is not taken away because a runner is. A monitor asks with
    `everything=true`.
    """
    doing: projector.State = state.projector.state
    reasons: list[str] = []
    last = await _last(log, reasons)
    position, parked = await _position(pool, reasons)
    if doing.problem:
        reasons.append(doing.problem)
    others: list[str] = state.surroundings.troubles()
    answer = Ready(
        status="unready" if reasons else "degraded" if others else "ready",
        reasons=[*reasons, *others],
        nats=last is not None,
        postgres=position is not None,
        projector=doing.phase,
        position=position,
        behind=None if last is None or position is None else max(0, last - position),
        parked=parked,
    )
    return Response(answer, status_code=503 if reasons or (everything and others) else 200)


async def _last(log: EventLog, reasons: list[str]) -> int | None:
    try:
        stream = await jetstream.stream_info(log.connection)
    except LogUnavailable as away:
        reasons.append(str(away))
        return None
    if stream.full:
        reasons.append("the stream is at its limit: nothing more can be stored; raise max_bytes or max_msgs of JOBS")
    return stream.state.last_seq


async def _position(pool: Pool, reasons: list[str]) -> tuple[int | None, int | None]:
    try:
        async with asyncio.timeout(_WITHIN_S):
            await queries.readable(pool)
            return (await queries.position(pool)).sequence, await queries.parked_count(pool)
    except TimeoutError:
        reasons.append(f"Postgres: the history could not be read within {_WITHIN_S:g} s; is history.run locked?")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as away:
        reasons.append(f"Postgres: {away!r}"[:300])
    return None, None


routes: list[Any] = [live, ready]
