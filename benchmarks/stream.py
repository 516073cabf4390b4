"""A stream with a long history, made for measuring: runs of three events each, as the services write them."""

import asyncio
from datetime import UTC, datetime

from kronik import codec, subjects
from kronik.events import AnyEvent, Completed, Started, Triggered
from nats.aio.client import Client

from services.log.committer import expecting

JOBS = tuple(f"BENCH_{letter}" for letter in "ABCDEFGHIJ")
_WINDOW = 2_000
_TIME = datetime(2026, 1, 1, tzinfo=UTC)


async def fill(connection: Client, events: int) -> None:
    """Append runs until an empty stream holds `events` events (rounded to whole runs)."""
    jetstream = connection.jetstream(publish_async_max_pending=_WINDOW)
    waiting: list[asyncio.Future[object]] = []
    for number in range(events // 3):
        for subject, body, headers in _run(number):
            waiting.append(await jetstream.publish_async(subject, body, headers=headers))  # type: ignore[arg-type]
        if len(waiting) >= _WINDOW:
            await asyncio.gather(*waiting)
            waiting.clear()
    await asyncio.gather(*waiting)


def _run(number: int) -> list[tuple[str, bytes, dict[str, str] | None]]:
    """The run's id is where its trigger will stand: publishes of one connection are stored in order."""
    run_id, job_type = 3 * number + 1, JOBS[number % len(JOBS)]
    aggregate = subjects.run_aggregate(job_type, run_id)
    result = {"created": number % 500, "closed": 45, "note": "as long as results usually are"}
    return [
        (subjects.trigger(job_type, "admin"), _body(f"t{run_id}", Triggered(user_id="1")), None),
        (
            subjects.run_event(job_type, run_id, "started"),
            _body(f"{run_id}.0.started.bench", Started(attempt=1, incarnation="bench-0001", timeout_ms=600_000)),
            expecting(aggregate, 0),
        ),
        (
            subjects.run_event(job_type, run_id, "completed"),
            _body(f"{run_id}.1.completed.bench", Completed(attempt=1, result=result)),
            expecting(aggregate, run_id + 1),
        ),
    ]


def _body(id: str, event: AnyEvent) -> bytes:
    return codec.encode(event, id=id, source="/kronik/bench", time=_TIME)
