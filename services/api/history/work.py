"""A rebuild or a verify that can be watched and stopped from everywhere, in a process of its own.

Folding millions of events would hold up every answer of the API, so it is done beside it: `python -m
services.api.history.work`. How far it is stands in one row per kind, which the process writes twice a second; in the
same breath it reads there what somebody wishes (swap, cancel). The command `kronik rebuild` performs the same work in
its own process where no API runs.
"""

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias, TypeVar

import asyncpg
import msgspec
from kronik import KronikError
from msgspec import Raw, Struct

from services.api.history import rebuild as rebuilding
from services.api.history import tables
from services.api.history import verify as verifying
from services.api.history.queries import Pool
from services.api.history.rebuild import Diff, RebuildReport
from services.api.history.schema import statement
from services.api.history.tables import Connection
from services.api.history.verify import VerifyReport
from services.infra import logs, settings
from services.infra.lifecycle import end
from services.infra.settings import ApiSettings

log = logs.get()

Kind = Literal["rebuild", "verify"]
Progress = rebuilding.Progress | verifying.Progress
Database: TypeAlias = "Pool | Connection"
T = TypeVar("T")

_BEAT_S: Final = 0.5


class WorkRunning(KronikError):
    """One of this kind is running already."""


class WorkCancelled(KronikError):
    """Somebody asked for it to stop."""


class Work(Struct, frozen=True, rename="camel"):
    """One that runs, or the last one that did.

    state: waiting: for a word before the swap; lost: its process is gone. position, total: events so far and in all.
    diff: what the swap of a rebuild changes: runs added, changed and removed, and which fields differ in how many.
    report: what came of it. problem: why nothing did.
    """

    kind: Kind
    id: str
    by: str
    state: Literal["running", "waiting", "done", "failed", "cancelled", "lost"]
    begun_at: datetime
    ended_at: datetime | None
    seconds: float
    phase: str
    position: int
    total: int
    diff: Raw | None
    report: Raw | None
    problem: str | None


async def look(pool: Database, kind: Kind) -> Work | None:
    """The one that runs, or the last one; None where there never was any."""
    row = await pool.fetchrow(statement("look_at_work"), kind)
    if row is None:
        return None
    diff, report = (Raw(row[name].encode()) if row[name] else None for name in ("diff", "report"))
    return Work(
        kind=kind,
        state=_state(row),
        diff=diff,
        report=report,
        **{name: row[name] for name in ("id", "by", "begun_at", "ended_at", "seconds", "position", "total")},
        phase=row["phase"],
        problem=row["problem"],
    )


def _state(row: asyncpg.Record) -> Literal["running", "waiting", "done", "failed", "cancelled", "lost"]:
    if row["lost"]:
        return "lost"
    if row["ended_at"] is None:
        return "waiting" if row["phase"] == "waiting" else "running"
    if row["report"] is not None:
        return "done"
    return "cancelled" if row["problem"] == str(WorkCancelled(_CANCELLED)) else "failed"


_CANCELLED: Final = "it was cancelled"


async def begin(pool: Database, kind: Kind, by: str, *, ask: bool = False) -> str:
    """Claim it; the id to perform it with. Raises WorkRunning."""
    found: str | None = await pool.fetchval(statement("begin_work"), kind, uuid.uuid4().hex, by, ask)
    if found is None:
        raise WorkRunning(f"a {kind} is running already; wait for it, or cancel it")
    return found


async def wish(pool: Pool, kind: Kind, wished: Literal["swap", "cancel"]) -> bool:
    """Tell the one that runs; False where none does."""
    return await pool.fetchval(statement("wish_work"), kind, wished) is not None


class _Teller:
    """Keeps the row of the work up to date, and hears what is wished."""

    def __init__(self, connection: Connection, kind: Kind, id: str, also: Callable[[Progress], None]) -> None:
        self._db = connection
        self._kind = kind
        self._id = id
        self._also = also
        self._phase, self._position, self._total = "starting", 0, 0
        self._diff: str | None = None
        self._swap = asyncio.Event()

    def tell(self, progress: Progress) -> None:
        self._also(progress)
        if isinstance(progress, verifying.Progress):
            self._phase, self._position, self._total = progress.phase, progress.position, progress.total
        else:
            self._phase, self._position, self._total = progress.phase, progress.sequence, progress.last

    def show(self, diff: Diff) -> None:
        self._diff = msgspec.json.encode(diff).decode()

    async def wait_for_a_word(self) -> None:
        self._phase = "waiting"
        await self._swap.wait()

    async def beat(self) -> None:
        """Until somebody wishes it to stop. Raises WorkCancelled."""
        while True:
            wished = await self._db.fetchval(
                statement("beat_work"), self._kind, self._id, self._phase, self._position, self._total, self._diff
            )
            if wished is None or wished == "cancel":
                raise WorkCancelled(_CANCELLED)
            if wished == "swap":
                self._swap.set()
            await asyncio.sleep(_BEAT_S)

    async def end(self, report: Struct | None, problem: str | None) -> None:
        await self._db.fetchval(
            statement("beat_work"), self._kind, self._id, self._phase, self._position, self._total, self._diff
        )
        written = msgspec.json.encode(report).decode() if report is not None else None
        await self._db.execute(statement("end_work"), self._kind, self._id, written, problem)


def _silent(_: Progress) -> None:
    pass


async def perform_rebuild(
    nats_url: str, dsn: str, id: str, *, ask: bool = False, also: Callable[[Progress], None] = _silent
) -> RebuildReport:
    """Rebuild, under the id that `begin` gave. Raises WorkCancelled, and what `rebuild` raises."""

    async def work(teller: _Teller) -> RebuildReport:
        async def before_swap(diff: Diff) -> None:
            teller.show(diff)
            if ask:
                await teller.wait_for_a_word()

        return await rebuilding.rebuild(nats_url, dsn, teller.tell, before_swap)

    return await _perform(dsn, "rebuild", id, also, work)


async def perform_verify(
    nats_url: str, dsn: str, id: str, *, also: Callable[[Progress], None] = _silent
) -> VerifyReport:
    """Verify, under the id that `begin` gave. Raises WorkCancelled, and what `verify` raises."""

    async def work(teller: _Teller) -> VerifyReport:
        return await verifying.verify(nats_url, dsn, teller.tell)

    return await _perform(dsn, "verify", id, also, work)


async def _perform(
    dsn: str,
    kind: Kind,
    id: str,
    also: Callable[[Progress], None],
    work: Callable[[_Teller], Awaitable[T]],
) -> T:
    connection = await tables.connect(dsn)
    teller = _Teller(connection, kind, id, also)
    working, beating = asyncio.ensure_future(work(teller)), asyncio.ensure_future(teller.beat())
    try:
        await asyncio.wait({working, beating}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            await end([working])
            beating.result()
        await end([beating])
        report = working.result()
        await teller.end(report if isinstance(report, Struct) else None, None)
        return report
    except BaseException as error:
        await end([working, beating])
        await asyncio.shield(teller.end(None, str(error) or _STOPPED))
        raise
    finally:
        connection.terminate()


_STOPPED: Final = "its process was stopped"


class Workshop:
    """Begins works in processes of their own, and ends those of this process with it."""

    def __init__(self, wanted: ApiSettings) -> None:
        self._settings = wanted
        self._watching: set[asyncio.Task[None]] = set()

    async def begin(self, pool: Database, kind: Kind, by: str, *, ask: bool = False) -> None:
        """Raises WorkRunning."""
        id = await begin(pool, kind, by, ask=ask)
        watching = asyncio.create_task(self._watch(kind, id, ask))
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)

    async def _watch(self, kind: Kind, id: str, ask: bool) -> None:
        # -P: a directory called `services` where the API happens to stand must not be taken for ours.
        argv = (sys.executable, "-P", "-m", "services.api.history.work", kind, id, *(["ask"] if ask else []))
        process = await asyncio.create_subprocess_exec(
            *argv, env=_environ(self._settings), stdin=asyncio.subprocess.DEVNULL
        )
        try:
            await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()

    async def close(self) -> None:
        await end(self._watching)


def _environ(wanted: ApiSettings) -> dict[str, str]:
    return {**os.environ, "KRONIK_NATS_URL": wanted.nats_url, "KRONIK_DATABASE_URL": wanted.database_url}


def main(argv: list[str]) -> None:
    """`python -m services.api.history.work KIND ID [ask]`."""
    kind, id, *rest = argv
    wanted = settings.read(ApiSettings)
    logs.configure(kind, log_format=wanted.log_format, level=wanted.log_level)
    work: Any = (
        perform_verify(wanted.nats_url, wanted.database_url, id)
        if kind == "verify"
        else perform_rebuild(wanted.nats_url, wanted.database_url, id, ask="ask" in rest)
    )
    try:
        asyncio.run(_until_terminated(work))
    except KronikError as error:
        log.error("replay_failed", kind=kind, error=str(error))
        sys.exit(1)


async def _until_terminated(work: Any) -> None:
    working = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)
    try:
        await working
    except asyncio.CancelledError:
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
