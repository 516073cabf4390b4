"""A month: what ran, what did not and what is planned, day by day and job by job."""

from datetime import date
from typing import Annotated, Any

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from services.api.history import counts, overview, queries
from services.api.panel.pages.asking import HOME, Asked, voice_of
from services.api.panel.pages.then import AsOf, moment_in, then_of
from services.api.panel.rendering import ZONE, render
from services.api.panel.views import calendar as views
from services.api.past import History


@get(f"{HOME}/calendar", include_in_schema=False, shared=True)
async def calendar(
    request: Asked,
    past: NamedDependency[History],
    as_of: AsOf = "",
    month: Annotated[str, QueryParameter(max_length=20)] = "",
    job: Annotated[str, QueryParameter(max_length=200)] = "",
) -> Response[str]:
    pool = past.pool
    then, voice = await then_of(past, as_of, await voice_of(request, pool, past.log.clock))
    moment = moment_in(then)
    today = voice.now.astimezone(ZONE).date()
    first, wrong = _first(month, today)
    last = views.last_day(first)
    known = await queries.jobs(pool, moment)
    shown = [one for one in known if not job or one.definition.job_type == job]
    since, until = views.midnight(first, ZONE), views.midnight(last, ZONE, 1)
    seen = min(until, moment.time) if moment else until
    return render(
        request,
        "calendar.html",
        voice,
        tab="calendar",
        then=then,
        scrubs=True,
        calendar=views.calendar(
            first,
            shown,
            await counts.days(pool, str(ZONE), first, last, job or None, moment) if not job or shown else [],
            [slot for slot in await overview.skipped(pool, since, moment=moment) if slot.scheduled_for < until],
            await overview.changes(pool, since, seen),
            voice,
        ),
        wrong=voice.text("“%(month)s” is no month: write it like 2026-11.", month=month) if wrong else "",
        unknown=voice.text("There is no job “%(job)s”.", job=job[:80]) if job and not shown else "",
        job=job,
    )


def _first(month: str, today: date) -> tuple[date, bool]:
    if not month:
        return today.replace(day=1), False
    try:
        found = date.fromisoformat(f"{month}-01")
    except ValueError:
        return today.replace(day=1), True
    return (found, False) if 1970 < found.year < 9000 else (today.replace(day=1), True)


routes: list[Any] = [calendar]
