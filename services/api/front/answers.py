"""An answer on its way out: without its body for HEAD, as 304 to who has it already, compressed where that helps."""

import gzip
import hashlib
from collections.abc import Iterable
from typing import Final

from litestar.types import HTTPResponseStartEvent, Message, Receive, ReceiveMessage, Send

Headers = list[tuple[bytes, bytes]]

_TAGGED: Final = ("/api/", "/schema")
_WORTH_IT_BYTES: Final = 1024
_COMPRESSED: Final = (b"application/json", b"application/problem+json", b"application/yaml", b"text/")
_LEVEL: Final = 4
_NOT_MODIFIED: Final = {b"content-length", b"content-type", b"content-encoding"}


class Answer:
    """Takes what the app sends. What comes in one piece may change; a stream goes on as it comes."""

    def __init__(self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]], send: Send) -> None:
        self._head = method == "HEAD"
        self._may_be_known = method in ("GET", "HEAD")
        self._is_tagged = self._may_be_known and path.startswith(_TAGGED)
        known = b",".join(value for name, value in headers if name == b"if-none-match")
        self._known = {tag.strip().removeprefix(b"W/") for tag in known.split(b",")} - {b""}
        self._takes_gzip = takes_gzip(headers)
        self._send = send
        self._start: HTTPResponseStartEvent | None = None
        self._over = False

    def receiving(self, receive: Receive) -> Receive:
        """Who streams to nobody is told so: a HEAD is over when its header is."""

        async def receive_or_over() -> ReceiveMessage:
            return {"type": "http.disconnect"} if self._over else await receive()

        return receive_or_over

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        elif message["type"] == "http.response.body" and not self._over:
            await self._send_body(message.get("body", b""), more=message.get("more_body", False))

    async def _send_body(self, body: bytes, *, more: bool) -> None:
        if self._start is not None:
            start, self._start = self._start, None
            body = body if more else self._whole(start, body)
            self._over = self._head or start["status"] == 304
            await self._send(start)
        if self._over:
            body, more = b"", False
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    def _whole(self, start: HTTPResponseStartEvent, body: bytes) -> bytes:
        """The body to send, with the headers that belong to it."""
        headers = [(name.lower(), value) for name, value in start["headers"]]
        if self._is_tagged and start["status"] == 200:
            self._tag(start, headers, body)
            if start["status"] == 304:
                return b""
        names = dict(headers)
        if len(body) >= _WORTH_IT_BYTES and names.get(b"content-type", b"").startswith(_COMPRESSED):
            headers = _varying(headers)
            if self._takes_gzip and b"content-encoding" not in names:
                body = packed(body)
                headers = [(name, value) for name, value in headers if name != b"content-length"]
                headers += [(b"content-encoding", b"gzip"), (b"content-length", b"%d" % len(body))]
        start["headers"] = headers
        return body

    def _tag(self, start: HTTPResponseStartEvent, headers: Headers, body: bytes) -> None:
        """Weak, for the same answer may be compressed or not."""
        tag = b'"%s"' % hashlib.sha256(body).hexdigest()[:32].encode()
        headers.append((b"etag", b"W/" + tag))
        if not any(name == b"cache-control" for name, _ in headers):
            headers.append((b"cache-control", b"private, no-cache"))
        if self._known & {tag, b"*"}:
            start["status"] = 304
            start["headers"] = [one for one in headers if one[0] not in _NOT_MODIFIED]


def _varying(headers: Headers) -> Headers:
    given = b", ".join(value for name, value in headers if name == b"vary")
    others = [one for one in headers if one[0] != b"vary"]
    return [*others, (b"vary", given + b", Accept-Encoding" if given else b"Accept-Encoding")]


def packed(body: bytes) -> bytes:
    return gzip.compress(body, _LEVEL, mtime=0)


def takes_gzip(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """RFC 9110: `gzip;q=0` is a no."""
    accepted = b",".join(value for name, value in headers if name == b"accept-encoding")
    for one in accepted.lower().split(b","):
        coding, _, quality = one.replace(b" ", b"").partition(b";q=")
        if coding in (b"gzip", b"*"):
            return quality not in (b"0", b"0.0", b"0.00", b"0.000")
    return False
