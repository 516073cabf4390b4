"""`kronik signin` and `kronik token`: straight from the database, so that they work where nobody has a token yet."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import asyncpg

from services.cli import target, terminal
from services.cli.api import Unreachable
from services.stack import entrance

T = TypeVar("T")


def signin_command() -> int:
    """Print a new link that signs in to the panel as the admin, once, within an hour."""
    to = target.find()
    url, path = to.address(), _ask(entrance.sign_in_path(to.database()))
    terminal.print_line(f"{url}{path}")
    return 0


def token_command(name: str, /) -> int:
    """Print a new token of the admin for a program, sent as `Authorization: Bearer …`. It is shown this once.

    Parameters
    ----------
    name
        What you call it.
    """
    terminal.print_line(_ask(entrance.new_token(target.find().database(), name)))
    return 0


def _ask(answer: Awaitable[T]) -> T:
    """Raises Unreachable."""

    async def ask() -> T:
        return await answer

    try:
        return asyncio.run(ask())
    except (OSError, asyncpg.PostgresConnectionError) as error:
        raise Unreachable(f"Postgres does not answer: {error}") from error
