"""Who may come in: the account behind a token or a session, and what its role allows."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import asyncpg
from litestar import Request
from litestar.handlers import BaseRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult, DefineMiddleware
from litestar.types import Guard
from msgspec import Struct

from services.api.access.lookups import Lookups
from services.api.access.secrets_sent import Connection, address_of, opened
from services.api.access.store import Identity, Kept, Role
from services.api.access.uses import Uses
from services.api.problems import CROSS_SITE, NOT_ALLOWED, NOT_SIGNED_IN, Problem
from services.infra.clock import monotonic_s
from services.infra.lifecycle import end, happens

COOKIE: Final = "kronik_session"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_LOOK_AGAIN_S: Final = 3.0


class Gate(AbstractAuthenticationMiddleware):
    """Lets in who sends `Authorization: Bearer <token>` or a session's cookie; everybody else gets 401.

    A cookie is sent by the browser whoever made the page, so with a cookie only our own pages may change anything.
    """

    async def authenticate_request(self, connection: Connection) -> AuthenticationResult:
        credential = _sent(connection)
        look = partial(connection.app.state.lookups.identity, credential.kind)
        if credential.kind == "session" and connection.scope.get("method") not in _SAFE:
            refuse_other_sites(connection)
        wrong = _not_signed_in(_WRONG[credential.kind])
        identity = await opened(connection, credential.kind, credential.secret, look, wrong)
        uses: Uses = connection.app.state.uses
        uses.note(connection.app.state.pool, credential.kind, credential.secret, address_of(connection))
        return AuthenticationResult(user=identity, auth=credential)


class Credential(Struct, frozen=True):
    """What somebody identifies with."""

    kind: Kept
    secret: str


_WRONG: Final = {
    "token": "The token is unknown or was revoked.",
    "session": "The session has ended: open a new sign-in link.",
}


def _sent(connection: Connection) -> Credential:
    scheme, _, token = connection.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return Credential("token", token.strip())
    session = connection.cookies.get(COOKIE)
    if session is None:
        raise _not_signed_in("Send `Authorization: Bearer <token>`, or open a sign-in link.")
    return Credential("session", session)


@asynccontextmanager
async def admitted(connection: Connection, stop: asyncio.Event, leave: Callable[[], None]) -> AsyncIterator[None]:
    """For answers that go on: `leave` is called when `stop` is set, or when what let the caller in does so no more.

    Revoked, signed out, expired: it is looked up again every few seconds.
    """
    watching = asyncio.create_task(_watch(connection.app.state.lookups, connection.auth, stop, leave))
    try:
        yield
    finally:
        await end([watching])


async def _watch(lookups: Lookups, credential: Credential, stop: asyncio.Event, leave: Callable[[], None]) -> None:
    """All look at the same moments, so that one question to Postgres is enough for hundreds."""
    while not stop.is_set():
        left_s = _LOOK_AGAIN_S - monotonic_s() % _LOOK_AGAIN_S
        if not await happens(stop, left_s) and not await _lets_in(lookups, credential):
            break
    leave()


async def _lets_in(lookups: Lookups, credential: Credential) -> bool:
    """While Postgres is away nobody is thrown out: it has no news to tell either."""
    try:
        return await lookups.identity(credential.kind, credential.secret) is not None
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        return True


def _not_signed_in(detail: str) -> Problem:
    return Problem(NOT_SIGNED_IN, detail, headers={"WWW-Authenticate": 'Bearer realm="kronik"'})


def refuse_other_sites(connection: Connection, *, programs_too: bool = True) -> None:
    """Raises a 403 problem unless the browser says that a page of ours, or the person alone, asked.

    programs_too: refuse who says nothing about it as well, which no browser does. Only what a browser sends by itself,
    its cookies, needs that.
    """
    site = connection.headers.get("Sec-Fetch-Site")
    origin = connection.headers.get("Origin")
    if site in ("same-origin", "none") or (site is None and _is_ours(origin, connection.headers.get("Host", ""))):
        return
    if not programs_too and site is None and origin is None:
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


gate: Final = DefineMiddleware(Gate, exclude_http_methods=[])
"""OPTIONS tells who is nobody nothing, like every other method."""
