"""Open pages are told that Postgres is away without asking it: it would take its time to say nothing."""

from litestar.types import ASGIApp, Receive, Scope, Send

from services.api.panel.rendering import REFRESH
from services.api.problems import HISTORY_AWAY, Problem

_REFRESH = REFRESH.encode()


def told_at_once(app: ASGIApp) -> ASGIApp:
    """Before the gate, which asks Postgres who is there."""

    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        pulse = scope["litestar_app"].state.pulse
        if pulse.beat.trouble == "postgres" and any(name == _REFRESH for name, _ in scope["headers"]):
            raise Problem(HISTORY_AWAY, "Postgres does not answer.", headers={"Retry-After": "5"})
        await app(scope, receive, send)

    return answered
