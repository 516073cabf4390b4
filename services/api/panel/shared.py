"""Pages that many have open: when the history moves, all of them ask again at once, and get what one of them was made.

Only for who refreshes an open page; whoever opens one, or comes back from a button, gets it made anew. A page is
shared by who sees the same: its role and its language. It says of nobody who reads it, and pages that have to are not
shared; an open page keeps its head.

    asked for ──▶ made since anything was told, a moment ago at most? that one
                  being made since then? the one it will be
                  else it is made, for all who ask until it is told that something changed
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Final

from litestar import Request
from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send

from services.api.front.answers import Headers, packed, takes_gzip
from services.api.panel.rendering import REFRESH, language_of
from services.api.told import Told
from services.infra.clock import monotonic_s
from services.infra.lifecycle import happens

_FRESH_S: Final = 0.5
"""What changes without an event: the progress of what runs, and "a minute ago"."""
_PATIENCE_S: Final = 2.0
"""So long it is waited for what somebody else asked for, and then asked for alone."""
_KEPT: Final = 64

Key = tuple[str, ...]


class Page:
    """As it is sent. number: what had been told when it was asked for."""

    def __init__(self, number: int) -> None:
        self.number, self.asked_s = number, monotonic_s()
        self.done = asyncio.Event()
        self.start: HTTPResponseStartEvent | None = None
        self.body = b""

    @cached_property
    def packed(self) -> bytes:
        return packed(self.body)

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
        elif message["type"] == "http.response.body":
            self.body += message["body"]

    @property
    def is_everybodys(self) -> bool:
        """An error is of one request, and so is a cookie."""
        start = self.start
        return start is not None and start["status"] == 200 and b"set-cookie" not in dict(_lower(start["headers"]))

    async def send(self, send: Send, *, compressed: bool) -> None:
        assert self.start is not None
        body = self.packed if compressed else self.body
        headers = [one for one in _lower(self.start["headers"]) if one[0] != b"content-length"]
        headers.append((b"content-length", b"%d" % len(body)))
        if compressed:
            headers.append((b"content-encoding", b"gzip"))
        await send({**self.start, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


class Shared:
    """The pages of the last moment, those that are being made among them."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._pages: OrderedDict[Key, Page] = OrderedDict()

    async def get(self, key: Key) -> Page | None:
        """None: it is to be made."""
        page = self._pages.get(key)
        if page is None or page.number != self._told.number or monotonic_s() - page.asked_s > _FRESH_S:
            return None
        return page if await happens(page.done, _PATIENCE_S) and page.is_everybodys else None

    async def make(self, key: Key, app: ASGIApp, scope: Scope, receive: Receive) -> Page:
        """By the app, for everybody who asks for it meanwhile and a moment after."""
        self._pages[key] = page = Page(self._told.number)
        self._pages.move_to_end(key)
        while len(self._pages) > _KEPT:
            self._pages.popitem(last=False)
        try:
            await app(scope, receive, page.take)
        finally:
            page.done.set()
        return page


def shared(app: ASGIApp) -> ASGIApp:
    """Behind the gate, which knows who asks."""

    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request[Any, Any, Any](scope)
        key = _key_of(request)
        if key is None:
            await app(scope, receive, send)
            return
        pages: Shared = request.app.state.shared
        page = await pages.get(key) or await pages.make(key, app, scope, receive)
        await page.send(send, compressed=page.is_everybodys and takes_gzip(scope["headers"]))

    return answered


def _key_of(request: Request[Any, Any, Any]) -> Key | None:
    """None for what is not shared: pages with nothing of who reads them say `shared=True` where they are routed."""
    identity = request.scope.get("user")
    shared = REFRESH in request.headers and request.scope["route_handler"].opt.get("shared")
    if not shared or request.method != "GET" or identity is None:
        return None
    path, query = request.scope["path"], request.scope["query_string"].decode("latin-1")
    return (str(request.scope.get("root_path") or ""), path, query, language_of(request).code, identity.role)


def _lower(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    return [(name.lower(), value) for name, value in headers]
