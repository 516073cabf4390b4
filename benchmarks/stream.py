"""A stream with a long history, made for measuring: runs of three events each, as the services write them.

In atomic batches over a socket of its own, because five million appends one by one take twenty minutes. Of each kind of
event one is encoded as Kronik does, and what differs from run to run is put in its place.
"""

import asyncio
import json
from datetime import UTC, datetime
from typing import Final

from kronik import codec, subjects
from kronik.events import AnyEvent, Completed, Started, Triggered

from services.log.committer import expecting

JOBS: Final = tuple(f"BENCH_{letter}" for letter in "ABCDEFGHIJ")
_TIME: Final = datetime(2026, 1, 1, tzinfo=UTC)
_OPEN: Final = 500
_RUN, _CREATED = "@RUN@", 987654321


def _body(id: str, event: AnyEvent) -> str:
    return codec.encode(event, id=id, source="/kronik/bench", time=_TIME).decode().replace(str(_CREATED), "@CREATED@")


_INCOMPLETE: Final = 10_176
_RESULT: Final = {"created": _CREATED, "closed": 45, "note": "as long as results usually are"}
_TRIGGERED: Final = _body("t@RUN@", Triggered(user_id="1"))
_STARTED: Final = _body("@RUN@.0.started.bench", Started(attempt=1, incarnation="bench-0001", timeout_ms=600_000))
_COMPLETED: Final = _body("@RUN@.1.completed.bench", Completed(attempt=1, result=_RESULT))


async def fill(url: str, events: int) -> int:
    """Append runs until an empty stream holds `events` events (rounded down to whole runs): how many it holds then.

    A few hundred runs are always open at the same time: asked for together, begun together, ended together.
    """
    host, port = url.removeprefix("nats://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b'CONNECT {"verbose":false,"headers":true}\r\nSUB bench 1\r\n')
    left, last = events // 3, 0
    while left:
        runs = range(last + 1, last + 1 + min(_OPEN, left))
        for number, messages in enumerate((_triggers(runs), _starts(runs), _ends(runs))):
            batch = _batch(f"{last}-{number}", messages)
            writer.write(batch)
            while not await _stored(reader, writer):
                writer.write(batch)
        last, left = last + 3 * len(runs), left - len(runs)
    writer.close()
    return last


async def _stored(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Whether the batch was; False: it is to be sent again, its staging moved meanwhile (docs/adr/0013)."""
    while line := await reader.readline():
        if line.startswith(b"PING"):
            writer.write(b"PONG\r\n")
        elif line.startswith(b"MSG"):
            answer = json.loads(await reader.readexactly(int(line.split()[-1]) + 2))
            assert answer.get("error", {}).get("err_code") in (None, _INCOMPLETE), answer
            return "error" not in answer
    raise ConnectionResetError("the server has hung up")


def _batch(name: str, messages: list[tuple[str, str, str]]) -> bytes:
    parts = []
    for place, (subject, headers, body) in enumerate(messages, 1):
        last = place == len(messages)
        block = f"NATS/1.0\r\n{headers}Nats-Batch-Id: {name}\r\nNats-Batch-Sequence: {place}\r\n"
        block += "Nats-Batch-Commit: 1\r\n\r\n" if last else "\r\n"
        reply = "bench " if last else ""
        parts.append(f"HPUB {subject} {reply}{len(block)} {len(block) + len(body)}\r\n{block}{body}\r\n")
    return "".join(parts).encode()


def _triggers(runs: range) -> list[tuple[str, str, str]]:
    return [(subjects.trigger(_job(run), "admin"), "", _TRIGGERED.replace(_RUN, str(run))) for run in runs]


def _starts(runs: range) -> list[tuple[str, str, str]]:
    return [_of_run(run, "started", 0, _STARTED) for run in runs]


def _ends(runs: range) -> list[tuple[str, str, str]]:
    """Each expects the run's start, which stands as far behind the trigger as there are runs."""
    return [_of_run(run, "completed", run + len(runs), _COMPLETED.replace("@CREATED@", str(run % 500))) for run in runs]


def _of_run(run: int, event: str, expected: int, body: str) -> tuple[str, str, str]:
    headers = expecting(subjects.run_aggregate(_job(run), run), expected)
    block = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return subjects.run_event(_job(run), run, event), block, body.replace(_RUN, str(run))


def _job(run: int) -> str:
    return JOBS[run % len(JOBS)]
