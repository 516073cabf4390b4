"""The scheduler as a process: it fires by the clock, survives its server, and stops at once."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kronik import subjects
from kronik.events import Schedule
from nats.aio.client import Client

from services.infra import lifecycle
from services.infra.clock import SystemClock
from services.infra.settings import SchedulerSettings
from services.log import connection as nats_connection
from services.log.append import EventLog
from services.log.provision import provision
from services.scheduler import __main__ as scheduler
from tests import processes, servers
from tests.runs import finished, trigger
from tests.scheduling import define, handled, minute_after, triggers

JOB = "REPORT"
SOON = timedelta(seconds=2)


class Rehearsal:
    """A clock for services that shows a minute about to begin, and a schedule that names that minute."""

    def __init__(self, directory: Path) -> None:
        now = datetime.now(UTC)
        self.slot = minute_after(now, 2)
        self.file = directory / "clock"
        self.shift_to(self.slot - SOON)
        self.schedule = Schedule(expression=f"{self.slot.minute} {self.slot.hour} * * *", tz="UTC")

    def shift_to(self, instant: datetime) -> None:
        self.file.write_text(str((instant - datetime.now(UTC)).total_seconds()))

    @property
    def settings(self) -> dict[str, str]:
        return {"clock_file": str(self.file)}


@pytest.fixture
def rehearsal(tmp_path: Path) -> Rehearsal:
    return Rehearsal(tmp_path)


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[Client]:
    connection = await nats_connection.connect(url, "test")
    try:
        yield connection
    finally:
        await nats_connection.close(connection)


async def test_a_slot_fires_when_its_time_comes(
    nats_url: str, nats_client: Client, event_log: EventLog, rehearsal: Rehearsal
) -> None:
    await define(event_log, JOB, rehearsal.schedule)
    fired = await nats_client.subscribe(subjects.TRIGGERS)
    with processes.service("scheduler", nats_url=nats_url, **rehearsal.settings) as process:
        message = await fired.next_msg(timeout=20)
        late = SystemClock(rehearsal.file).now() - rehearsal.slot
        await stored_trigger(event_log)
        process.terminate()
        asked = time.monotonic()
        assert process.ended() == 0
        assert time.monotonic() - asked < 1
    assert message.subject == f"jobs.trigger.{JOB}.cron"
    assert await triggers(event_log, JOB) == [rehearsal.slot]
    assert timedelta(0) <= late < timedelta(seconds=1)


async def test_slots_fire_while_it_is_still_looking_for_the_open_runs(
    nats_url: str, event_log: EventLog, rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With five million events and a job without a consumer that takes minutes."""
    looking = asyncio.Event()

    async def begin(*_: object) -> None:
        looking.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(scheduler, "begin", begin)
    await define(event_log, JOB, rehearsal.schedule)
    config = SchedulerSettings(nats_url=nats_url, clock_file=rehearsal.file)
    async with connected(nats_url) as connection:
        working = asyncio.create_task(scheduler._schedule_and_reconcile(config, connection, event_log, "scheduler-1"))
        await asyncio.wait_for(looking.wait(), 10)
        async with asyncio.timeout(20):
            await stored_trigger(event_log)
        await lifecycle.end((working,))
    assert await triggers(event_log, JOB) == [rehearsal.slot]


async def stored_trigger(event_log: EventLog) -> None:
    """Return when it stands in the stream: who listens hears it before, and before its slot is stored with it."""
    while not await triggers(event_log, JOB):  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def test_a_clock_that_was_two_days_ahead_and_is_put_back_silences_nothing(
    nats_url: str, event_log: EventLog, rehearsal: Rehearsal
) -> None:
    await define(event_log, JOB)
    ahead = rehearsal.slot + timedelta(days=2)
    rehearsal.shift_to(ahead)
    with processes.service("scheduler", nats_url=nats_url, **rehearsal.settings) as process:
        process.wait_for_log("slot_fired")
    true = rehearsal.slot
    rehearsal.shift_to(true - SOON)
    with processes.service("scheduler", nats_url=nats_url, **rehearsal.settings) as process:
        process.wait_for_log("ledger_not_believed")
        process.wait_for_log(f'"slot": "{true:%Y-%m-%dT%H:%M}:00Z"')
    assert (await triggers(event_log, JOB))[-1] == true


async def test_it_may_do_what_it_does_as_the_user_we_ship(
    nats_with_users: servers.NatsServer, rehearsal: Rehearsal
) -> None:
    async with (
        connected(nats_with_users.user("provisioner")) as owner,
        connected(nats_with_users.user("runner")) as runner,
        connected(nats_with_users.user("operator")) as operator,
        connected(nats_with_users.user("crm")) as crm,
    ):
        await provision(owner, replicas=1)
        log = EventLog(runner, SystemClock(), "/kronik/test")
        await define(log, JOB, rehearsal.schedule)
        fired = await operator.jetstream().pull_subscribe(f"jobs.trigger.{JOB}.cron", stream=subjects.STREAM)
        url = nats_with_users.user("scheduler")
        with processes.service("scheduler", nats_url=url, reconcile_after_s="0.5", **rehearsal.settings) as process:
            run_id = await trigger(crm, "NOBODY_KNOWS")
            run = await finished(log, run_id)
            assert run.error == "Unknown job type 'NOBODY_KNOWS'. Known job types: REPORT."
            await fired.fetch(1, timeout=20)
            answer = await operator.request("$SRV.PING.kronik-scheduler", timeout=5)
            assert b"kronik-scheduler" in answer.data
            assert "nats_error" not in process.log.read_text()


async def test_it_waits_for_the_stream_and_outlives_the_servers_restart(
    nats_server: servers.NatsServer, rehearsal: Rehearsal
) -> None:
    url = nats_server.url
    with processes.service("scheduler", ready="waiting_for_stream", nats_url=url, **rehearsal.settings) as process:
        async with connected(url) as before:
            await provision(before, replicas=1)
        process.wait_for_log("scheduler_ready")
        nats_server.kill()
        process.wait_for_log("nats_disconnected")
        nats_server.start()
        async with connected(url) as after:
            log = EventLog(after, SystemClock(), "/kronik/test")
            await define(log, JOB, rehearsal.schedule)
            process.wait_for_log("slot_fired", within_s=30)
            assert await handled(log, JOB) == [rehearsal.slot]


async def test_it_stops_though_the_server_hangs(nats_server: servers.NatsServer, nats_client: Client) -> None:
    with processes.service("scheduler", nats_url=nats_server.url) as process:
        nats_server.freeze()
        process.terminate()
        asked = time.monotonic()
        assert process.ended() == 0
        assert time.monotonic() - asked < 1
        nats_server.start()


async def test_one_that_was_frozen_while_another_one_fired_doubles_nothing(
    nats_url: str, nats_client: Client, event_log: EventLog, rehearsal: Rehearsal
) -> None:
    rehearsal.shift_to(rehearsal.slot - timedelta(seconds=50))
    await define(event_log, JOB, rehearsal.schedule)
    fired = await nats_client.subscribe(f"jobs.trigger.{JOB}.cron")
    other_fired = await nats_client.subscribe("jobs.trigger.OTHER.cron")
    with processes.service("scheduler", nats_url=nats_url, **rehearsal.settings) as frozen:
        with processes.service("scheduler", nats_url=nats_url, **rehearsal.settings):
            frozen.freeze()
            rehearsal.shift_to(rehearsal.slot)
            await fired.next_msg(timeout=20)
        rehearsal.shift_to(rehearsal.slot + timedelta(minutes=2))
        await define(event_log, "OTHER")
        frozen.thaw()
        await other_fired.next_msg(timeout=20)
    assert await handled(event_log, JOB) == [rehearsal.slot]
