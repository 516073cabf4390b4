"""The stream read from its first event on, and folded in memory: for the rebuild and for verify.

A finished run leaves memory at once. Events that come for a run which is not in memory are `late`: its
run is finished (a stale writer), or older than the stream, or there is none. They are few, and wait for the end.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from kronik.run import Run
from nats.aio.client import Client

from services.api.history.projections import Checkpoint, Fold, Parked, read, run_id_of
from services.log.event_reader import EventReader, open_reader
from services.log.stored import START, Stored


class Source:
    """The stream in order, cut wherever it is asked to stop. passed: the last sequence handed out."""

    def __init__(self, reader: EventReader, passed: int) -> None:
        self._reader = reader
        self._rest: list[Stored] = []
        self.passed = passed

    async def up_to(self, sequence: int) -> AsyncIterator[list[Stored]]:
        """Batches until `sequence` is passed. Raises ReaderLost."""
        while self.passed < sequence:
            batch = self._rest or await self._reader.next_batch()
            cut = _count_up_to(batch, sequence)
            self._rest = batch[cut:]
            if cut:
                self.passed = batch[cut - 1].sequence
                yield batch[:cut]
            elif batch:
                return


def _count_up_to(batch: Sequence[Stored], sequence: int) -> int:
    if not batch or batch[-1].sequence <= sequence:
        return len(batch)
    return next(index for index, stored in enumerate(batch) if stored.sequence > sequence)


@asynccontextmanager
async def open_source(connection: Client, name: str, start: int) -> AsyncIterator[Source]:
    """The stream from sequence `start` on. Raises ReaderLost."""
    async with open_reader(connection, name=name, start=start) as reader:
        yield Source(reader, start - 1)


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
            if isinstance(event, Parked) or (run_id := run_id_of(event)) is None:
                fold.take(stored, event)
            elif run_id not in runs:
                self.late.append(stored)
            else:
                fold.go_on(stored, run_id, event)
                if runs[run_id].finished:
                    self.finished.append(runs.pop(run_id))
        fold.changed.clear()
        if batch:
            self.checkpoint = batch[-1].position
