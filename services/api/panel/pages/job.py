"""One job: how its runs went, when it runs next, how it is defined."""

import uuid
from typing import Any, Final

from litestar import Response, get
from litestar.di import NamedDependency

from services.api.history import overview, queries
from services.api.history.run_filter import RunFilter
from services.api.panel.pages.asking import HOME, Asked, JobType, defined, voice_of
from services.api.panel.pages.then import AsOf, moment_in, then_of
from services.api.panel.rendering import render
from services.api.panel.views import charts, fields, rows
from services.api.panel.views import job as views
from services.api.panel.views.signs import title
from services.api.past import History

_RUNS: Final = 20
_SLOTS: Final = 10
_BARS: Final = 100


@get(f"{HOME}/job/{{job_type:str}}", include_in_schema=False, shared=True)
async def job(request: Asked, job_type: JobType, past: NamedDependency[History], as_of: AsOf = "") -> Response[str]:
    pool = past.pool
    then, voice = await then_of(past, as_of, await voice_of(request, pool, past.log.clock))
    moment = moment_in(then)
    found = await defined(pool, job_type, moment)
    definition = found.definition
    bars = (await overview.recent(pool, _BARS, moment)).get(definition.job_type, [])
    named, known = title(definition.job_type, definition, voice), {definition.job_type: definition}
    latest = await queries.history(pool, RunFilter(job_types=(definition.job_type,)), _RUNS, moment)
    skipped = await queries.slots(pool, definition.job_type, _SLOTS, moment)
    return render(
        request,
        "job.html",
        voice,
        tab="system",
        then=then,
        scrubs=True,
        job_type=definition.job_type,
        title=named,
        job=views.job_view(found, bars[-charts.BARS :], voice),
        strip=charts.strip(bars, named, voice),
        rows=rows.rows(latest, known, voice),
        skipped=rows.skipped(skipped, known, voice),
        asks=fields.asks(definition),
        takes_params=fields.takes_params(definition),
        may_run=then is None and request.user.may("operator"),
        may_change=then is None and request.user.may("admin"),
        key=uuid.uuid4().hex,
    )


routes: list[Any] = [job]
