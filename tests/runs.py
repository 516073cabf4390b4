"""Triggering and awaiting runs in tests, by the stream alone."""

import asyncio
from collections.abc import Iterable

from kronik.events import Recorded
from kronik.run import Run
from kronik.subjects import STORED, run_aggregate
from nats.aio.client import Client

from services.log.append import EventLog


async def trigger(connection: Client, job: str, body: bytes | str = b"", origin: str = "crm") -> int:
    """Publish as any other service would; the run's id."""
    payload = body.encode() if isinstance(body, str) else body
    return (await connection.jetstream().publish(f"jobs.trigger.{job}.{origin}", payload)).seq


async def finished(log: EventLog, run_id: int, within_s: float = 20) -> Run:
    """The run once it is finished."""
    return (await _until(log, run_id, lambda run: run.finished, within_s))[0]


async def executing(log: EventLog, run_id: int, within_s: float = 20) -> Run:
    """The run once an attempt is under way."""
    return (await _until(log, run_id, lambda run: run.phase == "executing", within_s))[0]


async def story(log: EventLog, run_id: int) -> list[str]:
    """The names of the run's events so far, the trigger first."""
    found = await log.read_run(run_id)
    assert found
    return names(found[1])


def names(events: Iterable[Recorded]) -> list[str]:
    return [type(event.data).__name__ for event in events]


async def _until(log: EventLog, run_id: int, reached, within_s: float) -> tuple[Run, list[Recorded]]:  # type: ignore[no-untyped-def]
    """Look again whenever an event of the run is stored, and every half second in case one was missed."""
    give_up = asyncio.get_running_loop().time() + within_s
    while (first := await log.read_run(run_id)) is None:  # of several replicas one that lags may have answered
        assert asyncio.get_running_loop().time() < give_up, f"no trigger at {run_id}"
    told = await log.connection.subscribe(STORED + run_aggregate(first[0].job_type, run_id))
    try:
        async with asyncio.timeout(within_s):
            while True:
                found = await log.read_run(run_id)
                if found and reached(found[0]):
                    return found
                try:
                    await told.next_msg(timeout=0.5)
                except TimeoutError:
                    continue
    except TimeoutError:
        found = await log.read_run(run_id)
        raise AssertionError(f"run {run_id} after {within_s} s: {found and (found[0], names(found[1]))}") from None
    finally:
        await told.unsubscribe()
