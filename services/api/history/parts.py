"""A long stream folded and copied by several processes, a range of sequences each; what crosses a border is joined.

    first ─▶ fold, COPY what ended ─▶ runs still open, late events ─┐
    ······─▶ fold, COPY what ended ─▶ runs still open, late events ─┴─▶ join: the late events onto the open runs

A run's events stand near each other, so little crosses. Joining asks of a replay only what it does anyway: an
event of a run that is not in memory is late, and late events in their order, folded onto the runs that the
ranges before left open, are the stream itself. A process that dies ends the whole; none outlives who began it.
"""

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable
from itertools import pairwise
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from typing import Final

from kronik import KronikError
from msgspec import Struct

from services.api.history import schema, tables
from services.api.history.columns import Row, row_of
from services.api.history.replay import Replay, Source, open_source
from services.api.history.tables import Connection
from services.infra import logs
from services.infra.lifecycle import end
from services.log import connection as nats_connection
from services.log.stored import START

AT_MOST: Final = 4
"""Processes; never more than there are cores."""
WORTH: Final = 100_000
"""So many events keep a process busy for much longer than it takes to begin it."""
_COPY_ROWS: Final = 5_000
_SPAWN: Final = multiprocessing.get_context("spawn")

Passed = Callable[[int], None]


class PartLost(KronikError):
    """A process that folded a part of the stream has failed, or is gone."""


class Part(Struct, frozen=True):
    """The sequences from first to last, both included."""

    first: int
    last: int


def parts_of(first: int, last: int) -> list[Part]:
    """One for each process that is worth beginning; at least one."""
    events = max(0, last - first + 1)
    count = max(1, min(AT_MOST, _cores(), events // WORTH))
    borders = [first + events * number // count for number in range(count + 1)]
    return [Part(begin, behind - 1) for begin, behind in pairwise(borders)]


def _cores() -> int:
    """Those that we may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


async def fold(nats_url: str, dsn: str, parts: list[Part], on_passed: Passed) -> Replay:
    """Fold the parts into history_next: a replay of all, with what is not copied yet, runs that are `finished` too.

    on_passed: told how many events are done. Raises PartLost; of one part alone, what folding raises.
    """
    if len(parts) == 1:
        return await _fold_part(nats_url, dsn, parts[0], on_passed)
    done = [0] * len(parts)

    def passed(number: int) -> Passed:
        def tell(events: int) -> None:
            done[number] = events
            on_passed(sum(done))

        return tell

    folding = [asyncio.create_task(_elsewhere(nats_url, dsn, each, passed(n))) for n, each in enumerate(parts)]
    try:
        return join(await asyncio.gather(*folding))
    finally:
        await end(folding)


def join(parts: Iterable[Replay]) -> Replay:
    """The replay of the whole, of the replays of its parts in order."""
    whole, finished, reached = Replay(), [], START
    for part in parts:
        whole.take(part.late)
        finished += [*whole.finished, *part.finished]
        whole.fold.add(part.fold)
        if part.checkpoint != START:
            reached = part.checkpoint
    whole.finished, whole.checkpoint = finished, reached
    return whole


async def _elsewhere(nats_url: str, dsn: str, part: Part, on_passed: Passed) -> Replay:
    """Fold it in a process of its own, which says how far it is, what went wrong, or what came of it."""
    hears, says = _SPAWN.Pipe(duplex=False)
    process = _SPAWN.Process(target=_perform, args=(says, nats_url, dsn, part), daemon=True)
    process.start()
    says.close()
    try:
        while True:
            match await asyncio.to_thread(hears.recv):
                case Replay() as replay:
                    return replay
                case int(events):
                    on_passed(events)
                case problem:
                    raise PartLost(f"events {part.first} to {part.last}: {problem}")
    except EOFError:
        raise PartLost(f"the process that folded events {part.first} to {part.last} is gone") from None
    finally:
        process.kill()
        process.join()


def _perform(says: Pipe, nats_url: str, dsn: str, part: Part) -> None:
    """In the process of its own. Ctrl-C is for who began it, and ends this with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    logs.configure("rebuild", level="error")
    try:
        says.send(asyncio.run(_fold_part(nats_url, dsn, part, says.send)))
    except Exception as error:
        says.send(str(error) or repr(error))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


async def _fold_part(nats_url: str, dsn: str, part: Part, on_passed: Passed) -> Replay:
    nats = await nats_connection.connect(nats_url, "rebuild")
    try:
        connection = await tables.connect(dsn, tables.NEXT)
        try:
            await connection.execute("SET synchronous_commit = off")
            async with open_source(nats, f"history_rebuild_{part.first}", part.first) as source:
                return await _fold(source, connection, part, on_passed)
        finally:
            connection.terminate()
    finally:
        await nats_connection.close(nats)


async def _fold(source: Source, connection: Connection, part: Part, on_passed: Passed) -> Replay:
    """COPY of some rows goes on while the next ones are folded."""
    replay, copying = Replay(), None
    rows: list[Row] = []
    async for batch in source.up_to(part.last):
        replay.take(batch)
        rows.extend(map(row_of, replay.finished))
        if len(rows) >= _COPY_ROWS:
            if copying:
                await copying
            params, replay.fold.params = replay.fold.params, []
            copying, rows = asyncio.create_task(_copy(connection, rows, params)), []
        on_passed(source.passed - part.first + 1)
    if copying:
        await copying
    await _copy(connection, rows, replay.fold.params)
    replay.fold.params, replay.finished = [], []
    return replay


async def _copy(connection: Connection, runs: list[Row], params: list[Row]) -> None:
    await tables.copy(connection, schema.RUN, runs)
    if params:
        await tables.copy(connection, schema.PARAM, params)
