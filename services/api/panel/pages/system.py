"""The system page: did it go well, what runs when, every job, the latest runs."""

import asyncio
import uuid
from datetime import datetime
from typing import Annotated, Any, Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from services.api import job_log
from services.api.commands import bulk
from services.api.history import overview, queries
from services.api.history.overview import Failure
from services.api.history.queries import DefinedJob, JobRun, Pool, Slot
from services.api.history.run_filter import RunFilter
from services.api.history.selection import Moment
from services.api.job_log import Progress
from services.api.panel.pages.asking import HOME, Asked, definitions_of, voice_of
from services.api.panel.pages.then import AsOf, moment_in, then_of
from services.api.panel.rendering import render
from services.api.panel.views import charts, jobs, rows, verdict
from services.api.panel.views.charts import Lanes
from services.api.panel.views.jobs import Card
from services.api.panel.views.signs import title
from services.api.panel.views.verdict import PERIODS, Period
from services.api.past import History
from services.log.append import EventLog, LogUnavailable
from services.words.voice import Voice

LATEST: Final = 10
SKIPPED: Final = 5
WHILE_RUNNING_MS: Final = 1_500
"""How often a page with an unfinished run looks for progress, which is no event of the history."""
_COMING: Final = 24
_OPEN: Final = 100
_JUDGED: Final = 300


@get(HOME, include_in_schema=False, shared=True)
async def system(
    request: Asked,
    past: NamedDependency[History],
    as_of: AsOf = "",
    since: Annotated[str, QueryParameter(max_length=20)] = "night",
) -> Response[str]:
    """Every job with its newest run, and the latest runs of all of them."""
    pool = past.pool
    then, voice = await then_of(past, as_of, await voice_of(request, pool, past.log.clock))
    moment = moment_in(then)
    period: Period = next((one for one in PERIODS if one == since), "night")
    start = verdict.since(period, voice)
    known = await queries.jobs(pool, moment)
    definitions = definitions_of(known)
    last_runs, unfinished = (
        await queries.last_runs_by_job(pool, moment),
        await queries.history(pool, RunFilter(open=True), _OPEN, moment),
    )
    skipped = await overview.skipped(pool, start, moment=moment)
    failures = await overview.failures(pool, start, moment=moment)
    said = verdict.verdict(
        period,
        start,
        await overview.tally(pool, start, moment),
        failures,
        len(skipped),
        definitions,
        voice,
        [] if moment else await _left(pool, failures),
    )
    progress = {} if moment else await _progress(past.log, unfinished)
    bars = await overview.recent(pool, moment=moment)
    cards = jobs.cards(known, last_runs, unfinished, bars, progress, voice)
    latest = await queries.history(pool, limit=LATEST, moment=moment)
    parked = len(await queries.parked(pool, moment=moment)) if moment else await queries.parked_count(pool)
    return render(
        request,
        "system.html",
        voice,
        tab="system",
        then=then,
        scrubs=True,
        verdict=said,
        lanes=await _lanes(pool, _ordered(known, cards), skipped, start, moment, voice),
        cards=cards,
        drawn=len(cards) <= jobs.DRAWN,
        rows=rows.rows(latest, definitions, voice),
        skipped=rows.skipped(await queries.slots(pool, limit=SKIPPED, moment=moment), definitions, voice),
        every_ms=WHILE_RUNNING_MS if unfinished and not moment else None,
        limit=LATEST,
        parked=parked,
        may_run=then is None and request.user.may("operator"),
        may_change=then is None and request.user.may("admin"),
        unknown_since="" if since in PERIODS else since,
        again_all=f"{HOME}/bulk/new?unresolved=1&from={said.from_}",
        key=uuid.uuid4().hex,
    )


async def _left(pool: Pool, failures: list[Failure]) -> list[int]:
    """Those that would not be run again if somebody asked for it now; of more than are worth the time, none."""
    standing = [one.id for one in failures if not one.made_good]
    if not 0 < len(standing) <= _JUDGED:
        return []
    return [id for id, why in await bulk.judge(pool, "rerun", standing) if why]


def _ordered(known: list[DefinedJob], cards: list[Card]) -> list[DefinedJob]:
    """As the jobs below them."""
    place = {card.job_type: number for number, card in enumerate(cards)}
    return sorted(known, key=lambda job: place[job.definition.job_type])


async def _lanes(
    pool: Pool, known: list[DefinedJob], skipped: list[Slot], start: datetime, moment: Moment | None, voice: Voice
) -> Lanes:
    over = charts.span(start, voice.now)
    bars = await overview.window(pool, over.since, moment=moment)
    made = []
    for job in known:
        job_type = job.definition.job_type
        coming = jobs.next_slots(job, voice.now, _COMING)
        of_job = [slot for slot in skipped if slot.job_type == job_type]
        named = title(job_type, job.definition, voice)
        made.append(charts.lane(job_type, named, bars.get(job_type, []), of_job, coming, over, voice))
    return Lanes(tuple(made), charts.ticks(over, voice), over.at(voice.now))


async def _progress(log: EventLog, unfinished: list[JobRun]) -> dict[int, Progress]:
    """Of the runs that are executing, by run."""
    executing = [run for run in unfinished if run.phase == "executing"][:20]
    try:
        asked = (job_log.latest_progress(log.connection, run.job_type, run.id) for run in executing)
        found = await asyncio.gather(*asked)
    except LogUnavailable:
        return {}
    return {run.id: progress for run, progress in zip(executing, found, strict=True) if progress}


routes: list[Any] = [system]
