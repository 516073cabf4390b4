"""What a stranger may have stored: any bytes for headers and body, nearly any for the subject."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from hypothesis import strategies as st

_INBOX = b"_INBOX_stranger"


def headers(*lines: bytes) -> bytes:
    return b"NATS/1.0\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


HEADERS = (
    headers(b"Status: 404"),
    headers(b"Status: 503", b"Description: No Responders"),
    headers(b"Status: 409", b"Description: Consumer Deleted"),
    headers(b"Status: 408", b"Nats-Pending-Messages: 1000000"),
    headers(b"Status: 100", b"Description: Idle Heartbeat"),
    headers("Status: ²".encode()),
    headers(b"ce-specversion: 1.0", b"ce-type: x", b"ce-id: a%20b", b"CE-Source:/kitchen", b"ce-id: c"),
    headers(b"CE-SpecVersion: \xff", b"ce-subject: %ff%zz", b"content-type: text/plain"),
    b"NATS/1.0 404 Not Found\r\n\r\n",
    b"NATS/1.0 503\r\n\r\n",
    b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 1\r\n\r\n",
    b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: x\r\n\r\n",
    b"NATS/1.0 \xff\xfe\xfd \xff\r\n\r\n",
    b"NATS/1.0 404\r\nA: \xff\r\n\r\n",
    b"NATS/1.0  Nats-Msg-Id: unseen\r\n\r\n",
    b"abcdefgh \xff\xff\xff\r\n\r\n",
    b"N",
    b"\x00\xff\x01",
    b"\r\n",
    b"NATS/1.0\r\nA: b",
    headers(b"without a colon", b": without a name", b"\xff\xfe: \xff"),
    headers(b"Nats-Msg-Id: \xff\xfe"),
    headers(b"Nats-Msg-Id: one-of-two", b"Nats-Msg-Id: two-of-two"),
    headers(b"Nats-Sequence: 999", b"Nats-Subject: jobs.x", b"Nats-Time-Stamp: now", b"Nats-Stream: X"),
    headers(b"Nats-Sequence: x", b"Nats-Sequence: \xff"),
    headers(b"nats-sequence: 999", b"nats-msg-id: lower"),
    headers(b"A: b", b" Nats-Sequence: 5", b"\tStatus: 404"),
    headers(b"A: b\nNats-Sequence: 5"),
    headers(b" Nats-Expected-Last-Subject-Sequence: 0", b"A: Nats-Expected-Last-Subject-Sequence-Subject: jobs.>"),
    headers(b"Nats-Num-Pending: 0", b"Nats-Last-Sequence: 3", b"Nats-UpTo-Sequence: 1"),
    headers(b"Nats-Marker-Reason: Remove", b"KV-Operation: DEL"),
    headers(b"Big: " + b"x" * 65_000),
    headers(*(b"H%d: x" % number for number in range(5_000))),
)

ORDERS = (
    headers(b"Nats-TTL: 1s"),
    headers(b"Nats-TTL: x"),
    headers(b"Nats-Rollup: all"),
    headers(b"Nats-Rollup: sub"),
    headers(b"Nats-Schedule: @at 2030-01-01T00:00:00Z", b"Nats-Schedule-Target: jobs.trigger.X.admin"),
    headers(b"Nats-Schedule-Next: purge", b"Nats-Scheduler: jobs.trigger.X.admin"),
    headers(b"Nats-Incr: 1"),
    headers(b"Nats-Expected-Stream: X"),
    headers(b"Nats-Expected-Last-Sequence: 1"),
    headers(b"Nats-Expected-Last-Subject-Sequence: 0", b"Nats-Expected-Last-Subject-Sequence-Subject: a b"),
    headers(b"Nats-Expected-Last-Subject-Sequence: 0", b"Nats-Expected-Last-Subject-Sequence-Subject: >.>.*"),
    headers(b"Nats-Batch-Id: a", b"Nats-Batch-Sequence: 1"),
    headers(b"Nats-Batch-Id: b", b"Nats-Batch-Sequence: 2", b"Nats-Batch-Commit: 1"),
    headers(b"Nats-Batch-Id: ../../c", b"Nats-Batch-Sequence: 1", b"Nats-Batch-Commit: 1"),
    headers(b"Nats-Batch-Id: d", b"Nats-Batch-Sequence: x", b"Nats-Batch-Commit: eob"),
    headers(b"Nats-Batch-Id: e", b"Nats-Batch-Sequence: 1", b"Nats-Batch-Commit: 1", b"Nats-Expected-Last-Msg-Id: x"),
    headers(b"Nats-Fast-Batch-Id: f"),
    headers(b"Nats-Msg-Id: " + b"x" * 60_000),
    headers(b"Nats-Marker-Reason: MaxAge"),
    headers(b"Nats-Required-Api-Level: 99"),
    headers(b"Nats-Stream-Source: JOBS 1 > > a b"),
    headers(b'Nats-Request-Info: {"acc":"KRONIK"}'),
    headers(b"Nats-Trace-Dest: jobs.trigger.X.admin"),
)
"""Headers that nats-server obeys, or refuses."""

SUBJECTS = (
    b"jobs.trigger.X.\xff\xfe",
    b"jobs.trigger.X.\x01\x1b[31m",
    b"jobs.trigger.X.\x85\xa0",
    b"jobs.trigger.X.\x00",
    b"jobs.trigger.X.a\x0bb",
    b"jobs.trigger.X.\x0c",
    "jobs.trigger.X.a\u2003b\u2028c".encode(),
    b"jobs.trigger.*.crm",
    b"jobs.>",
    b"jobs.run.X.1.\xff",
    b"jobs.definition.\xff\x0b",
    b"jobs." + b".".join([b"a"] * 200),
    b"jobs.trigger.X." + b"a" * 3_000,
)

_EXPECTED = b"Nats-Expected-Last-Subject-Sequence"
_wrong = st.sampled_from([b"99", b"\t99", b"99 ", b"+99", b"", b"x", b"0", b"-1"])
_filters = st.sampled_from(
    [b"jobs.run.X.7.>", b"jobs.run.X.7.> ", b"\tjobs.run.X.7.>", b"jobs.run.X.8.>", b"jobs.>", b""]
)
_before = st.sampled_from([b"", b"", b" ", b"A: b\n", b"A: ", b"X-", b"A: b\r"])
_after = st.sampled_from([b": ", b": ", b":", b" : ", b":\t"])
false_expectations = st.lists(
    st.one_of(
        st.builds(lambda *parts: b"".join(parts), _before, st.just(_EXPECTED), _after, _wrong),
        st.builds(lambda *parts: b"".join(parts), _before, st.just(_EXPECTED + b"-Subject"), _after, _filters),
    ),
    min_size=1,
    max_size=4,
).map(lambda lines: headers(*lines))
"""Of an event behind others of run 7 of X, where 99 is not the last and 0 is not either."""

_tokens = st.binary(min_size=1, max_size=12).map(lambda raw: raw.translate(None, b" \t\r\n.")).filter(len)
subjects = st.one_of(
    st.sampled_from([b"jobs.trigger.X.crm", b"jobs.definition.X", *SUBJECTS]),
    st.lists(_tokens, min_size=1, max_size=4).map(lambda tokens: b"jobs." + b".".join(tokens)),
)
_names = st.sampled_from(
    b"Status Description Nats-Sequence Nats-Subject Nats-Time-Stamp Nats-Num-Pending Nats-Pending-Messages"
    b" Nats-Last-Sequence Nats-Stream X".split()
)
_lines = st.tuples(_names, st.one_of(st.binary(max_size=8), st.sampled_from([b"404", b"503", b"100", b"7"])))
blocks = st.one_of(
    st.none(),
    st.sampled_from(range(len(HEADERS))).map(lambda which: HEADERS[which]),
    st.binary(min_size=1, max_size=40),
    st.lists(_lines, max_size=4).map(lambda lines: headers(*(name + b": " + value for name, value in lines))),
)
bodies = st.one_of(st.binary(max_size=60), st.sampled_from([b"", b"{}", b'{"a":1}']))


@dataclass
class Stranger:
    """A client that is no library's: what it publishes reaches the server as it is."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def store(self, subject: bytes, header: bytes | None, body: bytes) -> int | None:
        """The sequence; None where the stream refused it, knew its id, or never saw it."""
        if header is None:
            self.writer.write(b"PUB %s %s.x %d\r\n%s\r\n" % (subject, _INBOX, len(body), body))
        else:
            sizes = len(header), len(header) + len(body)
            self.writer.write(b"HPUB %s %s.x %d %d\r\n%s%s\r\n" % (subject, _INBOX, *sizes, header, body))
        answer = json.loads((await self._answer()).strip() or b"{}")
        return None if answer.get("duplicate") else answer.get("seq") or None

    async def _answer(self) -> bytes:
        """An answer's body; empty for a status, which says that nobody listens."""
        while True:
            line = await asyncio.wait_for(self.reader.readline(), 10)
            if line.startswith((b"MSG ", b"HMSG ")):
                whole = await self.reader.readexactly(int(line.split()[-1]) + 2)
                return whole if line.startswith(b"MSG ") else b""
            if line.startswith(b"PING"):
                self.writer.write(b"PONG\r\n")


@asynccontextmanager
async def stranger(port: int, user: str = "", password: str = "") -> AsyncIterator[Stranger]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readline()
    hello = {"verbose": False, "headers": True, "no_responders": True, "user": user, "pass": password}
    writer.write(b"CONNECT %s\r\nSUB %s.> 1\r\n" % (json.dumps(hello).encode(), _INBOX))
    try:
        yield Stranger(reader, writer)
    finally:
        writer.transport.abort()
