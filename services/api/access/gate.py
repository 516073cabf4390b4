"""Who may come in: the account behind a token or a session, and what its role allows."""

from typing import Any, Final

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult, DefineMiddleware
from litestar.types import Guard

from services.api.access import store
from services.api.access.store import Identity, Role
from services.api.problems import CROSS_SITE, NOT_ALLOWED, NOT_SIGNED_IN, Problem

COOKIE: Final = "kronik_session"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})

Connection = ASGIConnection[Any, Any, Any, Any]


class Gate(AbstractAuthenticationMiddleware):
    """Lets in who sends `Authorization: Bearer <token>` or a session's cookie; everybody else gets 401.

    A cookie is sent by the browser whoever made the page, so with a cookie only our own pages may change anything.
    """

    async def authenticate_request(self, connection: Connection) -> AuthenticationResult:
        pool = connection.app.state.pool
        scheme, _, token = connection.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return _let_in(await store.by_token(pool, token.strip()), "The token is unknown or was revoked.")
        session = connection.cookies.get(COOKIE)
        if session is None:
            raise _not_signed_in("Send `Authorization: Bearer <token>`, or open a sign-in link.")
        if connection.scope.get("method") not in _SAFE:
            refuse_other_sites(connection)
        return _let_in(await store.by_session(pool, session), "The session has ended: open a new sign-in link.")


def _let_in(identity: Identity | None, otherwise: str) -> AuthenticationResult:
    if identity is None:
        raise _not_signed_in(otherwise)
    return AuthenticationResult(user=identity, auth=None)


def _not_signed_in(detail: str) -> Problem:
    return Problem(NOT_SIGNED_IN, detail, headers={"WWW-Authenticate": 'Bearer realm="kronik"'})


def refuse_other_sites(connection: Connection) -> None:
    """Raises a 403 problem unless the browser says that a page of ours, or the person alone, asked."""
    site = connection.headers.get("Sec-Fetch-Site")
    origin = connection.headers.get("Origin")
    if site in ("same-origin", "none") or (site is None and _is_ours(origin, connection.headers.get("Host", ""))):
        return
    raise Problem(CROSS_SITE, "A session's cookie is accepted from Kronik's own pages alone; programs send a token.")


def _is_ours(origin: str | None, host: str) -> bool:
    return origin is not None and origin.partition("://")[2] == host


def needs(role: Role) -> Guard:
    """A guard for handlers: accounts below this role get 403."""

    def guard(connection: Connection, _: BaseRouteHandler) -> None:
        if not connection.user.may(role):
            detail = f"Your role is {connection.user.role}; this needs {role}."
            raise Problem(NOT_ALLOWED, detail)

    return guard


def provide_identity(request: Request[Identity, Any, Any]) -> Identity:
    identity: Identity = request.user
    return identity


gate: Final = DefineMiddleware(Gate)
