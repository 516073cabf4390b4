"""Who has access, over HTTP, for admins: people, tokens, who is signed in, who signed in when."""

from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from services.api.access import store
from services.api.access.gate import needs
from services.api.access.store import Person, Session, SignIn, Token
from services.api.history.queries import Pool
from services.api.problems import NOT_FOUND, Problem, documented

AccessId = Annotated[str, PathParameter(pattern="^[0-9a-f]{64}$", description="Its `id`, as it is listed")]
Limit = Annotated[int, QueryParameter(ge=1, le=1000)]


class AccessController(Controller):
    """Accounts and tokens are made on the command line, so that they work where nobody has one yet."""

    path = "/access"
    tags = ("access",)
    guards = (needs("admin"),)

    @get("/account", responses=documented(400, 401, 403, 503), summary="People, and what each may do")
    async def people(self, pool: NamedDependency[Pool]) -> list[Person]:
        return await store.people(pool)

    @get("/token", responses=documented(400, 401, 403, 503), summary="Tokens of programs, and when each was used last")
    async def tokens(self, pool: NamedDependency[Pool]) -> list[Token]:
        return await store.tokens(pool)

    @get("/session", responses=documented(400, 401, 403, 503), summary="Who is signed in, since when and from where")
    async def sessions(self, pool: NamedDependency[Pool], limit: Limit = 200) -> list[Session]:
        return await store.sessions(pool, limit)

    @get("/sign-in", responses=documented(400, 401, 403, 503), summary="Who signed in, the newest first")
    async def sign_ins(self, pool: NamedDependency[Pool], limit: Limit = 100) -> list[SignIn]:
        return await store.sign_ins(pool, limit)

    @post(
        "/session/{id:str}/end",
        status_code=204,
        responses=documented(400, 401, 403, 404, 503),
        summary="End a session: nobody is signed in by it any more",
    )
    async def end_session(self, pool: NamedDependency[Pool], id: AccessId) -> None:
        if not await store.end_session_of(pool, id):
            raise Problem(NOT_FOUND, "There is no such session.")

    @post(
        "/token/{id:str}/revoke",
        status_code=204,
        responses=documented(400, 401, 403, 404, 503),
        summary="Revoke a token: it is not accepted any more",
    )
    async def revoke_token(self, pool: NamedDependency[Pool], id: AccessId) -> None:
        if not await store.revoke_token(pool, id):
            raise Problem(NOT_FOUND, "There is no such token, or it was revoked already.")
