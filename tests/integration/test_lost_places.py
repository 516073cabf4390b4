"""A job's places come free whatever becomes of its runs, its consumer or the stream."""

import asyncio

from kronik.events import Completed, Started
from kronik.run import Run, decide_cancel
from nats.aio.client import Client

from services.log import jetstream
from services.log.append import EventLog
from services.log.provision import provision
from services.runner.first_open import first_open
from tests.processes import runner
from tests.runs import executing, finished, story, trigger


async def ended(log: EventLog, run_id: int) -> None:
    """The run's life, as a runner would have written it."""
    found = await log.read_run(run_id)
    assert found
    for event in (Started(attempt=1, incarnation="x", timeout_ms=1000), Completed(attempt=1, result=None)):
        answer = await log.append_to_run(found[0], event, by="test")
        assert isinstance(answer, Run)
        found = answer, []


async def test_a_new_consumer_begins_at_the_first_run_without_an_end(nats_client: Client, event_log: EventLog) -> None:
    assert await first_open(nats_client, "ALONE") == 1
    before = [await trigger(nats_client, "ALONE") for _ in range(20)]
    await trigger(nats_client, "OTHER")
    for run_id in (*before[:7], *before[8:]):
        await ended(event_log, run_id)
    assert await first_open(nats_client, "ALONE") == before[7]
    await ended(event_log, before[7])
    start = await first_open(nats_client, "ALONE")
    assert before[-1] < start <= await trigger(nats_client, "ALONE")


async def test_what_has_ended_is_not_delivered_again_before_what_is_new(
    nats_client: Client, event_log: EventLog, nats_url: str
) -> None:
    """As after a restore of a backup, which has no consumers in it."""
    for run_id in [await trigger(nats_client, "ALONE") for _ in range(30)]:
        await ended(event_log, run_id)
    open_run = await trigger(nats_client, "ALONE")
    with runner(nats_url):
        await finished(event_log, open_run)
        info = await jetstream.consumer_info(nats_client, "runner-ALONE")
        assert info is not None
        assert info.config["opt_start_seq"] == open_run


async def test_a_run_that_is_cancelled_while_it_waits_for_its_retry_frees_its_place(
    nats_client: Client, event_log: EventLog, nats_url: str
) -> None:
    with runner(nats_url):
        waiting = await trigger(nats_client, "PATIENT", '{"ms": -1}')
        async with asyncio.timeout(20):
            while not (found := await event_log.read_run(waiting)) or found[0].phase != "retrying":  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        behind = await trigger(nats_client, "PATIENT")
        wish = decide_cancel(found[0], by="ADMIN:7")
        assert isinstance(await event_log.append_to_run(found[0], wish, by="test"), Run)  # type: ignore[arg-type]
        assert (await finished(event_log, waiting)).cancelled_by == "ADMIN:7"
        assert (await finished(event_log, behind)).status == "SUCCESS"
        assert (await story(event_log, waiting))[-2:] == ["CancelRequested", "Cancelled"]


async def test_a_job_runs_again_after_the_stream_was_made_anew_under_its_run(
    nats_client: Client, event_log: EventLog, nats_url: str
) -> None:
    with runner(nats_url, ack_wait_s="3") as running:
        for _ in range(3):
            await finished(event_log, await trigger(nats_client, "ALONE"))
        await executing(event_log, await trigger(nats_client, "ALONE", '{"ms": 1500}'))
        await nats_client.jetstream().delete_stream("JOBS")
        await provision(nats_client, replicas=1)
        run = await finished(event_log, await trigger(nats_client, "ALONE"), within_s=40)
        assert run.status == "SUCCESS"
        assert running.log.read_text().count('"run_gone"') == 1
