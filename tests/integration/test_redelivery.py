"""A consumer that was deleted and made again delivers every trigger of the stream once more, as if for the first time.

Nothing that is finished may run again, and nothing that is running may be taken for lost.
"""

from nats.aio.client import Client

from services.log.append import EventLog
from tests.processes import runner
from tests.runs import executing, finished, story, trigger


async def test_what_has_ended_does_not_run_again(nats_client: Client, event_log: EventLog, nats_url: str) -> None:
    with runner(nats_url) as running:
        run_ids = [await trigger(nats_client, "ALONE") for _ in range(3)]
        for run_id in run_ids:
            await finished(event_log, run_id)
        await nats_client.jetstream().delete_consumer("JOBS", "runner-ALONE")
        await finished(event_log, await trigger(nats_client, "ALONE"))
        assert running.log.read_text().count('"attempt_started"') == 4


async def test_what_is_running_goes_on(nats_client: Client, event_log: EventLog, nats_url: str) -> None:
    with runner(nats_url), runner(nats_url, instance="other"):
        run_id = await trigger(nats_client, "ALONE", '{"ms": 4500}')
        await executing(event_log, run_id)
        await nats_client.jetstream().delete_consumer("JOBS", "runner-ALONE")
        run = await finished(event_log, run_id)
        assert (run.status, run.attempt) == ("SUCCESS", 1)
        assert await story(event_log, run_id) == ["Triggered", "Started", "Completed"]
