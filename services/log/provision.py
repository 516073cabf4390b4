"""The streams. Made and changed here alone; services only use them."""

import asyncio
from typing import Any

from kronik import KronikError, subjects
from nats.aio.client import Client

from services.infra import logs
from services.infra.clock import monotonic_s
from services.log import jetstream
from services.log.jetstream import ApiRefused, LogUnavailable, NoStream

log = logs.get()

_SECOND = 1_000_000_000
_AGAIN_AFTER_S = 0.5

JOBS: dict[str, Any] = {
    "name": subjects.STREAM,
    "description": "Kronik's truth: every trigger, run, slot, definition and schedule",
    "subjects": [subjects.ALL],
    "retention": "limits",
    "storage": "file",
    "discard": "new",
    "max_msgs": -1,
    "max_bytes": -1,
    "max_age": 0,
    "max_msg_size": -1,
    # What becomes of runs, and nothing that a stranger can write: nats-server 2.15.1 dies of handing on a message whose
    # headers are a single byte.
    "republish": {"src": "jobs.run.>", "dest": subjects.STORED + "jobs.run.>"},
    "allow_direct": True,
    "allow_atomic": True,
    "duplicate_window": 3600 * _SECOND,
}

JOBLOG: dict[str, Any] = {
    "name": subjects.LOG_STREAM,
    "description": "Log lines and progress of runs, two weeks of them; not truth",
    "subjects": [subjects.LOG_ALL],
    "retention": "limits",
    "storage": "file",
    "discard": "old",
    "max_age": 14 * 24 * 3600 * _SECOND,
    "max_bytes": 2 * 1024**3,
    "max_msgs_per_subject": 10_000,
    "allow_direct": True,
    "republish": {"src": subjects.LOG_ALL, "dest": subjects.STORED + subjects.LOG_ALL},
}


class ProvisionFailed(KronikError):
    """NATS refused a stream's configuration; the message is the server's."""


async def provision(connection: Client, replicas: int, within_s: float = 30) -> None:
    """Make both streams, or bring existing ones to today's configuration.

    Waits for JetStream: a cluster that has just started has none until its nodes have found each other.
    Raises ProvisionFailed.
    """
    give_up = monotonic_s() + within_s
    for config in (JOBS, JOBLOG):
        while (problem := await _ensure(connection, {**config, "num_replicas": replicas})) is not None:
            if monotonic_s() > give_up:
                raise ProvisionFailed(f"stream {config['name']}: {problem}")
            await asyncio.sleep(_AGAIN_AFTER_S)


async def wait_for_streams(connection: Client) -> None:
    """Return when both streams are there. Services call it first: they start in any order."""
    for name in (subjects.STREAM, subjects.LOG_STREAM):
        while not await _exists(connection, name):
            log.warning("waiting_for_stream", stream=name, hint="kronik provision makes it")
            await asyncio.sleep(1)


async def _exists(connection: Client, name: str) -> bool:
    try:
        await jetstream.stream_info(connection, name)
    except LogUnavailable:
        return False
    return True


async def _ensure(connection: Client, config: dict[str, Any]) -> str | None:
    """Why it can't be done yet, None when it is done. Raises ProvisionFailed for what waiting would not change."""
    name = config["name"]
    try:
        try:
            existing = await jetstream.stream_info(connection, name)
        except NoStream:
            await jetstream.create_stream(connection, config)
            created = True
        else:
            await jetstream.update_stream(connection, {**existing.config, **config})
            created = False
    except LogUnavailable as away:
        return str(away)
    except ApiRefused as refused:
        raise ProvisionFailed(f"stream {name}: {refused.reason}") from refused
    log.info("stream_provisioned", stream=name, created=created, replicas=config["num_replicas"])
    return None
