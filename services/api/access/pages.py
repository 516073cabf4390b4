"""Signing in with a link, and out; and what stands at the bare address.

Whoever fetches a link (a chat that shows a preview, a browser that looks ahead) gets a page with a button: the
button alone, which a person presses on that page, uses the link up.
"""

from functools import partial
from typing import Any, Final

from kronik.text import clean
from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from services.api.access import store
from services.api.access.gate import COOKIE, refuse_other_sites
from services.api.access.secrets_sent import address_of, opened
from services.api.access.store import Origin
from services.api.history.queries import Pool
from services.api.panel.rendering import base_of, render, stranger
from services.api.problems import LINK_USED_UP, Problem

HOME = "/admin/system"

_AGENT_LIMIT: Final = 300
_NO_STORE: Final = {"Cache-Control": "no-store"}


@get("/", include_in_schema=False)
async def front_door(request: Request[Any, Any, Any]) -> Redirect:
    return Redirect(base_of(request) + HOME)


@get("/sign-in/{secret:str}", include_in_schema=False)
async def offer(request: Request[Any, Any, Any], secret: FromPath[str], pool: NamedDependency[Pool]) -> Response[str]:
    """The page with the button, which needs no JavaScript."""
    await opened(request, "link", secret, partial(store.is_sign_in_link, pool), _used_up())
    return render(request, "sign_in.html", stranger(request), live=False)


@post("/sign-in/{secret:str}", include_in_schema=False)
async def sign_in(request: Request[Any, Any, Any], secret: FromPath[str], pool: NamedDependency[Pool]) -> Redirect:
    refuse_other_sites(request, programs_too=False)
    origin = Origin(address_of(request), clean(request.headers.get("User-Agent", ""), _AGENT_LIMIT))
    use = partial(store.use_sign_in_link, pool, origin=origin)
    session = await opened(request, "link", secret, use, _used_up())
    seconds = int(store.SESSION_LIVES.total_seconds())
    return Redirect(
        base_of(request) + HOME, status_code=303, cookies=[_cookie(request, session, seconds)], headers=_NO_STORE
    )


@post("/sign-out", include_in_schema=False)
async def sign_out(request: Request[Any, Any, Any], pool: NamedDependency[Pool]) -> Redirect:
    refuse_other_sites(request)
    await store.end_session(pool, request.cookies.get(COOKIE, ""))
    return Redirect(base_of(request) + HOME, status_code=303, cookies=[_cookie(request, "", 0)], headers=_NO_STORE)


def _used_up() -> Problem:
    detail = "A sign-in link works once, within an hour. Make another: `kronik signin`."
    return Problem(LINK_USED_UP, detail, headers=_NO_STORE)


def _cookie(request: Request[Any, Any, Any], value: str, seconds: int) -> Cookie:
    secure = request.url.scheme == "https"
    return Cookie(key=COOKIE, value=value, httponly=True, samesite="lax", secure=secure, path="/", max_age=seconds)


routes: list[Any] = [front_door, offer, sign_in, sign_out]

__all__ = ["HOME", "routes"]
