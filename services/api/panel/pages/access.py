"""Who may do what: people, the tokens of programs, and who is signed in."""

from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency

from services.api.access import store
from services.api.access.gate import needs
from services.api.history.queries import Pool
from services.api.panel.pages.asking import HOME, Asked, voice_of
from services.api.panel.rendering import render
from services.api.panel.views import access as views
from services.log.append import EventLog


@get(f"{HOME}/access", guards=[needs("admin")], include_in_schema=False)
async def access(request: Asked, pool: NamedDependency[Pool], log: NamedDependency[EventLog]) -> Response[str]:
    voice = await voice_of(request, pool, log.clock)
    people = [views.person(one, voice) for one in await store.people(pool)]
    tokens = [views.token(one, voice) for one in await store.tokens(pool)]
    sessions = [views.session(one, voice) for one in await store.sessions(pool)]
    return render(request, "access.html", voice, tab="access", people=people, tokens=tokens, sessions=sessions)


routes: list[Any] = [access]
