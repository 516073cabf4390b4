"""No run stays RUNNING for ever, and none that somebody still works on is ended."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from kronik import subjects
from kronik.events import Abandoned, Cancelled, CancelRequested, Completed, Failed, Started
from kronik.run import Run
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig

from services.infra import clock as clocks
from services.log.append import EventLog
from services.scheduler import reconciler as module
from services.scheduler.reconciler import Ended
from tests.runs import story, trigger
from tests.scheduling import Running, SetClock, define, scheduler

JOB = "REPORT"
AFTER_S = 30.0


class Stopwatch:
    """The monotonic clock, as the test turns it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.s = 1_000.0
        monkeypatch.setattr(module, "monotonic_s", lambda: self.s)


@pytest.fixture
def stopwatch(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    return Stopwatch(monkeypatch)


@pytest.fixture
async def running(event_log: EventLog, nats_url: str) -> AsyncIterator[Running]:
    async with scheduler(nats_url, SetClock(datetime.now(UTC)), after_s=AFTER_S) as found:
        yield found


async def after(running: Running, stopwatch: Stopwatch, seconds: float, event: int = 0) -> list[Ended]:
    """What is ended in so many seconds of looking every five. event: the latest that the feed has to have seen."""
    await running.seen_run(event)
    ended = await running.reconciler.run_once()
    for _ in range(int(seconds / 5)):
        stopwatch.s += 5
        ended += await running.reconciler.run_once()
    return ended


async def consumer(client: Client, **config: object) -> None:
    """What a runner makes for its job, without a runner that pulls."""
    given = ConsumerConfig(
        durable_name=subjects.runner_consumer(JOB),
        filter_subject=subjects.triggers_of(JOB),
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=600,
    )
    await client.jetstream().add_consumer(subjects.STREAM, given, **config)


async def pull(client: Client):  # type: ignore[no-untyped-def]
    """The next delivery, as a runner takes it."""
    subscription = await client.jetstream().pull_subscribe_bind(subjects.runner_consumer(JOB), subjects.STREAM)
    (message,) = await subscription.fetch(1, timeout=5)
    await subscription.unsubscribe()
    return message


async def start(log: EventLog, run_id: int, timeout_ms: int = 60_000) -> int:
    return await append(log, run_id, Started(attempt=1, incarnation="runner-1", timeout_ms=timeout_ms))


async def append(log: EventLog, run_id: int, event: Started | CancelRequested | Completed | Abandoned) -> int:
    found = await log.read_run(run_id)
    assert found
    run = await log.append_to_run(found[0], event, by="test")
    assert isinstance(run, Run)
    return run.version


async def test_a_run_of_an_unknown_job_type_fails_and_lists_the_known_ones(
    running: Running, stopwatch: Stopwatch, event_log: EventLog, nats_client: Client
) -> None:
    await define(event_log, "ZEBRA", None)
    await running.seen(await define(event_log, "ANT", None))
    run_id = await trigger(nats_client, JOB)
    assert await after(running, stopwatch, AFTER_S - 5, run_id) == []
    (ended,) = await after(running, stopwatch, 10)
    assert ended.run_id == run_id
    assert ended.event == Failed(
        attempt=0, error="Unknown job type 'REPORT'. Known job types: ANT, ZEBRA.", error_type="UnknownJobType"
    )
    assert await story(event_log, run_id) == ["Triggered", "Failed"]
    assert await after(running, stopwatch, 60) == []


async def test_where_no_runner_ever_started_the_error_says_so_and_the_triggers_own_problem(
    running: Running, stopwatch: Stopwatch, nats_client: Client
) -> None:
    run_id = await trigger(nats_client, JOB, "[1]")
    (ended,) = await after(running, stopwatch, AFTER_S + 5, run_id)
    assert isinstance(ended.event, Failed)
    assert "No runner has announced any job yet." in ended.event.error
    assert "the trigger's body must be a JSON object" in ended.event.error


async def test_a_runner_that_announces_the_job_in_time_keeps_the_run(
    running: Running, stopwatch: Stopwatch, event_log: EventLog, nats_client: Client
) -> None:
    run_id = await trigger(nats_client, JOB)
    assert await after(running, stopwatch, AFTER_S - 5, run_id) == []
    await running.seen(await define(event_log, JOB, None))
    await consumer(nats_client)
    assert await after(running, stopwatch, 300) == []


async def test_a_trigger_on_a_subject_that_breaks_the_rules_is_no_run(
    running: Running, stopwatch: Stopwatch, nats_client: Client
) -> None:
    await trigger(nats_client, "lower")
    run_id = await trigger(nats_client, JOB)
    ended = await after(running, stopwatch, AFTER_S + 5, run_id)
    assert [each.run_id for each in ended] == [run_id]


async def test_a_run_that_waits_for_a_runner_is_left_waiting(
    running: Running, stopwatch: Stopwatch, event_log: EventLog, nats_client: Client
) -> None:
    await running.seen(await define(event_log, JOB, None))
    await consumer(nats_client)
    run_id = await trigger(nats_client, JOB)
    assert await after(running, stopwatch, 3600, run_id) == []


async def test_a_run_whose_consumer_is_gone_fails(
    running: Running, stopwatch: Stopwatch, event_log: EventLog, nats_client: Client
) -> None:
    await running.seen(await define(event_log, JOB, None))
    run_id = await trigger(nats_client, JOB)
    (ended,) = await after(running, stopwatch, AFTER_S + 5, run_id)
    assert isinstance(ended.event, Failed)
    assert ended.event.error_type == "NoRunner"
    assert "runner-REPORT is gone" in ended.event.error


async def test_a_consumer_that_comes_back_starts_the_wait_anew(
    running: Running, stopwatch: Stopwatch, event_log: EventLog, nats_client: Client
) -> None:
    await running.seen(await define(event_log, JOB, None))
    run_id = await trigger(nats_client, JOB)
    assert await after(running, stopwatch, AFTER_S - 5, run_id) == []
    await consumer(nats_client)
    assert await after(running, stopwatch, 5) == []
    await nats_client.jetstream().delete_consumer(subjects.STREAM, subjects.runner_consumer(JOB))
    assert await after(running, stopwatch, AFTER_S - 5) == []
    assert len(await after(running, stopwatch, 10)) == 1


async def test_an_attempt_whose_consumer_was_deleted_has_its_timeout_to_end(
    running: Running, stopwatch: Stopwatch, event_log: EventLog, nats_client: Client
) -> None:
    await running.seen(await define(event_log, JOB, None))
    run_id = await trigger(nats_client, JOB)
    started = await start(event_log, run_id, timeout_ms=60_000)
    assert await after(running, stopwatch, 60 + 2 * AFTER_S - 5, started) == []
    (ended,) = await after(running, stopwatch, 10)
    assert isinstance(ended.event, Failed)
    assert await story(event_log, run_id) == ["Triggered", "Started", "Abandoned", "Failed"]


async def test_a_run_that_was_acknowledged_without_an_end_fails(
    running: Running, stopwatch: Stopwatch, event_log: EventLog, nats_client: Client
) -> None:
    await running.seen(await define(event_log, JOB, None))
    await consumer(nats_client)
    run_id = await trigger(nats_client, JOB)
    await (await pull(nats_client)).ack_sync()
    (ended,) = await after(running, stopwatch, AFTER_S + 5, run_id)
    assert isinstance(ended.event, Failed)
    assert ended.event.error_type == "DeliveryLost"


async def test_an_attempt_whose_runner_is_gone_for_good_has_its_timeout_to_be_taken_over(
    running: Running, stopwatch: Stopwatch, event_log: EventLog, nats_client: Client
) -> None:
    await running.seen(await define(event_log, JOB, None))
    await consumer(nats_client)
    run_id = await trigger(nats_client, JOB)
    await pull(nats_client)
    started = await start(event_log, run_id, timeout_ms=60_000)
    assert await after(running, stopwatch, 60 + 2 * AFTER_S - 5, started) == []
    (ended,) = await after(running, stopwatch, 10)
    assert isinstance(ended.event, Failed)
    assert ended.event.error_type == "RunnerLost"
    assert "runner-1 stopped answering" in ended.event.error


async def test_a_run_that_is_delivered_and_not_yet_started_is_left_alone(
    running: Running, stopwatch: Stopwatch, event_log: EventLog, nats_client: Client
) -> None:
    await running.seen(await define(event_log, JOB, None))
    await consumer(nats_client)
    run_id = await trigger(nats_client, JOB)
    await pull(nats_client)
    assert await after(running, stopwatch, 3600, run_id) == []


async def test_an_attempt_that_its_runner_gave_up_waits_for_the_next_one(
    running: Running, stopwatch: Stopwatch, event_log: EventLog, nats_client: Client
) -> None:
    await running.seen(await define(event_log, JOB, None))
    await consumer(nats_client)
    run_id = await trigger(nats_client, JOB)
    await pull(nats_client)
    await start(event_log, run_id)
    given_up = await append(event_log, run_id, Abandoned(attempt=1, reason="drained"))
    assert await after(running, stopwatch, 3600, given_up) == []


async def test_an_attempt_whose_delivery_was_acknowledged_may_end_by_itself(
    running: Running, stopwatch: Stopwatch, event_log: EventLog, nats_client: Client
) -> None:
    await running.seen(await define(event_log, JOB, None))
    await consumer(nats_client)
    run_id = await trigger(nats_client, JOB)
    await (await pull(nats_client)).ack_sync()
    started = await start(event_log, run_id)
    assert await after(running, stopwatch, AFTER_S + 10, started) == []
    completed = await append(event_log, run_id, Completed(attempt=1, result=None))
    assert await after(running, stopwatch, 3600, completed) == []


async def test_an_attempt_past_its_timeout_that_idle_runners_do_not_get_is_ended(
    running: Running, stopwatch: Stopwatch, event_log: EventLog, nats_client: Client
) -> None:
    await running.seen(await define(event_log, JOB, None))
    await consumer(nats_client)
    run_id = await trigger(nats_client, JOB)
    await pull(nats_client)
    started = await start(event_log, run_id, timeout_ms=60_000)
    idle = json.dumps({"batch": 1, "expires": 60_000_000_000}).encode()
    inbox = nats_client.new_inbox()
    await nats_client.subscribe(inbox)
    name = subjects.runner_consumer(JOB)
    await nats_client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{subjects.STREAM}.{name}", idle, reply=inbox)
    await nats_client.flush()
    assert await after(running, stopwatch, 60 + 2 * AFTER_S - 5, started) == []
    assert len(await after(running, stopwatch, 10)) == 1
    assert await story(event_log, run_id) == ["Triggered", "Started", "Abandoned", "Failed"]


async def test_a_queued_run_that_somebody_wants_stopped_is_cancelled_at_once(
    running: Running, stopwatch: Stopwatch, event_log: EventLog, nats_client: Client
) -> None:
    await running.seen(await define(event_log, JOB, None))
    await consumer(nats_client)
    run_id = await trigger(nats_client, JOB)
    asked = await append(event_log, run_id, CancelRequested(by="ADMIN:7"))
    (ended,) = await after(running, stopwatch, 0, asked)
    assert ended.event == Cancelled(attempt=0, by="ADMIN:7")
    assert await story(event_log, run_id) == ["Triggered", "CancelRequested", "Cancelled"]


async def test_an_executing_run_that_somebody_wants_stopped_is_its_runners_to_end(
    running: Running, stopwatch: Stopwatch, event_log: EventLog, nats_client: Client
) -> None:
    await running.seen(await define(event_log, JOB, None))
    await consumer(nats_client)
    run_id = await trigger(nats_client, JOB)
    await pull(nats_client)
    await start(event_log, run_id)
    asked = await append(event_log, run_id, CancelRequested(by="ADMIN:7"))
    assert await after(running, stopwatch, 60, asked) == []


async def test_a_process_that_was_stopped_for_hours_starts_its_observations_anew(
    running: Running, stopwatch: Stopwatch, event_log: EventLog, nats_client: Client
) -> None:
    await running.seen(await define(event_log, JOB, None))
    run_id = await trigger(nats_client, JOB)
    assert await after(running, stopwatch, 5, run_id) == []
    stopwatch.s += 7200
    assert await after(running, stopwatch, AFTER_S - 5) == []
    assert len(await after(running, stopwatch, 10)) == 1


async def test_two_reconcilers_end_a_run_once(
    running: Running, stopwatch: Stopwatch, event_log: EventLog, nats_client: Client, nats_url: str
) -> None:
    run_id = await trigger(nats_client, JOB)
    async with scheduler(nats_url, SetClock(clocks.SystemClock().now()), after_s=AFTER_S) as other:
        await other.seen_run(run_id)
        ended = await after(running, stopwatch, AFTER_S - 5, run_id)
        ended += await after(other, stopwatch, AFTER_S + 5, run_id)
        ended += await after(running, stopwatch, AFTER_S + 5, run_id)
    assert len(ended) == 1
    assert await story(event_log, run_id) == ["Triggered", "Failed"]
