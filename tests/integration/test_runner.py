"""A real runner process on a real nats-server, seen through the stream alone."""

import asyncio
import itertools
import json
import re
import threading
import time
from collections.abc import Iterator

import nats
import pytest
from kronik.events import JobDefined
from kronik.run import Run, decide_cancel
from nats.aio.client import Client

from services.log.append import EventLog
from services.log.stored import Delivery
from services.runner.places import Places
from services.runner.pull import Pull
from tests.processes import Process, runner
from tests.runs import executing, finished, story, trigger


@pytest.fixture
def running(nats_client: Client, nats_url: str) -> Iterator[Process]:
    with runner(nats_url) as process:
        yield process


@pytest.mark.usefixtures("running")
async def test_a_run_from_trigger_to_result(nats_client: Client, event_log: EventLog) -> None:
    run = await finished(event_log, await trigger(nats_client, "NAP", '{"ms": 20}'))
    assert (run.status, run.result, run.triggered_by, run.attempt) == (
        "SUCCESS",
        {"ms": 20, "attempt": 1},
        "SERVICE:crm",
        1,
    )
    assert run.started_at is not None
    assert run.started_at >= run.triggered_at
    assert run.duration_ms is not None
    assert run.duration_ms >= 20
    assert await story(event_log, run.id) == ["Triggered", "Started", "Completed"]


@pytest.mark.usefixtures("running")
async def test_warnings_make_a_run_partial(nats_client: Client, event_log: EventLog) -> None:
    run = await finished(event_log, await trigger(nats_client, "WARNS"))
    assert run.status == "PARTIAL"
    assert [(warning.item, warning.text) for warning in run.warnings] == [("household 17", "could not be updated")]
    assert run.error is None


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'{"ms":', "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[1]", "must be a JSON object"),
        (b'{"ms":"long"}', r"params: ms must be a whole number, not text \(allowed: ms\)"),
        (b'{"hours":1}', r"unknown field `hours` \(allowed: ms\)"),
        (b'{"triggeredBy":"ADMIN:1"}', "triggeredBy: can't be set"),
        (b"[" * 60_000, "nested too deeply"),
    ],
)
async def test_a_trigger_that_cannot_run_fails_and_says_why(
    nats_client: Client, event_log: EventLog, body: bytes, problem: str
) -> None:
    run = await finished(event_log, await trigger(nats_client, "NAP", body))
    assert run.status == "FAILED"
    assert run.error is not None
    assert re.search(problem, run.error)
    assert (run.attempt, run.triggered_by) == (0, "SERVICE:crm")


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("kind", "attempts", "problem"),
    [
        ("raise", 2, "ValueError: the lamp is broken"),
        ("permanent", 1, "PermanentError: no lamp here"),
        ("text", 2, "ValueError: half a � and a � in it"),
        ("unsayable", 2, "its message can't be shown"),
        ("exit", 2, r"SystemExit\(3\)"),
        ("interrupt", 2, "KeyboardInterrupt"),
        ("big", 1, "at most 262144 are allowed"),
        ("list", 1, "must be a JSON object or None, got list"),
        ("object", 1, "can't be written as JSON"),
        ("deep", 1, "can't be written as JSON|nested deeper"),
    ],
)
async def test_whatever_a_job_does_its_run_ends_with_a_clear_error(
    nats_client: Client, event_log: EventLog, kind: str, attempts: int, problem: str
) -> None:
    run = await finished(event_log, await trigger(nats_client, "BREAKS", json.dumps({"kind": kind})))
    assert (run.status, run.attempt) == ("FAILED", attempts)
    assert run.error is not None
    assert re.search(problem, run.error)


@pytest.mark.usefixtures("running")
async def test_a_failed_attempt_is_retried(nats_client: Client, event_log: EventLog) -> None:
    run = await finished(event_log, await trigger(nats_client, "BREAKS", '{"kind": "once"}'))
    assert (run.status, run.result, run.error) == ("SUCCESS", {"attempt": 2}, None)
    assert await story(event_log, run.id) == ["Triggered", "Started", "Retrying", "Started", "Completed"]


@pytest.mark.usefixtures("running")
async def test_concurrency_one_never_overlaps(nats_client: Client, event_log: EventLog) -> None:
    ids = [await trigger(nats_client, "ALONE", '{"ms": 30}') for _ in range(5)]
    runs = [await finished(event_log, run_id) for run_id in ids]
    for before, after in itertools.pairwise(runs):
        assert before.completed_at is not None
        assert after.started_at is not None
        assert after.started_at >= before.completed_at


async def _cancel(log: EventLog, run_id: int) -> None:
    while True:
        found = await log.read_run(run_id)
        assert found
        wish = decide_cancel(found[0], by="ADMIN:7")
        if isinstance(await log.append_to_run(found[0], wish, by="test"), Run):  # type: ignore[arg-type]
            return


@pytest.mark.usefixtures("running")
async def test_cancel_stops_a_running_job_at_once(nats_client: Client, event_log: EventLog) -> None:
    run_id = await trigger(nats_client, "NAP", '{"ms": 4000}')
    await executing(event_log, run_id)
    await _cancel(event_log, run_id)
    run = await finished(event_log, run_id)
    assert (run.status, run.cancelled_by) == ("FAILED", "ADMIN:7")
    assert run.duration_ms is not None
    assert run.duration_ms < 1000


@pytest.mark.usefixtures("running")
async def test_cancel_before_the_start(nats_client: Client, event_log: EventLog) -> None:
    first = await trigger(nats_client, "ALONE", '{"ms": 400}')
    await executing(event_log, first)
    second = await trigger(nats_client, "ALONE", '{"ms": 400}')
    await _cancel(event_log, second)
    assert (await finished(event_log, first)).status == "SUCCESS"
    run = await finished(event_log, second)
    assert (run.attempt, run.cancelled_by) == (0, "ADMIN:7")


@pytest.mark.usefixtures("running")
async def test_a_timeout_reaches_a_job_in_a_thread(nats_client: Client, event_log: EventLog) -> None:
    run = await finished(event_log, await trigger(nats_client, "THREAD", '{"ms": 9000}'))
    assert (run.status, run.error) == ("FAILED", "timed out after 1 s")


async def test_a_job_that_ignores_its_end_costs_the_process_not_the_run(
    nats_client: Client, event_log: EventLog, running: Process
) -> None:
    run = await finished(event_log, await trigger(nats_client, "DEAF", '{"ms": 60000}'))
    assert run.error == "timed out after 0.5 s and ignored its cancellation"
    assert running.ended() == 75


@pytest.mark.usefixtures("running")
async def test_a_blocked_event_loop_keeps_its_run(nats_client: Client, event_log: EventLog, nats_url: str) -> None:
    with runner(nats_url, instance="other"):
        run_ids = [await trigger(nats_client, "BLOCKS", '{"ms": 4000}') for _ in range(2)]
        for run_id in run_ids:
            run = await finished(event_log, run_id)
            assert (run.status, run.attempt) == ("SUCCESS", 1)


async def test_a_blocked_event_loop_is_said(nats_client: Client, running: Process) -> None:
    await trigger(nats_client, "BLOCKS", '{"ms": 4000}')
    running.wait_for_log("event_loop_blocked", within_s=20)


async def pulling(client: Client, taken: "asyncio.Queue[Delivery]", places: int, ack_wait_s: float = 30) -> Pull:
    await client.jetstream().add_consumer("JOBS", durable_name="runner-NAP", filter_subject="jobs.trigger.NAP.*")

    async def take(delivery: Delivery, asked_s: float) -> None:
        taken.put_nowait(delivery)
        await client.publish(delivery.reply, b"+ACK")

    return Pull(client, "NAP", Places(places, {"NAP": places}), ack_wait_s, take)


async def waiting(client: Client) -> None:
    while not (await client.jetstream().consumer_info("JOBS", "runner-NAP")).num_waiting:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_an_answer_that_came_while_the_loop_was_blocked_is_taken(nats_client: Client, nats_url: str) -> None:
    """Blocked for so long that the pull's own timer has run out as well."""
    taken: asyncio.Queue[Delivery] = asyncio.Queue()
    loop = asyncio.create_task((await pulling(nats_client, taken, 1, ack_wait_s=1 / 0.6)).run())
    await waiting(nats_client)

    async def publish() -> None:
        async with await nats.connect(nats_url) as other:
            await trigger(other, "NAP")

    elsewhere = threading.Thread(target=asyncio.run, args=(publish(),))
    elsewhere.start()
    elsewhere.join()
    time.sleep(2.5)  # noqa: ASYNC251
    delivery = await asyncio.wait_for(taken.get(), 5)
    assert (delivery.stored.subject, delivery.times) == ("jobs.trigger.NAP.crm", 1)
    loop.cancel()


async def test_a_runner_asks_for_as_many_as_it_has_places_and_again_as_they_are_free(nats_client: Client) -> None:
    run_ids = [await trigger(nats_client, "NAP") for _ in range(25)]
    taken: asyncio.Queue[Delivery] = asyncio.Queue()
    pull = await pulling(nats_client, taken, 10)
    loop = asyncio.create_task(pull.run())
    async with asyncio.timeout(10):
        assert [(await taken.get()).stored.sequence for _ in run_ids] == run_ids
        await trigger(nats_client, "NAP")  # alone, and at once: nobody waits for a request to be filled
        await taken.get()
    loop.cancel()
    async with asyncio.timeout(2):
        await pull.stop()
    await trigger(nats_client, "NAP")
    async with asyncio.timeout(5):  # the server counts what waits a moment after it has acknowledged it
        while not (await nats_client.jetstream().consumer_info("JOBS", "runner-NAP")).num_pending:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert taken.empty()


async def test_a_killed_runner_is_replaced(
    nats_client: Client, event_log: EventLog, nats_url: str, running: Process
) -> None:
    run_id = await trigger(nats_client, "NAP", '{"ms": 1000}')
    await executing(event_log, run_id)
    running.kill()
    with runner(nats_url):
        run = await finished(event_log, run_id)
    assert (run.status, run.attempt) == ("SUCCESS", 2)
    assert await story(event_log, run_id) == ["Triggered", "Started", "Abandoned", "Started", "Completed"]


async def test_a_stopped_runner_is_fenced(
    nats_client: Client, event_log: EventLog, nats_url: str, running: Process
) -> None:
    run_id = await trigger(nats_client, "NAP", '{"ms": 1000}')
    await executing(event_log, run_id)
    running.freeze()
    with runner(nats_url, instance="second"):
        run = await finished(event_log, run_id)
        running.thaw()
        running.wait_for_log("attempt_fenced")
    assert (run.status, run.attempt) == ("SUCCESS", 2)
    again = await finished(event_log, run_id)
    assert (again.version, again.ignored) == (run.version, 0)


async def test_a_deploy_lets_short_jobs_finish_and_hands_long_ones_over(
    nats_client: Client, event_log: EventLog, nats_url: str, running: Process
) -> None:
    short = await trigger(nats_client, "NAP", '{"ms": 700}')
    long = await trigger(nats_client, "NAP", '{"ms": 3000}')
    await executing(event_log, short)
    await executing(event_log, long)
    running.terminate()
    assert running.ended() == 0
    with runner(nats_url):
        runs = [await finished(event_log, run_id) for run_id in (short, long)]
    assert [(run.status, run.attempt, run.failures) for run in runs] == [("SUCCESS", 1, 0), ("SUCCESS", 2, 0)]


async def test_a_runner_waits_for_a_server_that_went_away(
    nats_client: Client, event_log: EventLog, nats_server, running: Process
) -> None:
    run_id = await trigger(nats_client, "NAP", '{"ms": 800}')
    await executing(event_log, run_id)
    nats_server.kill()
    running.wait_for_log("nats_disconnected")
    nats_server.start()
    run = await finished(event_log, run_id)
    assert run.status == "SUCCESS"
    assert running.running


async def test_a_deleted_consumer_comes_back(nats_client: Client, event_log: EventLog, running: Process) -> None:
    await nats_client.jetstream().delete_consumer("JOBS", "runner-NAP")
    run = await finished(event_log, await trigger(nats_client, "NAP"))
    assert run.status == "SUCCESS"
    assert running.running


@pytest.mark.usefixtures("running")
async def test_jobs_are_announced_once(nats_client: Client, event_log: EventLog, nats_url: str) -> None:
    first = await event_log.last("jobs.definition.NAP")
    assert first is not None
    assert isinstance(first.data, JobDefined)
    assert first.data.params_schema["$defs"]["Nap"]["properties"]["ms"]["type"] == "integer"
    with runner(nats_url):
        again = await event_log.last("jobs.definition.NAP")
    assert again is not None
    assert again.sequence == first.sequence


@pytest.mark.usefixtures("running")
async def test_log_lines_and_progress_reach_the_joblog(nats_client: Client, event_log: EventLog) -> None:
    lines: list[dict[str, object]] = []
    told = await nats_client.subscribe("joblog.>")
    run_id = await trigger(nats_client, "WARNS")
    await finished(event_log, run_id)
    async with asyncio.timeout(5):
        while len(lines) < 2:
            message = await told.next_msg(timeout=5)
            assert message.subject == f"joblog.WARNS.{run_id}"
            lines.append(json.loads(message.data))
    assert [line["event"] for line in lines] == ["looking", "could not be updated"]
    assert lines[0]["fields"] == {"things": "2", "event": "full moon", "text": "no", "run_id": "7"}
