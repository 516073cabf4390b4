"""Which runs a request means: the filter that its query says, for every call that selects runs."""

from typing import Annotated, Any, TypeAlias

from kronik.run import Phase, Status
from litestar import Request
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from services.api.access.store import Identity
from services.api.history import run_filter
from services.api.history.run_filter import InvalidFilter, RunFilter
from services.api.http.runs import check_job_type
from services.api.past import History
from services.api.problems import INVALID, FieldError, Problem

Asked: TypeAlias = Request[Identity, Any, Any]

_Ids = Annotated[list[int] | None, QueryParameter(name="id", description="Several: these runs")]
_JobTypes = Annotated[
    list[str] | None,
    QueryParameter(name="jobType", description="Several: any of them. With ! before it: not that one"),
]
_Statuses = Annotated[list[Status] | None, QueryParameter(name="status", description="Several: any of them")]
_Phases = Annotated[list[Phase] | None, QueryParameter(name="phase", description="Several: any of them")]
_Whos = Annotated[
    list[str] | None,
    QueryParameter(name="triggeredBy", description="CRON, ADMIN:<userId> or SERVICE:<name>. Several: any of them"),
]
_From = Annotated[str | None, QueryParameter(name="from", description="Asked for at this instant or later")]
_To = Annotated[str | None, QueryParameter(name="to", description="Asked for before this instant")]
_RerunOf = Annotated[str | None, QueryParameter(name="rerunOf", description="Reruns of this run")]
_CorrelationId = Annotated[str | None, QueryParameter(name="correlationId", description="Of this correlation id")]
_Open = Annotated[str | None, QueryParameter(name="open", description="true: not finished; false: finished")]
_Unresolved = Annotated[
    str | None,
    QueryParameter(
        name="unresolved",
        description="true: failed, not cancelled, and no later run of the same job with the same params succeeded",
    ),
]
_Text = Annotated[str | None, QueryParameter(name="text", description="In the error, in upper or lower case")]


async def wanted(
    request: Asked,
    past: NamedDependency[History],
    ids: _Ids = None,
    job_type: _JobTypes = None,
    status: _Statuses = None,
    phase: _Phases = None,
    triggered_by: _Whos = None,
    since: _From = None,
    until: _To = None,
    rerun_of: _RerunOf = None,
    correlation_id: _CorrelationId = None,
    is_open: _Open = None,
    unresolved: _Unresolved = None,
    text: _Text = None,
) -> RunFilter:
    """A dependency of handlers. Raises Problem that names every part which is wrong.

    `run_filter.read` reads the query; the arguments are here so that OpenAPI tells of them.
    """
    try:
        found = run_filter.read(request.query_params.multi_items())
    except InvalidFilter as refused:
        errors = [FieldError(part.field, part.problem, part.allowed) for part in refused.parts]
        raise Problem(INVALID, str(refused), errors) from refused
    for named in (*found.job_types, *found.not_job_types):
        await check_job_type(past.pool, named)
    return found
