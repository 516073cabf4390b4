"""How the person who started `up` gets in: an admin account, its API token, and a link to sign in with."""

import asyncpg

from services.api.access import store
from services.stack.credentials import Secrets

_TOKEN_NAME = "kronik up"


async def admin_token(database_url: str, secrets: Secrets) -> str:
    """The kept token if this database still knows it, else a new one."""
    connection = await asyncpg.connect(database_url)
    try:
        if secrets.token is not None and await store.by_token(connection, secrets.token) is not None:
            return secrets.token
        return await store.create_token(connection, await store.ensure_admin(connection), _TOKEN_NAME)
    finally:
        await connection.close()


async def new_token(database_url: str, name: str) -> str:
    """A new token of the admin, beside those there are."""
    connection = await asyncpg.connect(database_url)
    try:
        return await store.create_token(connection, await store.ensure_admin(connection), name)
    finally:
        await connection.close()


async def sign_in_path(database_url: str) -> str:
    """The path of a new link that signs in as the admin once, within an hour."""
    connection = await asyncpg.connect(database_url)
    try:
        return f"/sign-in/{await store.create_sign_in_link(connection, await store.ensure_admin(connection))}"
    finally:
        await connection.close()
