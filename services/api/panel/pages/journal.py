"""Who did what: asked for runs, cancelled them, changed and paused schedules; admins also see who signed in."""

from datetime import timedelta
from typing import Any, Final

from litestar import Response, get
from litestar.di import NamedDependency

from services.api.access import store
from services.api.commands import bulk
from services.api.history import overview, queries
from services.api.history.run_filter import RunFilter
from services.api.panel.pages.asking import HOME, Asked, definitions_of, voice_of
from services.api.panel.pages.then import AsOf, moment_in, then_of
from services.api.panel.rendering import render
from services.api.panel.views import journal as views
from services.api.past import History

_DAYS: Final = 90
_SHOWN: Final = 100
_READ: Final = 1_000
"""So many runs of people and as many of services are gathered into entries."""


@get(f"{HOME}/journal", include_in_schema=False, shared=True)
async def journal(request: Asked, past: NamedDependency[History], as_of: AsOf = "") -> Response[str]:
    """The last of each, by time."""
    pool = past.pool
    then, voice = await then_of(past, as_of, await voice_of(request, pool, past.log.clock))
    moment = moment_in(then)
    definitions = definitions_of(await queries.jobs(pool, moment))
    until = moment.time if moment else None
    askers = [one for one in await overview.askers(pool) if one != "CRON"]
    people = tuple(one for one in askers if one.startswith("ADMIN:"))
    services = tuple(one for one in askers if one not in people)
    asked = [
        await overview.asked(pool, RunFilter(triggered_by=some), _READ, moment) if some else []
        for some in (people, services)
    ]
    changed = await overview.changes(pool, voice.now - timedelta(days=_DAYS), until or voice.now + timedelta(days=1))
    stopped, works = await overview.cancelled(pool, _SHOWN, moment), await bulk.newest(pool, until=until)
    sign_ins = await store.sign_ins(pool, _SHOWN, until) if request.user.may("admin") else []
    batches = [batch for runs in asked for batch in views.batches(runs, works, all_read=len(runs) < _READ)]
    entries = views.entries(batches, stopped, changed, works, sign_ins, definitions, voice, _SHOWN)
    return render(request, "journal.html", voice, tab="journal", then=then, scrubs=True, entries=entries, days=_DAYS)


routes: list[Any] = [journal]
