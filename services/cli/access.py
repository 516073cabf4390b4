"""`kronik signin` and `kronik token`: straight from the database, so that they work where nobody has a token yet."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import asyncpg

from services.api.access.store import Role, Token
from services.cli import target, terminal
from services.cli.api import Unreachable
from services.cli.usage import BadUsage
from services.stack import entrance
from services.stack.entrance import Who

T = TypeVar("T")


def signin_command(account: str = "admin", /, *, role: Role | None = None, json: terminal.AsJson = False) -> int:
    """Print a new link that signs in to the panel, once, within an hour.

    Parameters
    ----------
    account
        Whom it signs in; made where it is missing and a role is given.
    role
        What the account may do from now on: a viewer reads, an operator also runs and cancels, an admin does all.
    """
    to = target.find()
    url, path = to.address(), _ask(entrance.sign_in_path(to.database(), Who(account, role)))
    if json:
        terminal.print_json({"account": account, "url": f"{url}{path}"})
    else:
        terminal.print_line(f"{url}{path}")
    return 0


def token_command(
    name: str,
    revoked: str | None = None,
    /,
    *,
    account: str | None = None,
    role: Role | None = None,
    json: terminal.AsJson = False,
) -> int:
    """Print a new token for a program, sent as `Authorization: Bearer …`. It is shown this once.

    kronik token list: those there are. kronik token revoke NAME: it is not accepted any more.

    Parameters
    ----------
    name
        What you call it.
    account
        Whose it is: what it does is done in this name. The admin's, unless a role is given: then one called as it is.
    role
        What the account may do from now on; made where it is missing.
    """
    to = target.find().database()
    if name == "list" and revoked is None:
        _list(_ask(entrance.tokens(to)), as_json=json)
        return 0
    if name == "revoke":
        return _revoke(to, revoked, account, as_json=json)
    if revoked is not None:
        raise BadUsage(f"{revoked}: a token has one name; put it in quotes")
    who = Who(account or (name if role else Who().account), role)
    token = _ask(entrance.new_token(to, name, who))
    if json:
        terminal.print_json({"name": name, "account": who.account, "token": token})
    else:
        terminal.print_line(token)
    return 0


def _revoke(database_url: str, name: str | None, account: str | None, *, as_json: bool) -> int:
    if name is None:
        raise BadUsage("kronik token revoke NAME: say which one, as `kronik token list` lists them")
    count = _ask(entrance.revoke(database_url, name, account))
    if not count:
        raise BadUsage(f"no token that is accepted is called {name}; `kronik token list` lists them")
    if as_json:
        terminal.print_json({"name": name, "revoked": count})
        return 0
    terminal.say(f"revoked {name}" if count == 1 else f"revoked {count} tokens called {name}")
    return 0


def _list(tokens: list[Token], *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(tokens)
        return
    table = terminal.table("Name", "Account", "Role", f"Made ({terminal.zone()})", "Revoked")
    for one in tokens:
        revoked = terminal.instant(one.revoked_at) if one.revoked_at else ""
        table.add_row(terminal.cut(one.name), one.account, one.role, terminal.instant(one.created_at), revoked)
    terminal.show(table)


def _ask(answer: Awaitable[T]) -> T:
    """Raises Unreachable."""

    async def ask() -> T:
        return await answer

    try:
        return asyncio.run(ask())
    except asyncpg.CheckViolationError as error:
        raise BadUsage("an account must have a name") from error
    except (OSError, asyncpg.PostgresError) as error:
        raise Unreachable(f"Postgres does not answer: {error}") from error
