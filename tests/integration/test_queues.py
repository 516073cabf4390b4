"""Runs that wait and must not: beyond a service's quota or a job's limit, of a retired job, past their deadline."""

from datetime import timedelta

import pytest
from kronik import subjects
from kronik.events import Retirement, ScheduleChanged, ServiceChanged, Started
from kronik.run import Run
from msgspec.structs import replace
from nats.aio.client import Client

from services.log.append import EventLog
from tests.runs import trigger
from tests.scheduling import EVERY_MINUTE, MINUTE, Running, SetClock, define, next_minute, scheduler, stored

JOB = "REPORT"


async def asked(connection: Client, running: Running, count: int, origin: str = "crm", job: str = JOB) -> list[int]:
    runs = [await trigger(connection, job, origin=origin) for _ in range(count)]
    await running.seen_run(runs[-1])
    return runs


async def run(log: EventLog, run_id: int) -> Run:
    found = await log.read_run(run_id)
    assert found is not None
    return found[0]


async def granted(log: EventLog, running: Running, queue: int | None, *, removed: bool = False) -> None:
    await running.seen(await stored(log, "jobs.service.crm", ServiceChanged(queue=queue, removed=removed)))


async def changed(log: EventLog, running: Running, change: ScheduleChanged) -> None:
    await running.seen(await stored(log, subjects.schedule(JOB), change))


async def test_beyond_its_quota_a_services_newest_runs_end_and_nobody_elses(
    event_log: EventLog, nats_url: str, nats_client: Client
) -> None:
    await define(event_log, JOB)
    async with scheduler(nats_url, SetClock(next_minute())) as running:
        await granted(event_log, running, 2)
        mine = await asked(nats_client, running, 2) + await asked(nats_client, running, 3, job="OTHER")
        others = await asked(nats_client, running, 3, origin="ops")
        assert sorted(await running.queues.run_once()) == mine[2:]
        assert await running.queues.run_once() == []
        ended = await run(event_log, mine[2])
        assert (ended.status, ended.attempt) == ("FAILED", 0)
        assert ended.error is not None
        assert ended.error.startswith("The service crm may have 2 runs waiting, and had as many")
        assert [(await run(event_log, each)).phase for each in (*mine[:2], *others)] == ["queued"] * 5
        await granted(event_log, running, None)
        more = await asked(nats_client, running, 2)
        assert await running.queues.run_once() == []
        await granted(event_log, running, 0)
        assert set(await running.queues.run_once()) == {*mine[:2], *more}


async def test_a_run_that_begins_in_the_same_moment_goes_on(
    event_log: EventLog, nats_url: str, nats_client: Client
) -> None:
    await define(event_log, JOB)
    async with scheduler(nats_url, SetClock(next_minute())) as running:
        await granted(event_log, running, 0)
        (run_id,) = await asked(nats_client, running, 1)
        waiting = running.runs.waiting()
        started = Started(attempt=1, incarnation="runner-1", timeout_ms=1000)
        await event_log.append_to_run(await run(event_log, run_id), started, by="runner-1")
        running.runs.note(subjects.trigger(JOB, "crm"), run_id)
        assert running.runs.waiting() == waiting
        assert await running.queues.run_once() == []
        assert (await run(event_log, run_id)).phase == "executing"


async def test_beyond_the_jobs_limit_what_services_asked_for_ends_and_what_people_did_stays(
    event_log: EventLog, nats_url: str, nats_client: Client
) -> None:
    await define(event_log, JOB)
    async with scheduler(nats_url, SetClock(next_minute())) as running:
        await changed(event_log, running, ScheduleChanged(by="ADMIN:7", max_queued=2))
        first = await asked(nats_client, running, 1)
        await asked(nats_client, running, 2, origin="admin")
        beyond = await asked(nats_client, running, 2)
        assert await running.queues.run_once() == beyond
        assert (await run(event_log, first[0])).phase == "queued"
        error = (await run(event_log, beyond[0])).error
        assert (
            error
            == "As many runs of this job as may wait (2) waited already: this one was not queued. Ask again later."
        )


async def test_what_waits_for_a_retired_job_ends_with_who_and_why(
    event_log: EventLog, nats_url: str, nats_client: Client
) -> None:
    await define(event_log, JOB)
    async with scheduler(nats_url, SetClock(next_minute())) as running:
        runs = await asked(nats_client, running, 2)
        retirement = Retirement(by="ADMIN:7", reason="done elsewhere")
        await changed(event_log, running, ScheduleChanged(by="ADMIN:7", retired=retirement))
        assert await running.queues.run_once() == runs
        later = await asked(nats_client, running, 1)
        assert await running.queues.run_once() == later
        error = (await run(event_log, later[0])).error
        assert error == "REPORT was retired by ADMIN:7: done elsewhere. What waited for it was ended."
        await running.seen(await define(event_log, JOB))
        await asked(nats_client, running, 1)
        assert await running.queues.run_once() == []


@pytest.mark.parametrize(("minutes", "ended"), [(9, 0), (11, 1)])
async def test_a_run_of_a_slot_that_waits_beyond_the_deadline_ends_as_missed(
    event_log: EventLog, nats_url: str, nats_client: Client, minutes: int, ended: int
) -> None:
    await define(event_log, JOB, replace(EVERY_MINUTE, expression="*/30 * * * *", deadline_ms=600_000))
    clock = SetClock(next_minute(30).replace(minute=30) + timedelta(hours=1))
    async with scheduler(nats_url, clock) as running:
        (job,) = (await running.scheduler.run_once()).jobs
        (run_id,) = list(job.fired.values())[-1:]
        await running.seen_run(run_id)
        other = await asked(nats_client, running, 1)
        clock.advance(minutes * MINUTE)
        found = await running.queues.run_once()
        assert [each for each in found if each == run_id] == [run_id] * ended
        assert other[0] not in found
        if ended:
            error = (await run(event_log, run_id)).error
            assert error is not None
            assert "has waited 11 min without beginning; the schedule's deadline is 10 min." in error
