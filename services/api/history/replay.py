"""The stream read from its first event on, and folded in memory: for the rebuild and for verify.

A finished run leaves memory at once. Events that come for a run which is not in memory are `late`: its
run is finished (a stale writer), or older than the stream, or there is none. They are few, and wait for the end.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from kronik.run import Run
from nats.aio.client import Client

from services.api.history.projections import Checkpoint, Fold, Parked, read, run_id_of
from services.log.event_reader import EventReader, ReaderCut, directly_after, open_reader
from services.log.stored import START, Stored


class Source:
    """The stream in order, cut wherever it is asked to stop. passed: the last sequence handed out.

    open: a reader from a sequence on, in place of the one before.
    """

    def __init__(
        self, connection: Client, reader: EventReader, open: Callable[[int], Awaitable[EventReader]], start: int
    ) -> None:
        self._connection = connection
        self._reader = reader
        self._open = open
        self._rest: list[Stored] = []
        self.passed = start - 1

    async def up_to(self, sequence: int) -> AsyncIterator[list[Stored]]:
        """Batches until `sequence` is passed. Raises ReaderLost."""
        while self.passed < sequence:
            batch = self._rest or await self._next_batch()
            cut = _count_up_to(batch, sequence)
            self._rest = batch[cut:]
            if cut:
                self.passed = batch[cut - 1].sequence
                yield batch[:cut]
            elif batch:
                return

    async def _next_batch(self) -> list[Stored]:
        """Everything before it was handed out. Raises ReaderLost."""
        try:
            return await self._reader.next_batch()
        except ReaderCut:
            batch = await directly_after(self._connection, self.passed)
            self._reader = await self._open(1 + (batch[-1].sequence if batch else self.passed))
            return batch


def _count_up_to(batch: Sequence[Stored], sequence: int) -> int:
    if not batch or batch[-1].sequence <= sequence:
        return len(batch)
    return next(index for index, stored in enumerate(batch) if stored.sequence > sequence)


@asynccontextmanager
async def open_source(connection: Client, name: str, start: int) -> AsyncIterator[Source]:
    """The stream from sequence `start` on. Raises ReaderLost."""
    async with AsyncExitStack() as stack:

        async def open(start: int) -> EventReader:
            await stack.aclose()
            return await stack.enter_async_context(open_reader(connection, name=name, start=start))

        yield Source(connection, await open(start), open, start)


class Replay:
    """Folds a stream from its begin. After each batch, `finished` are the runs that ended in it."""

    def __init__(self) -> None:
        self.fold = Fold()
        self.finished: list[Run] = []
        self.late: list[Stored] = []
        self.checkpoint: Checkpoint = START

    def take(self, batch: Sequence[Stored]) -> None:
        fold, runs = self.fold, self.fold.runs
        self.finished.clear()
        for stored in batch:
            event = read(stored)
            if type(event) is Parked or (run_id := run_id_of(stored)) is None:
                fold.take(stored, event)
            elif run_id not in runs:
                self.late.append(stored)
            else:
                fold.go_on(stored, run_id, event)
                if runs[run_id].phase == "finished":
                    self.finished.append(runs.pop(run_id))
        fold.changed.clear()
        if batch:
            self.checkpoint = batch[-1].position
