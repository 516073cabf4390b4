"""The projector: a task of every API process, of which one at a time writes the read model.

    standby ──advisory lock──▶ check the checkpoint's event ──▶ read, fold, write, again and again
       ▲                                  │ mismatch                        │ connection lost
       └────────────── a pause ◀──────────┴─────────────────────────────────┘

The lock and the writes share one Postgres connection, so who loses the lock can't write. A batch's rows
and the checkpoint are written in one transaction, and the checkpoint moves only from where this
projector left it: two projectors can't both succeed, whatever they believe. Every way
to fail ends in a pause and a new start from what the tables say; nothing is remembered in between.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Literal

import asyncpg
import msgspec
from kronik import KronikError
from kronik.events import Recorded
from msgspec import Struct
from nats.aio.client import Client
from nats.errors import Error as NatsError

from services.api.history import schema, tables, upgrade
from services.api.history.projections import Checkpoint, Fold, Parked, park, read, run_id_of
from services.api.history.tables import Connection
from services.infra import logs
from services.infra.failpoints import failpoint
from services.infra.lifecycle import end
from services.log.stored import Stored
from services.log.subscription import StreamReplaced, Subscription

log = logs.get()

CHANNEL = "history"
NAMED_RUNS = 100
"""A notification names up to so many runs; of more, it only says that there are many."""

_PAUSE_S = 1.0
_STANDBY_S = 2.0
_MISMATCH_S = 5.0

_UNWRITABLE = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    ValueError,
    OverflowError,
    TypeError,
)


class CheckpointMoved(KronikError):
    """The checkpoint is not where this projector left it: a rebuild swapped, somebody truncated, or another wrote."""


class Change(Struct, frozen=True):
    """What a notification says: history has come to `position`. runs: whose rows changed; None: too many to name."""

    position: int
    runs: tuple[int, ...] | None = None


class Projected(Struct, frozen=True):
    """One batch is in the read model. behind: how many events were still to come when it was read."""

    checkpoint: Checkpoint
    change: Change
    behind: int


class State(Struct, frozen=True):
    """What the projector of this process is doing, for readiness.

    standby: another process projects. waiting: for NATS, Postgres or the tables. stopped: the stream and
    the history don't belong together, and a person has to look.
    """

    phase: Literal["starting", "standby", "projecting", "waiting", "stopped"]
    problem: str | None = None


async def project(connection: Connection, checkpoint: Checkpoint, batch: Sequence[Stored]) -> Projected:
    """Fold a batch that follows the checkpoint and write it. Raises CheckpointMoved, and what asyncpg raises."""
    try:
        return await _project(connection, checkpoint, batch)
    except _UNWRITABLE as error:
        log.error("events_unwritable", first=batch[0].sequence, last=batch[-1].sequence, error=str(error)[:500])
        if len(batch) > 1:
            return await _project_singly(connection, checkpoint, batch)
        return await _project(connection, checkpoint, batch, refused=f"Postgres refused it: {error}")


async def _project_singly(connection: Connection, checkpoint: Checkpoint, batch: Sequence[Stored]) -> Projected:
    """One of them can't be written: find it by writing each by itself."""
    runs: set[int] = set()
    for stored in batch:
        projected = await project(connection, checkpoint, [stored])
        checkpoint = projected.checkpoint
        runs.update(projected.change.runs or ())
    return Projected(checkpoint, _change(checkpoint, runs), batch[-1].behind)


async def _project(
    connection: Connection, checkpoint: Checkpoint, batch: Sequence[Stored], refused: str | None = None
) -> Projected:
    reached = batch[-1].position
    async with connection.transaction():
        await connection.execute(schema.statement("lock_writing"))
        change = _change(reached, await fold_in(connection, batch, refused))
        if not await tables.move_checkpoint(connection, checkpoint, reached):
            raise CheckpointMoved(f"the checkpoint is not at {checkpoint.sequence} any more")
        await notify(connection, change)
        failpoint("before_projected")
    failpoint("after_projected")
    return Projected(reached, change, batch[-1].behind)


async def fold_in(connection: Connection, batch: Sequence[Stored], refused: str | None = None) -> set[int]:
    """Fold these messages into the rows that are there; the runs that changed. refused: park them, for this reason."""
    events = [read(stored) if refused is None else park(stored, refused) for stored in batch]
    fold = Fold(await tables.load_runs(connection, _concerned(batch, events)))
    for stored, event in zip(batch, events, strict=True):
        fold.take(stored, event)
    await tables.write(connection, fold)
    return fold.changed


async def notify(connection: Connection, change: Change) -> None:
    """Tell every API process, when the transaction commits."""
    await connection.execute(schema.statement("notify"), msgspec.json.encode(change).decode())


def _concerned(batch: Sequence[Stored], events: Sequence[Recorded | Parked]) -> Iterator[int]:
    """The runs that these events continue or begin; those that begin have a row only where it is not the first time."""
    for stored, event in zip(batch, events, strict=True):
        if type(event) is Parked:
            continue
        run_id = run_id_of(stored)
        if run_id is not None:
            yield run_id
        elif stored.subject.startswith("jobs.trigger."):
            yield stored.sequence


def _change(checkpoint: Checkpoint, runs: set[int]) -> Change:
    return Change(checkpoint.sequence, tuple(sorted(runs)) if len(runs) <= NAMED_RUNS else None)


class Projector:
    """Keeps the read model behind the stream by as little as it can, for as long as `run` goes on.

    connection: to NATS. dsn: of Postgres. instance: names the consumer, `history-<instance>`.
    """

    def __init__(self, connection: Client, dsn: str, instance: str) -> None:
        self._nats = connection
        self._dsn = dsn
        self._consumer = f"history-{''.join(c if c.isalnum() or c in '-_' else '-' for c in instance)}"
        self.state = State("starting")

    async def run(self) -> None:
        """Project until cancelled, through every absence of NATS, of Postgres and of the tables themselves."""
        while True:
            pause_s = await self._try()
            await asyncio.sleep(pause_s)

    async def _try(self) -> float:
        """Project until something ends it; the answer is the pause, in seconds, before the next try."""
        try:
            async with self._leading() as connection:
                await self._follow(connection)
        except StreamReplaced as mismatch:
            return self._ended(State("stopped", str(mismatch)), _MISMATCH_S)
        except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
            return self._ended(State("waiting", "the tables of the history are not there: run `kronik rebuild`"))
        except (NatsError, CheckpointMoved) as error:
            return self._ended(State("waiting", f"the stream: {error}"))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            return self._ended(State("waiting", f"Postgres: {error!r}"[:500]))
        except Exception as error:
            log.exception("projector_failed")
            return self._ended(State("waiting", repr(error)[:500]))
        return _PAUSE_S

    def _ended(self, state: State, pause_s: float = _PAUSE_S) -> float:
        """Say it once, however often it is tried."""
        if state != self.state:
            write = log.error if state.phase == "stopped" else log.warning
            write("projector_stopped" if state.phase == "stopped" else "projector_waits", problem=state.problem)
        self.state = state
        return pause_s

    @asynccontextmanager
    async def _leading(self) -> AsyncIterator[Connection]:
        """A connection that holds the lock of the one that projects; waits for it."""
        connection = await tables.connect(self._dsn)
        try:
            while not await connection.fetchval(schema.statement("try_projecting")):
                self.state = State("standby")
                await asyncio.sleep(_STANDBY_S)
            yield connection
        finally:
            connection.terminate()

    async def _follow(self, connection: Connection) -> None:
        """Until something is not as it should be. Raises StreamReplaced, CheckpointMoved, and what asyncpg raises."""
        await upgrade.prepare(connection)

        async def take(batch: Sequence[Stored]) -> None:
            await project(connection, stream.position, batch)

        stream = Subscription(
            self._nats,
            self._consumer,
            take,
            position=await tables.checkpoint(connection),
            on_problem=self._on_problem,
        )
        log.info("projecting", checkpoint=stream.position.sequence)
        following = [asyncio.create_task(stream.run()), asyncio.create_task(_until_closed(connection))]
        try:
            ended, _ = await asyncio.wait(following, return_when=asyncio.FIRST_COMPLETED)
            ended.pop().result()
        finally:
            await end(following)

    def _on_problem(self, problem: str | None) -> None:
        self.state = State("projecting") if problem is None else State("waiting", f"the stream: {problem}")


async def _until_closed(connection: Connection) -> None:
    """Raises InterfaceError once the connection is gone: an idle one says nothing by itself."""
    closed = asyncio.Event()
    connection.add_termination_listener(lambda _: closed.set())
    if not connection.is_closed():
        await closed.wait()
    raise asyncpg.InterfaceError("the connection was closed")
