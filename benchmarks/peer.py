"""One peer's worker, measured by itself: run with the Python of build/peers, never imported.

    python benchmarks/peer.py pgqueuer postgresql://… 20000 100

Jobs that do nothing are enqueued first, in bulk; then one worker in one process begins. What is printed is the seconds
from there until the last of them was done.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable


class Jobs:
    """Counts those that are done. at_once: how many a worker may fetch, or do, at the same time."""

    def __init__(self, count: int, at_once: int) -> None:
        self.count, self.at_once = count, at_once
        self._left = count
        self._all = asyncio.Event()

    async def do(self, *_: object) -> None:
        self._left -= 1
        if self._left == 0:
            self._all.set()

    async def timed(self, worker: Awaitable[object]) -> float:
        """Seconds until the last is done; a worker that ends by itself when all is done may finish."""
        begin = time.perf_counter()
        working = asyncio.ensure_future(worker)
        await asyncio.wait([working, asyncio.ensure_future(self._all.wait())], return_when=asyncio.FIRST_COMPLETED)
        elapsed = time.perf_counter() - begin
        assert self._left == 0, f"{self._left} were not done"
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        return elapsed


async def procrastinate(url: str, jobs: Jobs) -> float:
    from procrastinate import App, PsycopgConnector  # type: ignore[import-not-found]

    app = App(connector=PsycopgConnector(conninfo=url, max_size=20))
    noop = app.task(name="noop")(jobs.do)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for begin in range(0, jobs.count, 1_000):
            await noop.batch_defer_async(*({} for _ in range(min(1_000, jobs.count - begin))))
        worker = app.run_worker_async(concurrency=jobs.at_once, install_signal_handlers=False, listen_notify=False)
        return await jobs.timed(worker)


async def pgqueuer(url: str, jobs: Jobs) -> float:
    import asyncpg
    from pgqueuer import PgQueuer  # type: ignore[import-not-found]

    connection = await asyncpg.connect(url)
    queue = PgQueuer.from_asyncpg_connection(connection)
    await queue.queries.install()
    queue.entrypoint("noop")(jobs.do)
    for begin in range(0, jobs.count, 10_000):
        some = min(10_000, jobs.count - begin)
        await queue.queries.enqueue(["noop"] * some, [None] * some, [0] * some)
    return await jobs.timed(queue.run(batch_size=jobs.at_once))


async def taskiq_nats(url: str, jobs: Jobs) -> float:
    from taskiq.api import run_receiver_task  # type: ignore[import-not-found]
    from taskiq_nats import PullBasedJetStreamBroker  # type: ignore[import-not-found]

    broker = PullBasedJetStreamBroker(url, pull_consume_batch=jobs.at_once, pull_consume_timeout=1)

    @broker.task  # type: ignore[untyped-decorator]
    async def noop() -> None:
        await jobs.do()

    broker.is_worker_process = True
    await broker.startup()
    for begin in range(0, jobs.count, 500):
        await asyncio.gather(*(noop.kiq() for _ in range(min(500, jobs.count - begin))))
    return await jobs.timed(run_receiver_task(broker, max_async_tasks=jobs.at_once))


PEERS: dict[str, Callable[[str, Jobs], Awaitable[float]]] = {
    "procrastinate": procrastinate,
    "pgqueuer": pgqueuer,
    "taskiq-nats": taskiq_nats,
}


async def main(name: str, url: str, count: str, at_once: str) -> None:
    print(await PEERS[name](url, Jobs(int(count), int(at_once))))


if __name__ == "__main__":
    logging.disable(logging.ERROR)
    asyncio.run(main(*sys.argv[1:]))
