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
from services.api.panel.rendering import render, to
from services.api.panel.views import truth as views
from services.api.problems import REPLAY_RUNNING, Problem
from services.api.pulse import Pulse
from services.log.append import EventLog

_PARKED: Final = 50
_Which = Annotated[Kind, PathParameter()]


@get(f"{HOME}/truth", include_in_schema=False)
async def truth(
    request: Asked, pool: NamedDependency[Pool], log: NamedDependency[EventLog], pulse: NamedDependency[Pulse]
) -> Response[str]:
    voice = await voice_of(request, pool, log.clock)
    proofs = [views.proof(kind, await work.look(pool, kind), voice) for kind in ("verify", "rebuild")]
    return render(
        request,
        "truth.html",
        voice,
        tab="truth",
        beat=pulse.beat,
        stands=voice.number(pulse.beat.position),
        parked=[views.parked(one, voice) for one in await queries.parked(pool, _PARKED)],
        proofs=proofs,
        every_ms=1_000 if any(one.running for one in proofs) else None,
        may_change=request.user.may("admin"),
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
