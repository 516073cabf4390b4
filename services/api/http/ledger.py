"""What did not become a run, and why, over HTTP: slots that were skipped, messages that can't be read."""

from typing import Annotated, Any

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from services.api.as_of import AsOf, moment_of
from services.api.history import queries
from services.api.history.projections import Parked
from services.api.history.queries import Slot
from services.api.http.runs import check_job_type
from services.api.past import History
from services.api.problems import documented

Limit = Annotated[int, QueryParameter(ge=1, le=100)]


@get("/slot", responses=documented(400, 401, 403, 404, 503), summary="Due slots that did not become a run, and why")
async def slots(
    past: NamedDependency[History],
    job_type: Annotated[str | None, QueryParameter(name="jobType", max_length=200)] = None,
    limit: Limit = 10,
    as_of: AsOf = None,
) -> list[Slot]:
    await check_job_type(past.pool, job_type)
    return await queries.slots(past.pool, job_type, limit, await moment_of(past, as_of))


@get("/parked", responses=documented(400, 401, 403, 404, 503), summary="Messages that can't be read, and why")
async def parked(past: NamedDependency[History], limit: Limit = 10, as_of: AsOf = None) -> list[Parked]:
    return await queries.parked(past.pool, limit, await moment_of(past, as_of))


_handlers: list[Any] = [slots, parked]
ledger_router = Router("/", route_handlers=_handlers, tags=["jobs"])
