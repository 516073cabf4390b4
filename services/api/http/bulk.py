"""Work on many runs over HTTP: run again or cancel what a filter selects, watch it, stop it."""

from functools import partial
from typing import Annotated, Any

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import PathParameter, QueryParameter
from litestar.status_codes import HTTP_200_OK, HTTP_202_ACCEPTED

from services.api.access.gate import needs
from services.api.commands import bulk
from services.api.commands.bulk import Bulk, BulkPlan, BulkRun, Command, Outcome
from services.api.history.queries import Pool
from services.api.history.run_filter import RunFilter
from services.api.http.once import Key, once
from services.api.http.order import Order
from services.api.http.wanted import Asked
from services.api.problems import documented

Id = Annotated[str, PathParameter(max_length=64, description="The correlation id of the work")]

_PLANNED = {200: ResponseSpec(BulkPlan, description="Dry: what would be done", generate_examples=False)}
_ERRORS = documented(400, 401, 403, 404, 409, 503)


_begun = partial(post, guards=[needs("operator")], status_code=HTTP_202_ACCEPTED, responses=_PLANNED | _ERRORS)


@_begun("/rerun", summary="Run every run again that a filter selects")
async def rerun_many(wanted: NamedDependency[RunFilter], order: NamedDependency[Order]) -> Response[Bulk]:
    """The runs that are meant are those that the filter selects now. Each of their reruns has the work's id as its
    correlation id. What is left as it is, is left for a reason: it has not finished, its trigger could not be read,
    its job is retired or not known, it has succeeded since, or it was run again already.
    """
    return await work_on(order, "rerun", wanted)


@_begun("/cancel", summary="Ask every run to stop that a filter selects")
async def cancel_many(wanted: NamedDependency[RunFilter], order: NamedDependency[Order]) -> Response[Bulk]:
    """The runs that are meant are those that the filter selects now."""
    return await work_on(order, "cancel", wanted)


@get("/", responses=documented(400, 401, 403, 503), summary="Work on many runs, newest first")
async def newest(pool: NamedDependency[Pool], limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20) -> list[Bulk]:
    return await bulk.newest(pool, limit)


@get("/{id:str}", responses=documented(400, 401, 403, 404, 503), summary="How far work on many runs has come")
async def one(id: Id, pool: NamedDependency[Pool]) -> Bulk:
    return await bulk.find(pool, id)


@get("/{id:str}/run", responses=documented(400, 401, 403, 404, 503), summary="What became of each of its runs")
async def runs(
    id: Id,
    pool: NamedDependency[Pool],
    after: Annotated[int, QueryParameter(ge=0, le=2**53 - 1, description="Only runs with a larger id")] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
    outcome: Annotated[Outcome | None, QueryParameter()] = None,
) -> list[BulkRun]:
    """By id; the next page begins after the last one's."""
    return await bulk.runs(pool, id, after, outcome, limit)


@post(
    "/{id:str}/stop",
    guards=[needs("operator")],
    status_code=HTTP_200_OK,
    responses=_ERRORS,
    summary="Leave the rest of its runs as they are",
)
async def stop(id: Id, request: Asked, pool: NamedDependency[Pool], idempotency_key: Key = None) -> Response[Bulk]:
    return await once(pool, request, idempotency_key, lambda: bulk.stop(pool, request.user, id))


async def work_on(order: Order, command: Command, wanted: RunFilter) -> Response[Any]:
    """It goes on in the background; where to look."""
    pool = order.past.pool
    if order.dry:
        return Response(await bulk.plan(pool, command, wanted), status_code=HTTP_200_OK)
    work = await bulk.apply(pool, order.by, command, wanted, order.key)
    return Response(work, status_code=HTTP_202_ACCEPTED, headers={"Location": f"/api/admin/bulk/{work.id}"})


_handlers: list[Any] = [rerun_many, cancel_many, newest, one, runs, stop]
bulk_router = Router("/bulk", route_handlers=_handlers, tags=["bulk"])
