"""Rebuild and verify over HTTP, for admins: begin, watch, swap, cancel."""

from typing import Annotated, Any

from litestar import Controller, Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter
from litestar.status_codes import HTTP_200_OK
from msgspec import Struct

from services.api.access.gate import needs
from services.api.access.store import Identity
from services.api.history import work
from services.api.history.queries import Pool
from services.api.history.work import Kind, Work, WorkRunning, Workshop
from services.api.http.once import Key, once
from services.api.problems import NOT_RUNNING, REPLAY_RUNNING, Problem, documented

Asked = Request[Identity, Any, Any]
Which = Annotated[Kind, PathParameter(description="rebuild: make the history anew; verify: compare it with the stream")]


class BeginRequest(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """ask: before a rebuild swaps, wait for a word, with the difference to look at."""

    ask: bool = False


class ReplayController(Controller):
    path = "/history"
    tags = ("history",)
    guards = (needs("admin"),)

    @post(
        "/{kind:str}",
        status_code=HTTP_200_OK,
        responses=documented(400, 401, 403, 404, 409, 413, 503),
        summary="Begin a rebuild or a verify",
    )
    async def begin(
        self,
        kind: Which,
        request: Asked,
        pool: NamedDependency[Pool],
        workshop: NamedDependency[Workshop],
        identity: NamedDependency[Identity],
        data: JSONBody[BeginRequest | None] = None,
        idempotency_key: Key = None,
    ) -> Response[Work]:
        """It goes on by itself: look at it, and cancel it, with the other calls. No job runs because of it."""

        async def begun() -> Work:
            try:
                await workshop.begin(pool, kind, identity.by, ask=bool(data and data.ask))
            except WorkRunning as running:
                raise Problem(REPLAY_RUNNING, f"{running}.") from running
            return await _look(pool, kind)

        return await once(pool, request, idempotency_key, begun)

    @get(
        "/{kind:str}",
        responses=documented(400, 401, 403, 404, 503),
        summary="The rebuild or verify that runs, or the last one",
    )
    async def look(self, kind: Which, pool: NamedDependency[Pool]) -> Work:
        return await _look(pool, kind)

    @post(
        "/rebuild/swap",
        status_code=HTTP_200_OK,
        responses=documented(400, 401, 403, 409, 503),
        summary="Let a rebuild that waits put its tables in the place of those that are served",
    )
    async def swap(self, request: Asked, pool: NamedDependency[Pool], idempotency_key: Key = None) -> Response[Work]:
        async def told() -> Work:
            await _wish(pool, "rebuild", "swap")
            return await _look(pool, "rebuild")

        return await once(pool, request, idempotency_key, told)

    @delete(
        "/{kind:str}",
        status_code=HTTP_200_OK,
        responses=documented(400, 401, 403, 404, 409, 503),
        summary="Cancel a rebuild or verify; what is served stays as it is",
    )
    async def cancel(self, kind: Which, pool: NamedDependency[Pool]) -> Work:
        await _wish(pool, kind, "cancel")
        return await _look(pool, kind)


async def _look(pool: Pool, kind: Kind) -> Work:
    found = await work.look(pool, kind)
    if found is None:
        raise Problem(NOT_RUNNING, f"There has been no {kind} yet.")
    return found


async def _wish(pool: Pool, kind: Kind, wished: Any) -> None:
    if not await work.wish(pool, kind, wished):
        raise Problem(NOT_RUNNING, f"No {kind} is running.")
