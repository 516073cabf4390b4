"""Signing in with a link, and out; and what stands at the bare address."""

from typing import Any

from litestar import Request, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from services.api.access import store
from services.api.access.gate import COOKIE, refuse_other_sites
from services.api.history.queries import Pool
from services.api.problems import LINK_USED_UP, Problem

HOME = "/admin/system"


@get("/", include_in_schema=False)
async def front_door() -> Redirect:
    return Redirect(HOME)


@get("/sign-in/{secret:str}", include_in_schema=False)
async def sign_in(request: Request[Any, Any, Any], secret: FromPath[str], pool: NamedDependency[Pool]) -> Redirect:
    session = await store.use_sign_in_link(pool, secret)
    if session is None:
        raise Problem(LINK_USED_UP, "A sign-in link works once, within an hour. Make another: `kronik signin`.")
    seconds = int(store.SESSION_LIVES.total_seconds())
    return Redirect(HOME, status_code=303, cookies=[_cookie(request, session, seconds)])


@post("/sign-out", include_in_schema=False)
async def sign_out(request: Request[Any, Any, Any], pool: NamedDependency[Pool]) -> Redirect:
    refuse_other_sites(request)
    await store.end_session(pool, request.cookies.get(COOKIE, ""))
    return Redirect(HOME, status_code=303, cookies=[_cookie(request, "", 0)])


def _cookie(request: Request[Any, Any, Any], value: str, seconds: int) -> Cookie:
    secure = request.url.scheme == "https"
    return Cookie(key=COOKIE, value=value, httponly=True, samesite="lax", secure=secure, path="/", max_age=seconds)


routes: list[Any] = [front_door, sign_in, sign_out]

__all__ = ["HOME", "routes"]
