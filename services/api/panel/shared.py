"""Pages that many have open: when the history moves, all of them ask again at once, and get what one of them was made.

Only for who refreshes an open page; whoever opens one, or comes back from a button, gets it made anew. A page is
shared by who sees the same: its role and its language. What is a person's own stands in for `NAME` until it is sent.
"""

import secrets
from collections import OrderedDict
from typing import Any, Final

from litestar import Request

from services.infra.clock import monotonic_s

NAME: Final = f"\ue000{secrets.token_hex(8)}\ue000"
"""Nobody can write it who does not know it."""
REFRESH: Final = "x-kronik-refresh"

_FRESH_S: Final = 0.25
_KEPT: Final = 64

Key = tuple[str, ...]


class Shared:
    """The pages of the last moment."""

    def __init__(self) -> None:
        self._pages: OrderedDict[Key, tuple[float, str]] = OrderedDict()

    def get(self, key: Key) -> str | None:
        made, page = self._pages.get(key, (0.0, ""))
        return page if page and monotonic_s() - made < _FRESH_S else None

    def put(self, key: Key, page: str) -> None:
        self._pages[key] = (monotonic_s(), page)
        self._pages.move_to_end(key)
        while len(self._pages) > _KEPT:
            self._pages.popitem(last=False)


def key_of(request: Request[Any, Any, Any], language: str) -> Key | None:
    """None for what is nobody else's: a form that was sent, a page for a stranger."""
    identity = request.scope.get("user")
    if request.method != "GET" or identity is None:
        return None
    path, query = request.scope["path"], request.scope["query_string"].decode("latin-1")
    return (str(request.scope.get("root_path") or ""), path, query, language, identity.role)
