"""The runner: wires and starts, nothing else."""

import asyncio
import gc
import os
import sys
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from kronik import InvalidJob, Job, KronikError, subjects
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from services.infra import logs, misspelt, settings
from services.infra.clock import SystemClock
from services.log import connection as nats_connection
from services.log.append import EventLog, LogRefused, LogUnavailable
from services.log.provision import wait_for_streams
from services.runner import exits, liveness, registry, stopping, voices
from services.runner.answers import Answers
from services.runner.attempt import Attempts
from services.runner.broker import Broker
from services.runner.consumer import Consumers
from services.runner.isolation import Isolation
from services.runner.lease import LeaseKeeper
from services.runner.releases import Releases
from services.runner.suspects import Suspects

log = logs.get()

REPLACE_ME = 75
"""Exit status of a runner that holds a thread it can't stop: start another one (EX_TEMPFAIL)."""


async def run(config: settings.RunnerSettings, jobs: dict[str, Job]) -> int:
    """Run until SIGTERM or SIGINT, then drain. The exit status."""
    pulling, ending, replace_me = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def told_to_stop() -> None:
        if not pulling.is_set():
            exits.end_process(0)  # it holds nothing yet, and may be waiting for NATS without end
        ending.set()

    stopping.on_signal(asyncio.get_running_loop(), told_to_stop, config.grace_s, REPLACE_ME)
    name = f"runner-{config.instance}"
    broker = Broker(config.nats_url, name, gave_up, config.nats_patience_s)
    await broker.connect()
    await wait_for_streams(broker.connection)
    event_log = EventLog(broker.connection, SystemClock(config.clock_file), f"/kronik/runner/{config.instance}")
    isolation = Isolation(config.jobs)
    if any(job.isolation == "process" for job in jobs.values()):
        isolation.warm_up()
    incarnation = f"{config.instance}-{uuid.uuid4().hex[:8]}"
    releases = Releases(event_log, jobs, config.instance, incarnation, event_log.clock.now())
    leases = LeaseKeeper(config.nats_url, name, config.ack_wait_s, gave_up, hung, releases.say)
    attempts = Attempts(
        log=event_log,
        answers=Answers(broker.connection),
        leases=leases,
        incarnation=incarnation,
        ack_wait_s=config.ack_wait_s,
        grace_s=config.grace_s,
        threads=ThreadPoolExecutor(max_workers=config.slots * len(jobs), thread_name_prefix="job"),
        isolation=isolation,
        suspects=Suspects(),
        others_take=releases.others_take,
        replace_me=replace_me,
    )
    consumers = Consumers(broker.connection, attempts, releases, jobs, config.slots, config.ack_wait_s)
    await releases.listen()
    await patiently(releases.begin)
    leases.start()
    await listen_for_cancels(broker.connection, attempts)
    await patiently(consumers.prepare)

    async def pull() -> None:
        try:
            consumers.start()
            log.info("runner_ready", jobs=sorted(jobs), instance=config.instance)
            await consumers.look_after()
        except Exception:
            log.exception("pulling_failed")
            replace_me.set()

    pulling.set()
    rounds = [asyncio.create_task(each) for each in (attempts.look_after(), attempts.speak(), liveness.tell(attempts))]
    care, comparing = asyncio.create_task(pull()), asyncio.create_task(releases.run())
    await first(ending, replace_me)
    care.cancel()
    comparing.cancel()
    await releases.leave()
    await consumers.drain(config.grace_s)
    for each in rounds:
        each.cancel()
    leases.stop()
    isolation.close()
    return REPLACE_ME if replace_me.is_set() else 0


async def gave_up() -> None:
    """The NATS client closed for good: no event and no acknowledgement can leave this process any more."""
    log.error("nats_gave_up", status=nats_connection.NO_CONNECTION)
    exits.end_process(nats_connection.NO_CONNECTION)


def hung(run_ids: list[int]) -> None:
    """A job holds the event loop beyond its time: its neighbours' attempts would never end, nor would this process."""
    log.error("event_loop_hangs", runs=run_ids, status=REPLACE_ME)
    stopping.end_children()
    exits.end_process(REPLACE_ME)


async def patiently(step: Callable[[], Awaitable[None]]) -> None:
    """Repeat a step of the start, which may be done twice, until NATS is there for all of it."""
    while True:
        try:
            return await step()
        except (LogUnavailable, NatsError, TimeoutError) as error:
            log.warning("waiting_for_nats", error=repr(error))
            await asyncio.sleep(1)


async def listen_for_cancels(connection: Client, attempts: Attempts) -> None:
    """A cancel is noticed at once here; one that is missed is noticed by the attempt's next look.

    Only what the stream hands on has such a subject: a push consumer that somebody points here brings its own.
    """

    async def heard(message: Msg) -> None:
        if not message.subject.startswith(subjects.STORED):
            return
        try:
            await attempts.heard_cancel(int(message.subject.split(".")[4]))
        except (LogUnavailable, LogRefused, NatsError, ValueError) as error:
            log.warning("cancel_not_followed", error=str(error))

    await connection.subscribe(subjects.STORED + subjects.CANCEL_REQUESTS, cb=heard)


async def first(*events: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


def look_for_garbage_seldom() -> None:
    """Python does it for every 700 objects, which is for each dozen runs, over all that a thousand of them have in
    hand: a third of the runner's time. A run of its own leaves none, and what was loaded stays."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)


async def run_and_exit(config: settings.RunnerSettings, jobs: dict[str, Job]) -> None:
    """Leave without asyncio's own cleaning up, which would wait for ever for a job that ignores its end."""
    status = await run(config, jobs)
    stopping.end_children()
    log.info("runner_stopped", status=status)
    exits.end_process(status)


def main() -> None:
    try:
        config = settings.read(settings.RunnerSettings)
        sys.path.insert(0, os.getcwd())  # job modules may stand where the runner is started
        logs.configure("runner", log_format=config.log_format, level=config.log_level)
        misspelt.warn()
        voices.listen()
        exits.refuse_in_jobs()
        jobs = registry.load(config.jobs)
        look_for_garbage_seldom()
        exits.run(exits.SharedLoop(), run_and_exit(config, jobs))
    except InvalidJob as error:
        settings.refuse("runner", settings.InvalidSettings([str(error)]))
    except KronikError as error:
        settings.refuse("runner", error)


if __name__ == "__main__":
    main()
