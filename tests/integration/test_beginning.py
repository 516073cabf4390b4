"""A scheduler's start: the open runs are known without reading the history."""

import pytest
from kronik import subjects
from kronik.events import Cancelled, Completed, Started
from nats.aio.client import Client
from nats.js.api import ConsumerConfig

from services.log.append import EventLog
from services.log.stored import START
from services.scheduler import beginning
from services.scheduler.open_runs import OpenRuns
from tests.runs import trigger

JOB = "REPORT"


async def _append(log: EventLog, run_id: int, *events: Started | Completed | Cancelled) -> None:
    for event in events:
        found = await log.read_run(run_id)
        assert found is not None
        await log.append_to_run(found[0], event, by="test")


STARTED = Started(attempt=1, incarnation="runner-1", timeout_ms=1000)
COMPLETED = Completed(attempt=1, result=None)


async def test_what_is_told_is_what_the_whole_history_would_have_told(
    event_log: EventLog, nats_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beginning, "_RUNS_AT_ONCE", 2)
    runs = [await trigger(nats_client, JOB, origin=origin) for origin in ("crm", "cron", "admin", "crm", "crm")]
    other = await trigger(nats_client, "UNHEARD_OF")
    await nats_client.jetstream().publish("jobs.trigger.lower.crm", b"")
    await _append(event_log, runs[0], STARTED, COMPLETED)
    await _append(event_log, runs[1], STARTED)
    await _append(event_log, runs[4], Cancelled(attempt=0, by="ADMIN:1"))
    told, replayed = OpenRuns(), OpenRuns()
    position = await beginning.begin(event_log, told)
    for recorded in await event_log.read("jobs.>"):
        replayed.note(recorded.subject, recorded.sequence)
    assert (told.of(JOB), told.of("UNHEARD_OF")) == ([runs[1], runs[2], runs[3]], [other])
    assert told.waiting() == replayed.waiting()
    assert [told.is_executing(JOB, each) for each in told.of(JOB)] == [True, False, False]
    last = await event_log.last("jobs.>")
    assert last is not None
    assert position.sequence == last.sequence


async def test_what_lies_before_the_acknowledgement_floor_is_not_read(
    event_log: EventLog, nats_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beginning, "_MARGIN", 0)
    settled, queued = await trigger(nats_client, JOB), await trigger(nats_client, JOB)
    config = ConsumerConfig(durable_name=subjects.runner_consumer(JOB), filter_subject=subjects.triggers_of(JOB))
    await nats_client.jetstream().add_consumer(subjects.STREAM, config)
    pulling = await nats_client.jetstream().pull_subscribe_bind(subjects.runner_consumer(JOB), subjects.STREAM)
    (message,) = await pulling.fetch(1)
    await message.ack_sync()
    runs = OpenRuns()
    await beginning.begin(event_log, runs)
    assert settled not in runs.of(JOB), "acknowledged, so it has ended"
    assert runs.of(JOB) == [queued]


async def test_an_empty_stream_is_followed_from_its_start(event_log: EventLog) -> None:
    assert await beginning.begin(event_log, OpenRuns()) == START
