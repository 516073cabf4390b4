"""All runs, newest first, a page at a time, narrowed down by filters."""

from typing import Annotated, Any, Final

from kronik.text import clean
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from services.api.history import overview, queries
from services.api.history.queries import Pool
from services.api.history.run_filter import RunFilter
from services.api.history.selection import Place
from services.api.panel.pages.asking import HOME, Asked, definitions_of, voice_of
from services.api.panel.pages.then import AsOf, moment_in, then_of
from services.api.panel.rendering import render
from services.api.panel.views import filters, rows
from services.api.panel.views.moment import read
from services.api.past import History
from services.words.voice import Voice

PAGE: Final = 50
HISTORY: Final = f"{HOME}/history"

_Id = Annotated[int | None, QueryParameter(ge=1, le=2**53 - 1)]


@get(HISTORY, include_in_schema=False, shared=True)
async def history(
    request: Asked,
    past: NamedDependency[History],
    as_of: AsOf = "",
    before: _Id = None,
    after: _Id = None,
) -> Response[str]:
    pool = past.pool
    then, voice = await then_of(past, as_of, await voice_of(request, pool, past.log.clock))
    moment = moment_in(then)
    definitions = definitions_of(await queries.jobs(pool, moment))
    given = [
        (name, read(value, voice) if name in ("from", "to") else value)
        for name, value in request.query_params.multi_items()
    ]
    wanted, bad = filters.read(given)
    unknown = await _unknown(pool, wanted)
    place = Place(after, "newer") if after else Place(before) if before else None
    found = await queries.page(pool, wanted, limit=PAGE, place=place, moment=moment)
    counted = await queries.count(pool, wanted, moment)
    query = filters.written(wanted)
    first, last = (found.runs[0].id, found.runs[-1].id) if found.runs else (0, 0)
    return render(
        request,
        "history.html",
        voice,
        tab="history",
        then=then,
        scrubs=True,
        rows=rows.rows(found.runs, definitions, voice),
        form=filters.form(wanted, definitions, await overview.askers(pool), voice),
        chips=filters.chips(HISTORY, wanted, definitions, voice),
        wrong=[
            *filters.wrong(bad, given, voice),
            *filters.strange(given, voice),
            *(_no_job(one, voice) for one in unknown),
        ],
        count=voice.number(counted.count),
        exact=counted.exact,
        newest=filters.address(HISTORY, query) if place else None,
        newer=filters.address(HISTORY, [*query, ("after", str(first))]) if found.newer and found.runs else None,
        older=filters.address(HISTORY, [*query, ("before", str(last))]) if found.older and found.runs else None,
        bulk_rerun=filters.address(f"{HOME}/bulk/new", query),
        bulk_cancel=filters.address(f"{HOME}/bulk/new", [*query, ("command", "cancel")]),
        may_run=then is None and request.user.may("operator"),
    )


async def _unknown(pool: Pool, wanted: RunFilter) -> list[str]:
    """The job types of the filter that nobody announced and that never ran."""
    asked = dict.fromkeys((*wanted.job_types, *wanted.not_job_types))
    known = set(await queries.known_job_types(pool)) if asked else ()
    return [one for one in asked if one not in known and not await queries.has_runs(pool, clean(one, 200))]


def _no_job(job_type: str, voice: Voice) -> str:
    return voice.text("There is no job “%(job)s”.", job=job_type[:80])


routes: list[Any] = [history]
