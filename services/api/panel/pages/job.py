"""One job: how its runs went, when it runs next, how it is defined."""

import uuid
from typing import Any, Final

from litestar import Response, get
from litestar.di import NamedDependency

from services.api.history import overview, queries
from services.api.history.queries import Pool
from services.api.history.run_filter import RunFilter
from services.api.panel.pages.asking import HOME, Asked, JobType, defined, voice_of
from services.api.panel.rendering import render
from services.api.panel.views import charts, fields, rows
from services.api.panel.views import job as views
from services.api.panel.views.signs import title
from services.log.append import EventLog

_RUNS: Final = 20
_SLOTS: Final = 10
_BARS: Final = 100


@get(f"{HOME}/job/{{job_type:str}}", include_in_schema=False)
async def job(
    request: Asked, job_type: JobType, pool: NamedDependency[Pool], log: NamedDependency[EventLog]
) -> Response[str]:
    voice = await voice_of(request, pool, log.clock)
    found = await defined(pool, job_type)
    definition = found.definition
    bars = (await overview.recent(pool, _BARS)).get(definition.job_type, [])
    named, known = title(definition.job_type, definition, voice), {definition.job_type: definition}
    latest = await queries.history(pool, RunFilter(job_types=(definition.job_type,)), limit=_RUNS)
    skipped = await queries.slots(pool, definition.job_type, limit=_SLOTS)
    return render(
        request,
        "job.html",
        voice,
        tab="system",
        job_type=definition.job_type,
        title=named,
        job=views.job_view(found, bars[-charts.BARS :], voice),
        strip=charts.strip(bars, named, voice),
        rows=rows.rows(latest, known, voice),
        skipped=rows.skipped(skipped, known, voice),
        needs_params=fields.needs_params(definition),
        takes_params=fields.takes_params(definition),
        may_run=request.user.may("operator"),
        may_change=request.user.may("admin"),
        key=uuid.uuid4().hex,
    )


routes: list[Any] = [job]
