"""Accounts and their secrets: sessions for people, tokens for programs, links to sign in with once.

A secret leaves this module once, when it is made; only its SHA-256 is stored.
"""

import hashlib
import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

import asyncpg
from kronik.errors import InvalidName
from msgspec import Struct

from services.infra import sql
from services.infra.printable import one_line

Role = Literal["viewer", "operator", "admin"]
"""A viewer reads, an operator also triggers, reruns and cancels, an admin also changes schedules."""

Kept = Literal["token", "session"]
"""What lets in more than once."""

Connection: TypeAlias = (
    "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
    " | asyncpg.Pool[asyncpg.Record]"
)

LINK_LIVES = timedelta(hours=1)
SESSION_LIVES = timedelta(days=14)
_ACCOUNT_ID = re.compile("[1-9][0-9]{0,17}")
NAME_LIMIT = 100
"""Characters of an account's or a token's name."""

_RANK: dict[Role, int] = {"viewer": 0, "operator": 1, "admin": 2}


class Identity(Struct, frozen=True):
    """Who asks. user_id: the account's id; events record `ADMIN:<user_id>`."""

    user_id: str
    name: str
    role: Role

    @property
    def by(self) -> str:
        return f"ADMIN:{self.user_id}"

    def may(self, role: Role) -> bool:
        """Whether this account's role is `role` or one above it."""
        return _RANK[self.role] >= _RANK[role]


async def create_account(connection: Connection, name: str, role: Role) -> str:
    """The id of the account with this name, made or given this role. Raises InvalidName."""
    return str(await connection.fetchval(_sql("add_account"), _checked(name), role))


async def ensure_admin(connection: Connection, name: str = "admin") -> str:
    """The id of the admin account with this name, made if it is not there."""
    return await create_account(connection, name, "admin")


async def create_token(connection: Connection, account_id: str, name: str) -> str:
    """A new token for programs, sent as `Authorization: Bearer kronik_…`. name: what the account calls it.

    Raises InvalidName.
    """
    token = f"kronik_{secrets.token_urlsafe(32)}"
    await connection.execute(_sql("add_token"), hash_of(token), int(account_id), _checked(name))
    return token


async def revoke_tokens(connection: Connection, account_id: str, name: str) -> None:
    """The account's tokens of this name are not accepted any more."""
    await connection.execute(_sql("revoke_tokens"), int(account_id), name)


async def account_named(connection: Connection, name: str) -> str | None:
    """The id of the account with this name, if there is one."""
    found = await connection.fetchval(_sql("account_named"), name)
    return None if found is None else str(found)


class Token(Struct, frozen=True, rename="camel"):
    """A token as it can be listed: never itself. revoked_at: since when it is not accepted any more.

    id: names it, and lets nobody in. used_at, used_from: when, to the minute, and from which address it was used last.
    """

    account: str
    role: Role
    name: str
    created_at: datetime
    revoked_at: datetime | None
    used_at: datetime | None = None
    used_from: str = ""
    id: str = ""


class Origin(Struct, frozen=True):
    """Where somebody signs in from. agent: what the browser calls itself."""

    address: str = ""
    agent: str = ""


class Session(Struct, frozen=True, rename="camel"):
    """Somebody who is signed in. used_at: to the minute; null where that is not known. id: names it, lets nobody in."""

    account: str
    role: Role
    created_at: datetime
    used_at: datetime | None
    expires_at: datetime
    address: str
    agent: str
    id: str = ""


class SignIn(Struct, frozen=True, rename="camel"):
    """Somebody signed in, with a link."""

    account_id: str
    account: str
    signed_in_at: datetime
    address: str
    agent: str


class Person(Struct, frozen=True, rename="camel"):
    """An account. id: that of ADMIN:<id>. sessions: how many are signed in as it."""

    id: int
    name: str
    role: Role
    created_at: datetime
    sessions: int


async def people(connection: Connection) -> list[Person]:
    """All of them, by name."""
    return [Person(**row) for row in await connection.fetch(_sql("people"))]


async def sessions(connection: Connection, limit: int = 200) -> list[Session]:
    """Those that let somebody in now, the one used last at the front."""
    return [Session(**row) for row in await connection.fetch(_sql("sessions"), limit)]


async def sign_ins(connection: Connection, limit: int = 100, until: datetime | None = None) -> list[SignIn]:
    """The newest first."""
    rows = await connection.fetch(_sql("sign_ins"), limit, until)
    return [SignIn(**{**row, "account_id": str(row["account_id"])}) for row in rows]


async def was_used(connection: Connection, kind: Kept, hashed: bytes, address: str) -> None:
    """The token or session with this hash let somebody in, just now."""
    await connection.execute(_sql(f"{kind}_used"), hashed, address)


async def tokens(connection: Connection) -> list[Token]:
    """All that were ever made, by account."""
    return [Token(**row) for row in await connection.fetch(_sql("tokens"))]


async def revoke_named(connection: Connection, name: str, account: str | None = None) -> int:
    """The tokens of this name are not accepted any more, of this account or of all; how many there were."""
    return int((await connection.execute(_sql("revoke_everywhere"), name, account)).split()[-1])


async def create_sign_in_link(connection: Connection, account_id: str) -> str:
    """The secret of a link: `/sign-in/<secret>` signs in once, within an hour."""
    secret = secrets.token_urlsafe(32)
    await connection.execute(_sql("add_sign_in_link"), hash_of(secret), int(account_id), LINK_LIVES)
    return secret


async def is_sign_in_link(connection: Connection, secret: str) -> Literal[True] | None:
    """True for a link that still signs in; looking does not use it up."""
    return True if await connection.fetchval(_sql("is_sign_in_link"), hash_of(secret)) else None


async def use_sign_in_link(connection: Connection, secret: str, origin: Origin = Origin()) -> str | None:  # noqa: B008
    """A new session's secret, or None where the link is unknown, used or too old."""
    account_id = await connection.fetchval(_sql("use_sign_in_link"), hash_of(secret))
    if account_id is None:
        return None
    session = secrets.token_urlsafe(32)
    await connection.execute(
        _sql("add_session"), hash_of(session), account_id, SESSION_LIVES, origin.address, origin.agent
    )
    return session


async def end_session(connection: Connection, session: str) -> None:
    """Sign out; sessions that have run out go as well."""
    await connection.execute(_sql("end_session"), hash_of(session))


async def end_session_of(connection: Connection, id: str) -> bool:
    """The session with this id lets nobody in any more; False where none does."""
    return bool(await connection.fetchval(_sql("end_session_of"), id))


async def revoke_token(connection: Connection, id: str) -> bool:
    """The token with this id is not accepted any more; False where none is."""
    return bool(await connection.fetchval(_sql("revoke_token"), id))


async def identities(connection: Connection, kind: Kept, hashes: Iterable[bytes]) -> dict[bytes, Identity]:
    """Whom they let in now, by their hashes; who is let in by none of them is not there."""
    rows = await connection.fetch(_sql(f"by_{kind}"), list(hashes))
    return {row["hash"]: Identity(str(row["id"]), row["name"], row["role"]) for row in rows}


async def names(connection: Connection, account_ids: Iterable[str]) -> dict[str, str]:
    """The names of these accounts, by id; of those that exist."""
    ids = [int(one) for one in set(account_ids) if _ACCOUNT_ID.fullmatch(one)]
    rows = await connection.fetch(_sql("names"), ids) if ids else []
    return {str(row["id"]): row["name"] for row in rows}


async def everybody(connection: Connection) -> dict[str, str]:
    """The name of every account, by its id."""
    return {str(row["id"]): row["name"] for row in await connection.fetch(_sql("everybody"))}


def _checked(name: str) -> str:
    """A name that a person can see and tell from others. Raises InvalidName."""
    if not name.strip() or len(name) > NAME_LIMIT or one_line(name) != name:
        raise InvalidName(f"a name has 1 to {NAME_LIMIT} visible characters, none around it: {name[:NAME_LIMIT]!r}")
    return name


def hash_of(secret: str) -> bytes:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def _sql(name: str) -> str:
    return sql.load("services.api.access", f"sql/{name}.sql")


__all__ = [
    "LINK_LIVES",
    "SESSION_LIVES",
    "Identity",
    "Kept",
    "Origin",
    "Person",
    "Role",
    "Session",
    "SignIn",
    "Token",
    "account_named",
    "create_account",
    "create_sign_in_link",
    "create_token",
    "end_session",
    "end_session_of",
    "ensure_admin",
    "hash_of",
    "identities",
    "is_sign_in_link",
    "names",
    "people",
    "revoke_named",
    "revoke_token",
    "revoke_tokens",
    "sessions",
    "sign_ins",
    "tokens",
    "use_sign_in_link",
    "was_used",
]
