"""Who did what: asked for runs, cancelled them, changed and paused schedules; admins also see who signed in."""

from datetime import timedelta
from typing import Any, Final

from litestar import Response, get
from litestar.di import NamedDependency

from services.api.access import store
from services.api.commands import bulk
from services.api.history import overview, queries
from services.api.history.queries import Pool
from services.api.history.run_filter import RunFilter
from services.api.panel.pages.asking import HOME, Asked, definitions_of, voice_of
from services.api.panel.rendering import render
from services.api.panel.views import journal as views
from services.log.append import EventLog

_DAYS: Final = 90
_SHOWN: Final = 100


@get(f"{HOME}/journal", include_in_schema=False)
async def journal(request: Asked, pool: NamedDependency[Pool], log: NamedDependency[EventLog]) -> Response[str]:
    """The last hundred of each, by time."""
    voice = await voice_of(request, pool, log.clock)
    definitions = definitions_of(await queries.jobs(pool))
    people = tuple(f"ADMIN:{id}" for id in voice.names)
    runs = await queries.history(pool, RunFilter(triggered_by=people), limit=_SHOWN) if people else []
    changed = await overview.changes(pool, voice.now - timedelta(days=_DAYS), voice.now + timedelta(days=1))
    stopped, works = await overview.cancelled(pool, _SHOWN), await bulk.newest(pool)
    sign_ins = await store.sign_ins(pool, _SHOWN) if request.user.may("admin") else []
    entries = views.entries(runs, stopped, changed, works, sign_ins, definitions, voice)
    return render(request, "journal.html", voice, tab="journal", entries=entries[:_SHOWN], days=_DAYS)


routes: list[Any] = [journal]
