"""The history over HTTP: pages of runs, and how many there are."""

from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Annotated, Any, TypeAlias
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from kronik.run import Phase, Status
from litestar import Request, Response, Router, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.response import Stream
from msgspec import Meta

from services.api.access.store import Identity
from services.api.as_of import AsOf, moment_of
from services.api.history import counts as counting
from services.api.history import export as exporting
from services.api.history import queries, run_filter
from services.api.history.queries import Page
from services.api.history.run_filter import InvalidFilter, RunFilter
from services.api.history.selection import Place
from services.api.http.named import NamedRun, named
from services.api.http.runs import check_job_type
from services.api.past import History
from services.api.problems import EXPORTS_BUSY, INVALID, FieldError, Problem, documented, invalid
from services.infra import slots

Asked: TypeAlias = Request[Identity, Any, Any]

# Read by `run_filter.read`; declared so that OpenAPI tells of them.
JobTypes = Annotated[
    list[str] | None,
    QueryParameter(name="jobType", description="Several: any of them. With ! before it: not that one"),
]
Ids = Annotated[
    list[Annotated[int, Meta(ge=1, le=2**53 - 1)]] | None, QueryParameter(name="id", description="Several: these runs")
]
Statuses = Annotated[list[Status] | None, QueryParameter(name="status", description="Several: any of them")]
Phases = Annotated[list[Phase] | None, QueryParameter(name="phase", description="Several: any of them")]
Whos = Annotated[
    list[str] | None,
    QueryParameter(name="triggeredBy", description="CRON, ADMIN:<userId> or SERVICE:<name>. Several: any of them"),
]
From = Annotated[str | None, QueryParameter(name="from", description="Asked for at this instant or later")]
To = Annotated[str | None, QueryParameter(name="to", description="Asked for before this instant")]
RerunOf = Annotated[str | None, QueryParameter(name="rerunOf", description="Reruns of this run")]
CorrelationId = Annotated[str | None, QueryParameter(name="correlationId", description="Of this correlation id")]
Open = Annotated[str | None, QueryParameter(name="open", description="true: not finished; false: finished")]
Unresolved = Annotated[
    str | None,
    QueryParameter(
        name="unresolved",
        description="true: failed, not cancelled, and no later run of the same job with the same params succeeded",
    ),
]
Text = Annotated[str | None, QueryParameter(name="text", description="In the error, in upper or lower case")]

_Id = Annotated[int | None, QueryParameter(ge=1, le=2**53 - 1, description="A run's id, from a page's Link header")]


async def filter_of(request: Asked, past: History) -> RunFilter:
    """The filter that the request's query says. Raises Problem that names every part which is wrong."""
    try:
        wanted = run_filter.read(request.query_params.multi_items())
    except InvalidFilter as refused:
        errors = [FieldError(part.field, part.problem, part.allowed) for part in refused.parts]
        raise Problem(INVALID, str(refused), errors) from refused
    for job_type in (*wanted.job_types, *wanted.not_job_types):
        await check_job_type(past.pool, job_type)
    return wanted


@get("/job-run", responses=documented(400, 401, 403, 404, 503), summary="The history, newest first", tags=["runs"])
async def history(
    request: Asked,
    past: NamedDependency[History],
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 10,
    before: _Id = None,
    after: _Id = None,
    as_of: AsOf = None,
    ids: Ids = None,
    job_type: JobTypes = None,
    status: Statuses = None,
    phase: Phases = None,
    triggered_by: Whos = None,
    since: From = None,
    until: To = None,
    rerun_of: RerunOf = None,
    correlation_id: CorrelationId = None,
    is_open: Open = None,
    unresolved: Unresolved = None,
    text: Text = None,
) -> Response[list[NamedRun]]:
    """Ordered by run id, which never changes: whoever follows the Link header's pages sees every run once.

    Besides the parameters here, `param.NAME=value` selects the runs that were asked for with that param.
    """
    place = _place(before, after)
    wanted = await filter_of(request, past)
    page = await queries.page(past.pool, wanted, limit=limit, place=place, moment=await moment_of(past, as_of))
    links = _links(request, page)
    return Response(await named(past.pool, page.runs), headers={"Link": links} if links else {})


@get("/job-run/count", responses=documented(400, 401, 403, 404, 503), summary="How many runs there are", tags=["runs"])
async def count(
    request: Asked,
    past: NamedDependency[History],
    as_of: AsOf = None,
    ids: Ids = None,
    job_type: JobTypes = None,
    status: Statuses = None,
    phase: Phases = None,
    triggered_by: Whos = None,
    since: From = None,
    until: To = None,
    rerun_of: RerunOf = None,
    correlation_id: CorrelationId = None,
    is_open: Open = None,
    unresolved: Unresolved = None,
    text: Text = None,
) -> queries.Count:
    """Counted to 10,000; more than that are estimated, and said to be, unless job and status alone are asked for."""
    wanted = await filter_of(request, past)
    return await queries.count(past.pool, wanted, await moment_of(past, as_of))


@get(
    "/job-run/export",
    responses=documented(400, 401, 403, 404, 503),
    summary="Every run that a filter selects, as CSV or JSON Lines",
    tags=["runs"],
)
async def export(
    request: Asked,
    past: NamedDependency[History],
    format: Annotated[exporting.Format, QueryParameter()] = "csv",
    as_of: AsOf = None,
    ids: Ids = None,
    job_type: JobTypes = None,
    status: Statuses = None,
    phase: Phases = None,
    triggered_by: Whos = None,
    since: From = None,
    until: To = None,
    rerun_of: RerunOf = None,
    correlation_id: CorrelationId = None,
    is_open: Open = None,
    unresolved: Unresolved = None,
    text: Text = None,
) -> Stream:
    """Oldest first, with the fields of a run under their names. In CSV a cell that a spreadsheet would take for a
    formula begins with an apostrophe.
    """
    wanted, moment = await filter_of(request, past), await moment_of(past, as_of)
    if exporting.busy():
        raise Problem(EXPORTS_BUSY, f"{exporting.AT_ONCE} exports are running: try again when one has ended.")
    chunks = await _begun(exporting.lines(past.pool, wanted, format, moment))
    headers = {"Content-Disposition": f'attachment; filename="kronik-runs.{format}"'}
    return Stream(chunks, media_type=_MEDIA_TYPE[format], headers=headers)


@get(
    "/job-run/summary",
    responses=documented(400, 401, 403, 503),
    summary="Per job: runs by status, failures that nothing made good, and how long a success usually takes",
    tags=["runs"],
)
async def summary(past: NamedDependency[History], as_of: AsOf = None) -> list[counting.JobSummary]:
    """usual: median and 95th percentile of the last hundred successes."""
    return await counting.summary(past.pool, await moment_of(past, as_of))


@get(
    "/job-run/days",
    responses=documented(400, 401, 403, 404, 503),
    summary="Per day and job: runs by status, by when they were asked for",
    tags=["runs"],
)
async def days(
    past: NamedDependency[History],
    tz: Annotated[str, QueryParameter(max_length=64, description="Whose midnights part the days")] = "UTC",
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
    if (
        not timedelta(0) <= last - first <= timedelta(days=_DAYS)
        or not _YEARS[0] <= first.year <= last.year <= _YEARS[1]
    ):
        raise invalid("to", f"from {first} to {last} are not 1 to {_DAYS} days", allowed="a day like 2026-11-27")
    return await counting.days(past.pool, tz, first, last, job_type, await moment_of(past, as_of))


_DAYS, _MONTH, _YEARS = 400, 30, (1970, 9000)
_MEDIA_TYPE: dict[exporting.Format, str] = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}


async def _begun(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same, once the first chunk is there: what is wrong with the question is a problem, not half an answer."""
    first = await anext(chunks, b"")

    async def all_of_them() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return all_of_them()


def _place(before: int | None, after: int | None) -> Place | None:
    if before is not None and after is not None:
        raise invalid("after", "given together with before, which is a place of its own")
    if after is not None:
        return Place(after, "newer")
    return Place(before) if before is not None else None


def _links(request: Asked, page: Page) -> str:
    """RFC 8288: next is the page with older runs, prev the one with newer."""
    if not page.runs:
        return ""
    ends = [("next", "before", page.runs[-1].id, page.older), ("prev", "after", page.runs[0].id, page.newer)]
    asked = [one for one in request.query_params.multi_items() if one[0] not in ("before", "after")]
    return ", ".join(
        f'<{request.url.path}?{urlencode([*asked, (name, str(id))])}>; rel="{relation}"'
        for relation, name, id, there in ends
        if there
    )


_handlers: list[Any] = [history, count, summary, days, export]
history_router = Router("/", route_handlers=_handlers)
