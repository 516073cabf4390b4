"""Two releases of a job side by side: real runners, what they announce, and what becomes of runs meanwhile."""

import asyncio
from contextlib import ExitStack

from kronik.events import JobDefined, Retirement, ScheduleChanged
from nats.aio.client import Client

from services.log import jetstream
from services.log.append import EventLog
from services.log.presence import Presence
from tests.appending import append_next
from tests.processes import Process, runner
from tests.runs import finished, trigger

JOB = "RELEASED"


def release(stack: ExitStack, nats_url: str, number: str, instance: str, **settings: str) -> Process:
    return stack.enter_context(
        runner(nats_url, jobs=f"tests.release_{number}", instance=instance, **{"ack_wait_s": "3", **settings})
    )


async def title(log: EventLog) -> str:
    last = await log.last(f"jobs.definition.{JOB}")
    assert last
    assert isinstance(last.data, JobDefined)
    return last.data.title["en"]


async def becomes(log: EventLog, wanted: str, within_s: float = 20) -> None:
    async with asyncio.timeout(within_s):
        while await title(log) != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def room(client: Client, wanted: int) -> None:
    """Wait until the consumer is as one release wants it."""
    async with asyncio.timeout(20):
        while True:
            info = await jetstream.consumer_info(client, f"runner-{JOB}")
            if info is not None and info.config["max_ack_pending"] == wanted:
                return
            await asyncio.sleep(0.1)


async def done(client: Client, log: EventLog, count: int, body: str) -> None:
    """So many runs, each with its first attempt."""
    ids = [await trigger(client, JOB, body) for _ in range(count)]
    for run_id in ids:
        run = await finished(log, run_id, within_s=30)
        assert (run.status, run.attempt) == ("SUCCESS", 1), run


async def test_a_deploy_and_its_way_back_fail_no_run(nats_client: Client, event_log: EventLog, nats_url: str) -> None:
    presence = Presence()
    await presence.listen(nats_client)
    with ExitStack() as stack:
        old = release(stack, nats_url, "one", "old")
        assert await title(event_log) == "First"
        new = release(stack, nats_url, "two", "new")
        assert await title(event_log) == "Second"
        await done(nats_client, event_log, 12, '{"ms": 50, "note": "of the second release"}')
        await room(nats_client, 5)
        definition = await event_log.last(f"jobs.definition.{JOB}")
        assert definition
        assert isinstance(definition.data, JobDefined)
        serving = presence.runners(definition.data)
        assert [(one.instance, one.in_force) for one in serving] == [("old", False), ("new", True)]
        with runner(nats_url, jobs="tests.release_one", instance="older"):
            await done(nats_client, event_log, 6, '{"note": "still"}')
        assert await title(event_log) == "Second"
        new.terminate()
        assert new.ended() == 0
        await done(nats_client, event_log, 4, "{}")
        await becomes(event_log, "First")
        handed = old.log.read_text().count("handed_to_another_release")
        waits = await trigger(nats_client, JOB, '{"note": "of the second release"}')
        await asyncio.to_thread(old.wait_for_log, "handed_to_another_release", count=handed + 1)
        again = release(stack, nats_url, "two", "again")
        run = await finished(event_log, waits, within_s=30)
        assert (run.status, run.attempt) == ("SUCCESS", 1), run
        await becomes(event_log, "Second")
        assert sum(each.log.read_text().count("consumer_ensured") for each in (old, new, again)) <= 4


async def test_a_runner_that_starts_with_a_retired_job_brings_it_back(
    nats_client: Client, event_log: EventLog, nats_url: str
) -> None:
    with ExitStack() as stack:
        release(stack, nats_url, "one", "first")
        defined = await event_log.last(f"jobs.definition.{JOB}")
        retired = ScheduleChanged(by="ADMIN:1", retired=Retirement(by="ADMIN:1"))
        await append_next(event_log, f"jobs.schedule.{JOB}", retired)
        await done(nats_client, event_log, 1, "{}")
        assert await event_log.last(f"jobs.definition.{JOB}") == defined
        release(stack, nats_url, "one", "second")
    again = await event_log.last(f"jobs.definition.{JOB}")
    assert defined
    assert again
    assert (again.data, again.sequence > defined.sequence) == (defined.data, True)
