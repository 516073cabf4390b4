"""The panel's pages: questions to the read model, answered as HTML. What they say is decided in `presentation`."""

import uuid
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from kronik.events import JobDefined
from kronik.text import clean
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from services.api import job_log
from services.api.access.store import Identity
from services.api.history import queries
from services.api.history.queries import JobRun, Pool
from services.api.history.run_filter import RunFilter
from services.api.history.selection import Place
from services.api.job_log import JobLog, Progress
from services.api.panel import presentation
from services.api.panel.rendering import language_of, render
from services.api.panel.timeline import Moment, timeline
from services.api.past import History, find
from services.log.append import EventLog, LogUnavailable
from services.words.language import Language

LATEST: Final = 10
SKIPPED: Final = 5
PAGE: Final = 50
_WHILE_RUNNING_MS: Final = 1_500
"""How often a page with an unfinished run looks for progress, which is no event of the history."""

HOME: Final = "/admin/system"
HISTORY: Final = "/admin/system/history"

Asked = Request[Identity, Any, Any]
RunId = Annotated[int, PathParameter(ge=1, le=2**63 - 1)]


@get(HOME, include_in_schema=False)
async def system(request: Asked, pool: NamedDependency[Pool], log: NamedDependency[EventLog]) -> Response[str]:
    """Every job with its newest run, and the latest runs of all of them."""
    language, now = language_of(request), log.clock.now()
    jobs, last_runs = await queries.jobs(pool), await queries.last_runs_by_job(pool)
    latest = await queries.history(pool, limit=LATEST)
    skipped = await queries.slots(pool, limit=SKIPPED)
    definitions = {job.definition.job_type: job.definition for job in jobs}
    return _page(
        request,
        "system.html",
        language,
        cards=presentation.cards(jobs, last_runs, await _progress(log, last_runs), now, language),
        rows=presentation.history(latest, definitions, now, language),
        skipped=presentation.skipped(skipped, definitions, now, language),
        every_ms=_WHILE_RUNNING_MS if any(run.status == "RUNNING" for run in last_runs.values()) else None,
        limit=LATEST,
        parked=await queries.parked_count(pool),
        key=uuid.uuid4().hex,
    )


@get(HISTORY, include_in_schema=False)
async def history(
    request: Asked,
    pool: NamedDependency[Pool],
    log: NamedDependency[EventLog],
    job: Annotated[str, QueryParameter()] = "",
    before: Annotated[int | None, QueryParameter(ge=1, le=2**53)] = None,
) -> Response[str]:
    """All runs, newest first, a page at a time. job: of this job type alone."""
    language = language_of(request)
    definitions = await _definitions(pool)
    wanted = RunFilter(job_types=(clean(job, 200),)) if job else RunFilter()
    found = await queries.page(pool, wanted, limit=PAGE, place=Place(before) if before else None)
    return _page(
        request,
        "history.html",
        language,
        rows=presentation.history(found.runs, definitions, log.clock.now(), language),
        titles=sorted((job_type, presentation.title(job_type, one, language)) for job_type, one in definitions.items()),
        chosen=job,
        newest=_history_url(job) if before else None,
        older=_history_url(job, found.runs[-1]) if found.older else None,
    )


@get(f"{HOME}/run/{{run_id:int}}", include_in_schema=False)
async def run(request: Asked, past: NamedDependency[History], run_id: RunId) -> Response[str]:
    """One run, with everything that happened to it."""
    language, now = language_of(request), past.log.clock.now()
    found = await find(past, run_id)
    job = await queries.job(past.pool, found.job_type)
    said = await _job_log(past.log, found)
    return _page(
        request,
        "run.html",
        language,
        every_ms=_WHILE_RUNNING_MS if found.status == "RUNNING" else None,
        progress=presentation.progress_bar(said.progress, language)
        if said.progress and found.status == "RUNNING"
        else None,
        log=presentation.log_lines(said.lines, now, language),
        log_left_out=said.left_out,
        run=presentation.run_view(found, job.definition if job else None, now, language),
        moments=await _moments(past.log, found, language),
        key=uuid.uuid4().hex,
    )


async def _progress(log: EventLog, last_runs: dict[str, JobRun]) -> dict[int, Progress]:
    """Of the runs that are executing, by run."""
    executing = [run for run in last_runs.values() if run.phase == "executing"]
    try:
        found = [(run.id, await job_log.latest_progress(log.connection, run.job_type, run.id)) for run in executing]
    except LogUnavailable:
        return {}
    return {run_id: progress for run_id, progress in found if progress}


async def _job_log(log: EventLog, run: JobRun) -> JobLog:
    try:
        return await job_log.read(log.connection, run.job_type, run.id)
    except LogUnavailable:
        return JobLog([], 0, None)


def _page(
    request: Asked, template: str, language: Language, *, every_ms: int | None = None, **context: Any
) -> Response[str]:
    """A page that is kept up to date; with every_ms also when history stands still."""
    identity = request.user
    may_run = identity.may("operator")
    return render(
        request, template, language, identity=identity, may_run=may_run, live=True, every_ms=every_ms, **context
    )


async def _definitions(pool: Pool) -> dict[str, JobDefined]:
    return {job.definition.job_type: job.definition for job in await queries.jobs(pool)}


async def _moments(log: EventLog, run: JobRun, language: Language) -> list[Moment] | None:
    """The events themselves, from the stream; None while it does not answer, which is no reason to show nothing."""
    try:
        found = await log.read_run(run.id)
    except LogUnavailable:
        return None
    return timeline(found[1], log.clock.now(), language) if found else []


def _history_url(job: str, last: JobRun | None = None) -> str:
    query = {"job": job} if job else {}
    if last:
        query["before"] = str(last.id)
    return f"{HISTORY}?{urlencode(query)}" if query else HISTORY
