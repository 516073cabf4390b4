"""Where the history stands, what could not be read, and the proof: verify and rebuild."""

from typing import Annotated, Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter

from services.api.access.gate import needs
from services.api.access.store import Identity
from services.api.history import queries, work
from services.api.history.queries import Pool
from services.api.history.work import Kind, WorkRunning, Workshop
from services.api.panel.pages.asking import HOME, Asked, voice_of
from services.api.panel.pages.then import AsOf, moment_in, then_of
from services.api.panel.rendering import render, to
from services.api.panel.views import truth as views
from services.api.panel.views.proof import proof
from services.api.past import History
from services.api.problems import REPLAY_RUNNING, Problem
from services.api.pulse import Pulse
from services.words.sentences import said

_PARKED: Final = 50
_Which = Annotated[Kind, PathParameter()]


@get(f"{HOME}/truth", include_in_schema=False, shared=True)
async def truth(
    request: Asked, past: NamedDependency[History], pulse: NamedDependency[Pulse], as_of: AsOf = ""
) -> Response[str]:
    """Of an earlier moment without the proofs: they are of the history as it is."""
    pool = past.pool
    then, voice = await then_of(past, as_of, await voice_of(request, pool, past.log.clock))
    moment = moment_in(then)
    proofs = [] if moment else [proof(kind, await work.look(pool, kind), voice) for kind in ("verify", "rebuild")]
    return render(
        request,
        "truth.html",
        voice,
        tab="truth",
        then=then,
        scrubs=True,
        detail=said(pulse.beat.detail, voice),
        stands=voice.number(moment.sequence if moment else pulse.beat.position),
        parked=[views.parked(one, voice) for one in await queries.parked(pool, _PARKED, moment)],
        proofs=proofs,
        every_ms=1_000 if any(one.running for one in proofs) else None,
        may_change=then is None and request.user.may("admin"),
    )


@post(f"{HOME}/truth/{{kind:str}}", guards=[needs("admin")], include_in_schema=False)
async def act(
    request: Asked,
    kind: _Which,
    pool: NamedDependency[Pool],
    workshop: NamedDependency[Workshop],
    identity: NamedDependency[Identity],
) -> Response[Any]:
    """Begin it, let a rebuild that waits swap, or cancel it."""
    typed = {str(name): str(value) for name, value in (await request.form()).multi_items()}
    match typed.get("do"):
        case "swap":
            await work.wish(pool, kind, "swap")
        case "cancel":
            await work.wish(pool, kind, "cancel")
        case _:
            try:
                await workshop.begin(pool, kind, identity.by, ask=kind == "rebuild")
            except WorkRunning as running:
                raise Problem(REPLAY_RUNNING, f"{running}.") from running
    return to(request, f"{HOME}/truth")


routes: list[Any] = [truth, act]
