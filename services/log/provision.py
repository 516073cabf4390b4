"""The streams. Made and changed here alone; services only use them."""

import asyncio
import json
from typing import Any

from kronik import KronikError, subjects
from nats.aio.client import Client
from nats.errors import Error as NatsError

from services.infra import logs
from services.infra.clock import monotonic_s

log = logs.get()

_SECOND = 1_000_000_000
_AGAIN_AFTER_S = 0.5
_STREAM_NOT_FOUND = 10059
_NOT_YET = (10005, 10008, 10023)
"""Of a cluster on its way up: no suitable peers, temporarily unavailable, insufficient resources."""

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
    "deny_delete": True,
    "deny_purge": True,
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
        return "error" not in await _call(connection, f"STREAM.INFO.{name}", {})
    except (NatsError, TimeoutError):
        return False


async def _ensure(connection: Client, config: dict[str, Any]) -> str | None:
    """Why it can't be done yet, None when it is done. Raises ProvisionFailed for what waiting would not change."""
    name = config["name"]
    try:
        existing = await _call(connection, f"STREAM.INFO.{name}", {})
        missing = existing.get("error", {}).get("err_code") == _STREAM_NOT_FOUND
        if "error" in existing and not missing:
            return _problem(name, existing)
        verb = "CREATE" if missing else "UPDATE"
        answer = await _call(connection, f"STREAM.{verb}.{name}", {**existing.get("config", {}), **config})
    except (NatsError, TimeoutError):
        return "JetStream does not answer"
    if "error" in answer:
        return _problem(name, answer)
    log.info("stream_provisioned", stream=name, created=missing, replicas=config["num_replicas"])
    return None


def _problem(stream: str, answer: dict[str, Any]) -> str:
    """The server's words. Raises ProvisionFailed unless they may be others in a moment."""
    error = answer["error"]
    problem = str(error.get("description", error))
    if error.get("code") == 503 or error.get("err_code") in _NOT_YET:
        return problem
    raise ProvisionFailed(f"stream {stream}: {problem}")


async def _call(connection: Client, api: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await connection.request(f"$JS.API.{api}", json.dumps(body).encode(), timeout=5)
    decoded: dict[str, Any] = json.loads(answer.data)
    return decoded
