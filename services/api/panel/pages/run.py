"""One run, with everything that happened to it, and its log."""

import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from kronik.events import JobDefined, Recorded
from kronik.text import clean
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.response import Stream

from services.api import job_log
from services.api.as_of import find_then
from services.api.history import overview, queries
from services.api.history.queries import DefinedJob, JobRun, Pool
from services.api.history.run_filter import RunFilter
from services.api.history.selection import Moment
from services.api.job_log import Page, Tails
from services.api.panel.pages.asking import HOME, Asked, RunId, voice_of
from services.api.panel.pages.then import AsOf, moment_in, then_of
from services.api.panel.rendering import render
from services.api.panel.views import charts, fields, jobs
from services.api.panel.views import run as views
from services.api.panel.views.signs import title
from services.api.past import History, find
from services.log.append import EventLog, LogUnavailable
from services.words.voice import Voice

_LINES: Final = 200
_FOUND: Final = 500
WHILE_RUNNING_MS: Final = 1_500


@get(f"{HOME}/run/{{run_id:int}}", include_in_schema=False, shared=True)
async def run(
    request: Asked,
    past: NamedDependency[History],
    tails: NamedDependency[Tails],
    run_id: RunId,
    as_of: AsOf = "",
) -> Response[str]:
    """One run, with everything that happened to it."""
    pool = past.pool
    then, voice = await then_of(past, as_of, await voice_of(request, pool, past.log.clock))
    moment = moment_in(then)
    found = await find_then(past, run_id, moment) if moment else await find(past, run_id)
    job = await queries.job(pool, found.job_type, moment)
    definition = job.definition if job else None
    bars = (await overview.recent(pool, moment=moment)).get(found.job_type, [])
    usual = charts.usual_ms(bars)
    recorded = _until(await _events(past.log, found), moment)
    said = await _said(past.log, tails, found, moment)
    return render(
        request,
        "run.html",
        voice,
        tab="history",
        then=then,
        scrubs=True,
        every_ms=WHILE_RUNNING_MS if found.status == "RUNNING" and not moment else None,
        progress=jobs.bar(said.progress, voice) if said.progress and found.status == "RUNNING" else None,
        log=views.log_lines(said.lines, voice),
        log_total=said.total,
        log_left_out=said.total - len(said.lines) + said.not_passed_on,
        run=views.run_view(
            found,
            job,
            await _then(pool, found),
            await overview.neighbours(pool, found, moment),
            usual,
            await _why_queued(pool, found, definition, usual, moment, voice),
            voice,
        ),
        moments=None if recorded is None else views.timeline(recorded, voice),
        stretches=views.stretches(recorded or [], voice),
        asks=definition is not None and definition.confirm is not None,
        takes_params=definition is not None and fields.takes_params(definition),
        may_run=then is None and request.user.may("operator"),
        key=uuid.uuid4().hex,
    )


@get(f"{HOME}/run/{{run_id:int}}/log", include_in_schema=False, shared=True)
async def log(
    request: Asked,
    past: NamedDependency[History],
    run_id: RunId,
    as_of: AsOf = "",
    q: Annotated[str, QueryParameter(max_length=200)] = "",
    before: Annotated[int | None, QueryParameter(ge=1, le=2**53)] = None,
) -> Response[str]:
    """The log by itself, to search in and to page back through."""
    then, voice = await then_of(past, as_of, await voice_of(request, past.pool, past.log.clock))
    moment = moment_in(then)
    found = await find_then(past, run_id, moment) if moment else await find(past, run_id)
    job = await queries.job(past.pool, found.job_type, moment)
    said, until = clean(q, 200), moment.time if moment else None
    page = await job_log.search(past.log.connection, found.job_type, found.id, said, before, _FOUND, until)
    return render(
        request,
        "log.html",
        voice,
        tab="history",
        then=then,
        live=False,
        scrubs=True,
        run_id=found.id,
        title=title(found.job_type, job.definition if job else None, voice),
        lines=views.log_lines(page.lines, voice),
        total=page.total,
        q=q,
        older=page.lines[0][0] if len(page.lines) == _FOUND else None,
        newest=before is not None,
    )


@get(f"{HOME}/run/{{run_id:int}}/log.txt", include_in_schema=False)
async def log_file(past: NamedDependency[History], run_id: RunId) -> Stream:
    """All of it, as a file."""
    found = await find(past, run_id)

    async def lines() -> AsyncIterator[str]:
        async for line in job_log.lines(past.log.connection, found.job_type, found.id):
            fields = "".join(f" {name}={value}" for name, value in line.fields.items())
            yield f"{line.time.isoformat()} {line.level} {line.event}{fields}\n"

    headers = {"Content-Disposition": f'attachment; filename="run-{run_id}.log"'}
    return Stream(lines(), media_type="text/plain; charset=utf-8", headers=headers)


async def _then(pool: Pool, run: JobRun) -> DefinedJob | None:
    """The job as it was when a slot asked for this run; None where it was no slot."""
    if run.scheduled_for is None:
        return None
    return await queries.job(pool, run.job_type, Moment(run.id, run.triggered_at))


async def _said(log: EventLog, tails: Tails, run: JobRun, moment: Moment | None) -> Page:
    """The newest lines; of a moment those that had been said by then, and of how far the job was nothing."""
    try:
        newest = await tails.newest(log.connection, run.job_type, run.id, _LINES)
    except LogUnavailable:
        return Page([], 0, None)
    if moment is None:
        return newest
    lines = [one for one in newest.lines if one[1].time <= moment.time]
    return Page(lines, newest.total - len(newest.lines) + len(lines), None, newest.not_passed_on)


async def _events(log: EventLog, run: JobRun) -> list[Recorded] | None:
    """From the stream itself; None while it does not answer, which is no reason to show nothing."""
    try:
        found = await log.read_run(run.id)
    except LogUnavailable:
        return None
    return found[1] if found else []


def _until(events: list[Recorded] | None, moment: Moment | None) -> list[Recorded] | None:
    if events is None or moment is None:
        return events
    return [one for one in events if one.sequence <= moment.sequence]


async def _why_queued(
    pool: Pool, run: JobRun, definition: JobDefined | None, usual: int | None, moment: Moment | None, voice: Voice
) -> str:
    if run.phase != "queued":
        return ""
    only = RunFilter(job_types=(run.job_type,), open=True)
    others = [one for one in await queries.history(pool, only, 100, moment) if one.id != run.id]
    return views.why_queued(run, definition, others, usual, voice)


routes: list[Any] = [run, log, log_file]
