"""What every request meets before any route is looked for, and every answer on its way out.

limits of a header    request id    HEAD is GET without a body    the headers that every answer carries
"""

import re
import uuid
from collections.abc import Iterable
from typing import Final

import structlog
from litestar.enums import HttpMethod, ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from services.api import security
from services.api.front.answers import Answer
from services.api.front.protocol import HEADER_BYTES
from services.api.front.refusals import body_of, head_of
from services.api.panel.rendering import STATIC_PATH
from services.api.problems import ADDRESS_TOO_LONG, HEADER_TOO_LARGE, NOT_FOUND, Problem

HEADERS: Final = 100
TARGET_BYTES: Final = 8 * 1024
"""Of path and query."""

PART_BYTES: Final = 255
"""Of a file's name, which is what stands between two slashes."""

REQUEST_ID: Final = b"x-request-id"
_ID: Final = re.compile(rb"[A-Za-z0-9._~+/=:-]{1,128}")

_LARGE: Final = Problem(HEADER_TOO_LARGE, f"At most {HEADERS} headers of {HEADER_BYTES} bytes together.")
_LONG: Final = Problem(ADDRESS_TOO_LONG, f"Path and query may have {TARGET_BYTES} bytes together.")
_NOWHERE: Final = Problem(NOT_FOUND, f"No file has a NUL in its name, or more than {PART_BYTES} bytes.")


def reception(app: ASGIApp) -> ASGIApp:
    """The app behind it all."""

    async def receive_request(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        request_id = _request_id(scope["headers"])
        answer = Answer(scope["method"], scope["path"], scope["headers"], _stamped(send, request_id))
        with structlog.contextvars.bound_contextvars(request_id=request_id.decode()):
            if (problem := _refusal(scope)) is not None:
                await _refuse(problem, answer.send)
                return
            if scope["method"] == "HEAD":
                scope["method"] = HttpMethod.GET
            await app(scope, answer.receiving(receive), answer.send)

    return receive_request


def _refusal(scope: HTTPScope) -> Problem | None:
    headers = list(scope["headers"])
    if len(headers) > HEADERS or sum(len(name) + len(value) for name, value in headers) > HEADER_BYTES:
        return _LARGE
    if len(scope["raw_path"]) + len(scope["query_string"]) > TARGET_BYTES:
        return _LONG
    return _NOWHERE if scope["path"].startswith(STATIC_PATH) and not _can_be_a_file(scope["path"]) else None


def _can_be_a_file(path: str) -> bool:
    """What a file system takes; asked for anything else it answers with an error of its own kind."""
    parts = path.encode("utf-8", "surrogateescape").split(b"/")
    return not any(len(part) > PART_BYTES or b"\0" in part for part in parts)


async def _refuse(problem: Problem, send: Send) -> None:
    await send({"type": "http.response.start", "status": problem.kind.status, "headers": head_of(problem)})
    await send({"type": "http.response.body", "body": body_of(problem), "more_body": False})


def _request_id(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The client's, where it is one that can be logged and sent back; else a new one."""
    given = next((value for name, value in headers if name == REQUEST_ID), b"")
    return given if _ID.fullmatch(given) else uuid.uuid4().hex.encode()


def _with_head(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """`Allow`: whoever answered knows nothing of HEAD, which is GET here."""
    if name.lower() != b"allow":
        return name, value
    methods = {method.strip() for method in value.split(b",")}
    return name, b", ".join(sorted(methods | ({b"HEAD"} if b"GET" in methods else set())))


_SECURITY: Final = {name.lower().encode(): value.encode() for name, value in security.HEADERS.items()}


def _stamped(send: Send, request_id: bytes) -> Send:
    """Whatever answered: a route, a file, an error in either, or nobody."""

    async def send_on(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = [_with_head(name, value) for name, value in message["headers"]]
            names = {name.lower() for name, _ in given}
            missing = [(name, value) for name, value in _SECURITY.items() if name not in names]
            message["headers"] = [*given, *missing, (REQUEST_ID, request_id)]
        await send(message)

    return send_on
