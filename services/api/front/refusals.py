"""Problem details for what is refused before the app sees it."""

import msgspec

from services.api import security
from services.api.problems import MEDIA_TYPE, Problem, details


def body_of(problem: Problem) -> bytes:
    return msgspec.json.encode(details(problem))


def head_of(problem: Problem) -> list[tuple[bytes, bytes]]:
    headers = {
        **security.HEADERS,
        **problem.headers,
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(body_of(problem))),
        "Cache-Control": "no-store",
        "Connection": "close",
    }
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]
