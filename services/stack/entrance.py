"""How the person who started `up` gets in: an admin account, its API token, and a link to sign in with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from kronik import KronikError
from msgspec import Struct

from services.api.access import store
from services.api.access.store import Connection, Role, Token
from services.stack.credentials import Secrets

_TOKEN_NAME = "kronik up"


async def admin_token(database_url: str, secrets: Secrets) -> str:
    """The kept token if this database still knows it, else a new one."""
    connection = await asyncpg.connect(database_url)
    try:
        if secrets.token is not None and await _is_known(connection, secrets.token):
            return secrets.token
        return await store.create_token(connection, await store.ensure_admin(connection), _TOKEN_NAME)
    finally:
        await connection.close()


async def _is_known(connection: Connection, token: str) -> bool:
    return bool(await store.identities(connection, "token", [store.hash_of(token)]))


class NoSuchAccount(KronikError):
    """No account has this name, and it was not said what it may do."""


class Who(Struct, frozen=True):
    """An account by its name. role: what it may do from now on; None: what it may already. Made where it is missing."""

    account: str = "admin"
    role: Role | None = None


async def new_token(database_url: str, name: str, who: Who = Who()) -> str:  # noqa: B008  frozen
    """A new token of the account, beside those there are. Raises NoSuchAccount."""
    async with _connected(database_url) as connection:
        return await store.create_token(connection, await _account(connection, who), name)


async def sign_in_path(database_url: str, who: Who = Who()) -> str:  # noqa: B008  frozen
    """The path of a new link that signs in as the account once, within an hour. Raises NoSuchAccount."""
    async with _connected(database_url) as connection:
        return f"/sign-in/{await store.create_sign_in_link(connection, await _account(connection, who))}"


async def tokens(database_url: str) -> list[Token]:
    async with _connected(database_url) as connection:
        return await store.tokens(connection)


async def revoke(database_url: str, name: str, account: str | None) -> int:
    """How many tokens of this name were accepted until now."""
    async with _connected(database_url) as connection:
        return await store.revoke_named(connection, name, account)


async def _account(connection: Connection, who: Who) -> str:
    if who.role is not None:
        return await store.create_account(connection, who.account, who.role)
    if who.account == Who().account:
        return await store.account_named(connection, who.account) or await store.ensure_admin(connection, who.account)
    found = await store.account_named(connection, who.account)
    if found is None:
        raise NoSuchAccount(f"there is no account {who.account}; with --role viewer, operator or admin it is made")
    return found


@asynccontextmanager
async def _connected(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database_url)
    try:
        yield connection
    finally:
        await connection.close()
