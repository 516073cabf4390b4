"""What a projector does to the tables while others read them: batches of runs, each in one transaction.

A process of its own, as the projector of another API is; until its standard input is closed. Prints what it did.
"""

import asyncio
import sys
import time
from typing import Final

import msgspec
from msgspec import Struct, structs

from services.api.history import tables
from services.api.history.projections import Fold
from services.api.history.schema import statement

_RUNS: Final = 700
"""Of three events each: what the projector takes at once while it catches up."""
_PAUSE_S: Final = 0.1


class Projected(Struct, frozen=True):
    """spans: the seconds that each transaction took, which is how long writing was locked."""

    events: int
    seconds: float
    spans: list[float]


async def project(database: str) -> Projected:
    """Until nobody wants more."""
    connection = await tables.connect(database)
    last = await connection.fetchval("SELECT max(id) FROM run")
    pattern = list((await tables.load_runs(connection, range(last // 2, last // 2 + 3 * _RUNS))).values())
    pattern = [structs.replace(run, correlation_id=None) for run in pattern]
    ended, spans, begin = asyncio.create_task(asyncio.to_thread(sys.stdin.read)), [], time.perf_counter()
    while not ended.done():
        fold = Fold({last + 3 * n: structs.replace(run, id=last + 3 * n) for n, run in enumerate(pattern, 1)})
        fold.changed, last = set(fold.runs), max(fold.runs)
        started = time.perf_counter()
        async with connection.transaction():
            await connection.execute(statement("lock_writing"))
            await tables.write(connection, fold)
        spans.append(time.perf_counter() - started)
        await asyncio.sleep(_PAUSE_S)
    await connection.close()
    return Projected(len(spans) * len(pattern) * 3, time.perf_counter() - begin, spans)


if __name__ == "__main__":
    print(msgspec.json.encode(asyncio.run(project(sys.argv[1]))).decode(), flush=True)
