"""The NATS protocol as a client reads it, proof against what strangers had stored.

A subject may hold any byte but a blank, a tab and a line's end, and headers may hold all of them; nats-server stores
and delivers both as they came. nats-py's own parser takes a vertical tab for a blank, and gives its connection up on a
subject or a status line that is not UTF-8: one such message in the stream, and whoever reads it
connects, reads it, and connects again. This one cuts messages where the server says that they end, and makes text of
what it passes on. It is also several times as fast, because it takes a chunk apart without copying the rest of it.

Who reads the whole stream can have deliveries as they came (deliver_raw): what nats-py makes of a message before
anybody sees it, a task, a queue and a dictionary of its headers, costs more than decoding and folding an event.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.errors import ProtocolError
from nats.protocol.parser import AWAITING_MSG_PAYLOAD
from nats.protocol.parser import Parser as NatsParser

EXPECTED: Final = "Nats-Expected-Last-Subject-Sequence"
EXPECTED_FILTER: Final = f"{EXPECTED}-Subject"

Raw = Callable[[bytes, bytes, bytes | None, bytes], None]
"""Takes a delivery's subject, reply, headers and body."""
Short = Callable[[bytes, int], int]
"""Takes from a chunk, where a message begins, as many as it knows by sight: where the next one begins."""

_ACK: Final = b"$JS.ACK."
_HEADERS: Final = b"NATS/1.0\r\n"
_STATUS: Final = b"NATS/1.0 "
_PLAIN: Final = bytes([*b"\t\r\n", *range(0x20, 0x7F)])
_ESCAPED: Final = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F) if code not in b"\t\r\n"}
_EXPECTED: Final = EXPECTED.encode()
_EXPECTATION: Final = re.compile(rb"\r\n(%b(?:-Subject)?): ?[!-~]+(?=\r\n)" % _EXPECTED)
_AS_WE_SAY_IT: Final = re.compile(rb"\r\n%b: [0-9]+\r\n%b-Subject: [!-~]+\r\n" % (_EXPECTED, _EXPECTED))
"""Nearly all of a stream, told in half the time."""
_LONGEST_LINE: Final = 2**20
"""The server's own limit for a line is 4 kB by default; what it says of itself on INFO can be longer."""


def harden(connection: Client) -> Client:
    """Give a connection this parser; what it has read and not yet understood is taken over. The connection itself."""
    before = connection._ps
    if not isinstance(before, Parser):
        assert before.state != AWAITING_MSG_PAYLOAD, "nothing was subscribed to yet"
        connection._ps = Parser(connection)
        connection._ps.buf = before.buf
    return connection


def text(raw: bytes) -> str:
    """Text that can be stored and compared; control characters and what is not UTF-8 stand there as `\\xff`.

    Where headers are read their ends are stripped, of a form feed too: `…admin\\x0c` must not become `…admin`.
    """
    if not raw.translate(None, _PLAIN):
        return raw.decode()
    return raw.decode("utf-8", "backslashreplace").translate(_ESCAPED)


def deliver_raw(connection: Client, subscription: Subscription, take: Raw, short: Short | None = None) -> None:
    """Give what a consumer delivers on this subscription to `take`, at once and in order; all else goes nats-py's way.

    short: tried before. Until forget_raw. Neither may raise.
    """
    parser, sid = _parser(connection), b"%d" % subscription._id
    parser.raw[sid] = take
    if short is not None:
        parser.short[sid] = short


def forget_raw(connection: Client, subscription: Subscription) -> None:
    parser, sid = _parser(connection), b"%d" % subscription._id
    parser.raw.pop(sid, None)
    parser.short.pop(sid, None)


def _parser(connection: Client) -> "Parser":
    parser = harden(connection)._ps
    assert isinstance(parser, Parser)
    return parser


class Parser(NatsParser):
    """Takes the place of nats-py's: the connection calls parse() with every chunk, and reset() when it was lost."""

    def __init__(self, connection: Client) -> None:
        super().__init__(connection)
        self.raw: dict[bytes, Raw] = {}
        self.short: dict[bytes, Short] = {}

    async def parse(self, data: bytes = b"") -> None:
        """Raises ProtocolError for what is not the protocol."""
        buffer = self.buf
        buffer += data
        if len(buffer) < self.needed:
            return
        chunk, begin = bytes(buffer), 0
        while self.buf is buffer:
            begin = self._deliver(chunk, begin)
            after = await self._take(chunk, begin)
            if after == begin:
                break
            begin = after
        del buffer[:begin]

    def _deliver(self, chunk: bytes, begin: int) -> int:
        """Hand raw deliveries over, as many as stand here behind each other: where the next thing begins."""
        while self.raw:
            for short in self.short.values():
                begin = short(chunk, begin)
            if (end := chunk.find(b"\r\n", begin)) < 0:
                break
            words = chunk[begin:end].split(b" ")
            if words[0] == b"HMSG" and len(words) == 6:
                body = end + 2 + int(words[4])
            elif words[0] == b"MSG" and len(words) == 5:
                body = end + 2
            else:
                break
            after, take = end + 2 + int(words[-1]), self.raw.get(words[2])
            if take is None or len(chunk) < after + 2 or not words[3].startswith(_ACK):
                break
            take(words[1], words[3], chunk[end + 2 : body] or None, chunk[body:after])
            begin = after + 2
        return begin

    async def _take(self, chunk: bytes, begin: int) -> int:
        """Where the message or the line ends that begins here, once it was taken; `begin` while it is not whole."""
        self.needed = 0
        end = chunk.find(b"\r\n", begin)
        if end < 0:
            if len(chunk) - begin > _LONGEST_LINE:
                raise ProtocolError("nats: a line without an end")
            return begin
        if not chunk.startswith((b"MSG ", b"HMSG "), begin):
            await self._on_line(chunk[begin:end])
            return end + 2
        words = chunk[begin:end].split(b" ")
        start = end + 2
        after = start + int(words[-1])
        if len(chunk) < after + 2:
            self.needed = after + 2 - begin
            return begin
        body, headers = start, None
        if words[0] == b"HMSG":
            body = start + int(words.pop(-2))
            headers = readable(chunk[start:body])
        reply = words[3] if len(words) == 5 else b""
        await self._on_message(int(words[2]), _utf8(words[1]), reply, chunk[body:after], headers)
        return after + 2

    async def _on_message(self, sid: int, subject: bytes, reply: bytes, body: bytes, headers: bytes | None) -> None:
        client: Any = self.nc
        await client._process_msg(sid, subject, reply, body, headers)

    async def _on_line(self, line: bytes) -> None:
        """Everything but messages is rare, and the server's own: nats-py reads it."""
        await _Lines(self.nc).parse(line + b"\r\n")


class _Lines(NatsParser):
    """nats-py's parser, for one whole line."""


def readable(headers: bytes) -> bytes:
    """Headers as nats-py can read them: a first line of NATS/1.0, and UTF-8 throughout."""
    usual = headers.startswith(_HEADERS) or (headers.startswith(_STATUS) and b"\r\n" in headers)
    return _utf8(_unambiguous(headers if usual else _HEADERS + headers))


def _unambiguous(headers: bytes) -> bytes:
    """Of several expectations the server compares the first, none that is indented, and blanks count; to nats-py the
    last one holds, stripped of them. What the two would read in different ways is no expectation at all."""
    said = headers.count(_EXPECTED)
    if not said or (said == 2 and _AS_WE_SAY_IT.search(headers)):
        return headers
    plain = _EXPECTATION.findall(headers)
    return headers if len({*plain}) == len(plain) == said else headers.replace(_EXPECTED, b"Ambiguous")


def _utf8(raw: bytes) -> bytes:
    return text(raw).encode() if raw.translate(None, _PLAIN) else raw
