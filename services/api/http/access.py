"""Who has access, over HTTP, for admins: people, tokens, who is signed in, who signed in when."""

from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from services.api.access import store
from services.api.access.gate import needs
from services.api.access.store import Person, Session, SignIn, Token
from services.api.history.queries import Pool
from services.api.problems import documented

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
