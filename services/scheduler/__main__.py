"""The scheduler: wires and starts, nothing else."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from importlib.metadata import version

import uvloop
from kronik import KronikError
from nats import micro
from nats.aio.client import Client

from services.infra import lifecycle, logs, misspelt, settings
from services.infra.clock import SystemClock
from services.log import connection as nats_connection
from services.log.append import EventLog
from services.log.provision import wait_for_streams
from services.log.stored import Stored
from services.log.subscription import StreamReplaced, Subscription
from services.scheduler import schedules
from services.scheduler.beginning import begin
from services.scheduler.ledger import Ledger
from services.scheduler.loop import Scheduler
from services.scheduler.open_runs import OpenRuns
from services.scheduler.queues import Queues
from services.scheduler.quotas import Quotas
from services.scheduler.reconciler import Reconciler
from services.scheduler.schedules import Schedules
from services.scheduler.stream_time import StreamTime

log = logs.get()

START_ANOTHER = 1
"""Exit status where the stream is not the one it was."""


async def run(config: settings.SchedulerSettings) -> int:
    """Run until SIGTERM or SIGINT; the exit status. Every step may be cut off anywhere: there is nothing to drain."""
    ending: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def end(status: int) -> None:
        if not ending.done():
            ending.set_result(status)

    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, end, 0)

    async def closed() -> None:
        end(nats_connection.NO_CONNECTION)

    work = asyncio.create_task(_work(config, f"scheduler-{config.instance}", closed))
    await asyncio.wait((work, ending), return_when=asyncio.FIRST_COMPLETED)
    await lifecycle.end((work,))
    replaced = False
    try:
        if not work.cancelled():
            work.result()
    except* StreamReplaced as errors:
        log.error("stream_replaced", problem=str(errors.exceptions[0]))
        replaced = True
    log.info("scheduler_stopped")
    # Its connection was closed on the way out, which says nothing then.
    return START_ANOTHER if replaced else await ending


async def _work(config: settings.SchedulerSettings, name: str, closed: Callable[[], Awaitable[None]]) -> None:
    connection = await nats_connection.connect(
        config.nats_url, name, closed, patience_s=config.nats_patience_s, alone=True
    )
    try:
        await wait_for_streams(connection)
        event_log = EventLog(connection, SystemClock(config.clock_file), f"/kronik/scheduler/{config.instance}")
        await micro.add_service(connection, name="kronik-scheduler", version=version("kronik-services"))
        await _schedule_and_reconcile(config, connection, event_log, name)
    finally:
        await nats_connection.close(connection)


async def _schedule_and_reconcile(
    config: settings.SchedulerSettings, connection: Client, event_log: EventLog, name: str
) -> None:
    time = StreamTime(connection, SystemClock(config.clock_file).offset)
    known = Schedules(lambda: time.ahead if schedules_feed.current.is_set() else timedelta(0))
    quotas, runs = Quotas(), OpenRuns()

    async def take(batch: Sequence[Stored]) -> None:
        await known.take(batch)
        await quotas.take(batch)

    schedules_feed = Subscription(connection, f"{name}-schedules", take, filter=schedules.FILTER)
    runs_feed = Subscription(connection, f"{name}-runs", runs.take, headers_only=True)

    async def follow_runs() -> None:
        """Where a job lost its consumer, what is open is read from its first trigger on, and that can take minutes:
        slots that need not know it fire meanwhile."""
        runs_feed.position = await begin(event_log, runs)
        await runs_feed.run()

    ledger = Ledger(event_log)
    scheduler = Scheduler(event_log, ledger, time, known, schedules_feed, runs, runs_feed)
    reconciler = Reconciler(
        event_log,
        known,
        schedules_feed,
        runs,
        runs_feed,
        by=f"reconciler-{config.instance}",
        after_s=config.reconcile_after_s,
    )
    own_time = StreamTime(connection, SystemClock(config.clock_file).offset)
    queues = Queues(event_log, own_time, known, schedules_feed, quotas, runs, runs_feed, by=f"queues-{config.instance}")
    tasks: list[asyncio.Task[None]] = [asyncio.create_task(each) for each in (schedules_feed.run(), follow_runs())]
    try:
        await schedules_feed.current.wait()
        tasks += [asyncio.create_task(each.run()) for each in (scheduler, reconciler, queues)]
        log.info("scheduler_ready", instance=config.instance)
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        ended.pop().result()
    finally:
        await lifecycle.end(tasks)


def main() -> None:
    try:
        config = settings.read(settings.SchedulerSettings)
        logs.configure("scheduler", log_format=config.log_format, level=config.log_level)
        misspelt.warn()
        sys.exit(uvloop.run(run(config)))
    except KronikError as error:
        settings.refuse("scheduler", error)


if __name__ == "__main__":
    main()
