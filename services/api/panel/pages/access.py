"""Who may do what: people, the tokens of programs, and who is signed in; sessions are ended here, tokens revoked."""

from typing import Annotated, Any, Literal

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter
from litestar.response import Redirect

from services.api.access import store
from services.api.access.gate import Credential, needs
from services.api.history.queries import Pool
from services.api.http.access import AccessId
from services.api.panel.pages.asking import HOME, Asked, voice_of
from services.api.panel.rendering import render, to
from services.api.panel.views import access as views
from services.api.panel.views.access import Shown
from services.api.problems import NOT_FOUND, Problem
from services.log.append import EventLog
from services.words.voice import Voice

_Kind = Annotated[Literal["session", "token"], PathParameter()]


@get(f"{HOME}/access", guards=[needs("admin")], include_in_schema=False)
async def access(request: Asked, pool: NamedDependency[Pool], log: NamedDependency[EventLog]) -> Response[str]:
    voice = await voice_of(request, pool, log.clock)
    people = [views.person(one, voice) for one in await store.people(pool)]
    tokens, sessions = await _all(request, pool, "token", voice), await _all(request, pool, "session", voice)
    return render(request, "access.html", voice, tab="access", people=people, tokens=tokens, sessions=sessions)


@get(f"{HOME}/access/{{kind:str}}/{{id:str}}", guards=[needs("admin")], include_in_schema=False)
async def ask(
    request: Asked, kind: _Kind, id: AccessId, pool: NamedDependency[Pool], log: NamedDependency[EventLog]
) -> Response[str]:
    """Whether it is meant."""
    voice = await voice_of(request, pool, log.clock)
    one = next((one for one in await _all(request, pool, kind, voice) if one.id == id and not one.ended), None)
    if one is None:
        raise Problem(NOT_FOUND, f"There is no such {kind}.")
    return render(request, "end_access.html", voice, tab="access", live=False, kind=kind, one=one)


@post(f"{HOME}/access/{{kind:str}}/{{id:str}}", guards=[needs("admin")], include_in_schema=False)
async def end(request: Asked, kind: _Kind, id: AccessId, pool: NamedDependency[Pool]) -> Redirect:
    """What has ended already may be ended again."""
    await (store.end_session_of(pool, id) if kind == "session" else store.revoke_token(pool, id))
    return to(request, f"{HOME}/access")


async def _all(request: Asked, pool: Pool, kind: Literal["session", "token"], voice: Voice) -> list[Shown]:
    if kind == "token":
        return [views.token(one, voice) for one in await store.tokens(pool)]
    credential: Credential = request.auth
    own = store.hash_of(credential.secret).hex() if credential.kind == "session" else ""
    return [views.session(one, own, voice) for one in await store.sessions(pool)]


routes: list[Any] = [access, ask, end]
