"""The history over HTTP: pages of runs, and how many there are."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from litestar import Response, Router, get
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIResponse, OpenAPIType, Operation, Schema
from litestar.params import QueryParameter
from litestar.response import Stream

from services.api.as_of import AsOf, moment_of
from services.api.history import counts as counting
from services.api.history import export as exporting
from services.api.history import queries
from services.api.history.queries import Page
from services.api.history.run_filter import RunFilter
from services.api.history.selection import Place
from services.api.http.named import NamedRun, named
from services.api.http.runs import check_job_type
from services.api.http.wanted import Asked
from services.api.past import History
from services.api.problems import EXPORTS_BUSY, TOO_MANY_DAYS, Problem, documented, invalid
from services.infra import slots

_Id = Annotated[int | None, QueryParameter(ge=1, le=2**53 - 1, description="A run's id, from a page's Link header")]


@get("/job-run", responses=documented(400, 401, 403, 404, 503), summary="The history, newest first", tags=["runs"])
async def history(
    request: Asked,
    past: NamedDependency[History],
    wanted: NamedDependency[RunFilter],
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 10,
    before: _Id = None,
    after: _Id = None,
    as_of: AsOf = None,
) -> Response[list[NamedRun]]:
    """Ordered by run id, which never changes: whoever follows the Link header's pages sees every run once. With both
    `before` and `after`, the newest of the runs between them.

    Besides the parameters here, `param.NAME=value` selects the runs that were asked for with that param.
    """
    place = _place(before, after)
    page = await queries.page(past.pool, wanted, limit=limit, place=place, moment=await moment_of(past, as_of))
    links = _links(request, page, place)
    return Response(await named(past.pool, page.runs), headers={"Link": links} if links else {})


@get("/job-run/count", responses=documented(400, 401, 403, 404, 503), summary="How many runs there are", tags=["runs"])
async def count(
    past: NamedDependency[History], wanted: NamedDependency[RunFilter], as_of: AsOf = None
) -> queries.Count:
    """Counted to 10,000; more than that are estimated, and said to be, unless job and status alone are asked for."""
    return await queries.count(past.pool, wanted, await moment_of(past, as_of))


_MEDIA_TYPE: dict[exporting.Format, str] = {"csv": "text/csv", "jsonl": "application/x-ndjson"}


@dataclass
class _Exported(Operation):
    """Litestar can tell of one media type."""

    def __post_init__(self) -> None:
        schema = Schema(type=OpenAPIType.STRING, description="A line per run")
        content = {media_type: OpenAPIMediaType(schema=schema) for media_type in _MEDIA_TYPE.values()}
        if self.responses:
            self.responses["200"] = OpenAPIResponse(description="The runs, oldest first", content=content)


@get(
    "/job-run/export",
    operation_class=_Exported,
    responses=documented(400, 401, 403, 404, 503),
    summary="Every run that a filter selects, as CSV or JSON Lines",
    tags=["runs"],
)
async def export(
    past: NamedDependency[History],
    wanted: NamedDependency[RunFilter],
    format: Annotated[exporting.Format, QueryParameter()] = "csv",
    as_of: AsOf = None,
) -> Stream:
    """Oldest first, with the fields of a run under their names. In CSV a cell that a spreadsheet would take for a
    formula begins with an apostrophe.
    """
    moment = await moment_of(past, as_of)
    if exporting.busy():
        raise Problem(EXPORTS_BUSY, f"{exporting.AT_ONCE} exports are running: try again when one has ended.")
    chunks = await _begun(exporting.lines(past.pool, wanted, format, moment))
    headers = {"Content-Disposition": f'attachment; filename="kronik-runs.{format}"'}
    return Stream(chunks, media_type=_MEDIA_TYPE[format], headers=headers)


@get(
    "/job-run/summary",
    responses=documented(400, 401, 403, 404, 503),
    summary="Per job: runs by status, failures that nothing made good, and how long a success usually takes",
    tags=["runs"],
)
async def summary(past: NamedDependency[History], as_of: AsOf = None) -> list[counting.JobSummary]:
    """usual: median and 95th percentile of the last hundred successes."""
    return await counting.summary(past.pool, await moment_of(past, as_of))


_ZONES = {"enum": sorted(slots.zones())}


@get(
    "/job-run/days",
    responses=documented(400, 401, 403, 404, 409, 503),
    summary="Per day and job: runs by status, by when they were asked for",
    tags=["runs"],
)
async def days(
    past: NamedDependency[History],
    tz: Annotated[str, QueryParameter(description="Whose midnights part the days", schema_extra=_ZONES)] = "UTC",
    first: Annotated[
        date | None, QueryParameter(name="from", description="The first day; a month ago unless given")
    ] = None,
    last: Annotated[date | None, QueryParameter(name="to", description="The last day; today unless given")] = None,
    job_type: Annotated[str | None, QueryParameter(name="jobType", max_length=200)] = None,
    as_of: AsOf = None,
) -> list[counting.Day]:
    """Days and jobs without runs are left out; 400 days at most."""
    await check_job_type(past.pool, job_type)
    if tz not in slots.zones():
        raise invalid("tz", f"{tz!r} is not a time zone")
    last = last or past.log.clock.now().astimezone(ZoneInfo(tz)).date()
    first = first or max(date.min + timedelta(days=_MONTH), last) - timedelta(days=_MONTH)
    first, last = (min(max(day, _BEGIN), _END) for day in (first, last))
    if last - first > timedelta(days=_DAYS):
        raise invalid("to", f"from {first} to {last} are more than {_DAYS} days", TOO_MANY_DAYS)
    return await counting.days(past.pool, tz, first, last, job_type, await moment_of(past, as_of))


_DAYS, _MONTH = 400, 30
_BEGIN, _END = date(1970, 1, 1), date(9000, 1, 1)


async def _begun(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same, once the first chunk is there: what is wrong with the question is a problem, not half an answer."""
    first = await anext(chunks, b"")

    async def all_of_them() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return all_of_them()


def _place(before: int | None, after: int | None) -> Place | None:
    if before is not None:
        return Place(before, end=after)
    return Place(after, "newer") if after is not None else None


def _links(request: Asked, page: Page, place: Place | None) -> str:
    """RFC 8288: next is the page with older runs, prev the one with newer."""
    if not page.runs:
        return ""
    ends = [("next", "before", page.runs[-1].id, page.older), ("prev", "after", page.runs[0].id, page.newer)]
    turned = ("before",) if place and place.end is not None else ("before", "after")
    asked = [one for one in request.query_params.multi_items() if one[0] not in turned]
    return ", ".join(
        f'<{request.url.path}?{urlencode([*asked, (name, str(id))])}>; rel="{relation}"'
        for relation, name, id, there in ends
        if there
    )


_handlers: list[Any] = [history, count, summary, days, export]
history_router = Router("/", route_handlers=_handlers)
