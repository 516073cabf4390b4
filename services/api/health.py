"""Whether this process lives, and whether it can do its work."""

from typing import Any

import asyncpg
from litestar import Response, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from msgspec import Struct

from services.api.history import projector, queries
from services.api.history.queries import Pool
from services.log import jetstream
from services.log.append import EventLog, LogUnavailable


class Alive(Struct, frozen=True):
    status: str = "ok"


class Ready(Struct, frozen=True, rename="camel"):
    """reasons: why this process is not ready, in words; empty where it is.

    position: the last event in the history. behind: how many events of the stream are not in it yet.
    """

    status: str
    reasons: list[str]
    nats: bool
    postgres: bool
    projector: str
    position: int | None
    behind: int | None
    parked: int | None


@get("/health/live", tags=["health"], summary="The process answers")
async def live() -> Alive:
    return Alive()


@get("/health/ready", tags=["health"], summary="NATS, Postgres and the projector are as they should be")
async def ready(pool: NamedDependency[Pool], log: NamedDependency[EventLog], state: State) -> Response[Ready]:
    doing: projector.State = state.projector.state
    reasons: list[str] = []
    last = await _last(log, reasons)
    position, parked = await _position(pool, reasons)
    if doing.problem:
        reasons.append(doing.problem)
    answer = Ready(
        status="unready" if reasons else "ready",
        reasons=reasons,
        nats=last is not None,
        postgres=position is not None,
        projector=doing.phase,
        position=position,
        behind=None if last is None or position is None else max(0, last - position),
        parked=parked,
    )
    return Response(answer, status_code=503 if reasons else 200)


async def _last(log: EventLog, reasons: list[str]) -> int | None:
    try:
        return (await jetstream.stream_info(log.connection)).state.last_seq
    except LogUnavailable as away:
        reasons.append(str(away))
        return None


async def _position(pool: Pool, reasons: list[str]) -> tuple[int | None, int | None]:
    try:
        return (await queries.position(pool)).sequence, await queries.parked_count(pool)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as away:
        reasons.append(f"Postgres: {away!r}"[:300])
        return None, None


routes: list[Any] = [live, ready]
