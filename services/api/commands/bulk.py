"""Work on many runs at once: run them again, or ask them to stop.

    plan: which runs does the filter select, and of each: why not?
    apply: the same, written down with the runs that were meant; that is the promise
    work (bulk_work): any API process takes a few at a time, and writes down what became of them

What is written down is not truth: a run that was made says itself whose bulk it is of (its correlation id, and the
run that it repeats). A step may be done twice when a process dies between doing it and writing it down; then it finds
what was done, because the id of its event is made of the bulk's and the run's.
"""

import hashlib
import uuid
from collections import Counter
from datetime import datetime
from typing import Final, Literal
from urllib.parse import urlencode

from msgspec import Struct

from services.api.access import store
from services.api.access.store import Identity
from services.api.history import queries, run_filter, selection
from services.api.history.projections import IDEMPOTENT
from services.api.history.queries import Pool
from services.api.history.run_filter import RunFilter
from services.api.problems import BULK_ENDED, KEY_REUSED, TOO_MANY_RUNS, UNKNOWN_BULK, Problem, invalid
from services.infra import sql

Command = Literal["rerun", "cancel"]
Outcome = Literal["waiting", "done", "left"]

LIMIT: Final = 100_000
"""So many runs at most: more are a mistake, as a rule."""
_EXAMPLES: Final = 20

WHY: Final = {
    "running": "it has not finished",
    "unreadable": "its trigger could not be read, so its params are not known",
    "succeeded_since": "the same job has succeeded with the same params since",
    "job_retired": "its job is retired",
    "job_unknown": "no runner has announced its job",
    "run_again_since": "it was run again already",
    "params_refused": "its job does not take its params any more",
    "finished": "it has finished",
    "cancel_asked_already": "somebody has asked it to stop already",
    "busy": "it changes faster than it can be asked to stop",
    "gone": "its events are not in the stream any more",
    "stopped": "the work was stopped before it came to it",
}
"""Why a run is left as it is."""


class Left(Struct, frozen=True, rename="camel"):
    """Runs that are left as they are. why: for programs; words: for people. run_ids: the first twenty."""

    why: str
    words: str
    count: int
    run_ids: list[int]


class BulkPlan(Struct, frozen=True, kw_only=True, rename="camel"):
    """What would be done. filter: as a query. eligible and left add up to selected."""

    command: Command
    filter: str
    selected: int
    eligible: int
    left: list[Left]


class Bulk(Struct, frozen=True, kw_only=True, rename="camel"):
    """Work on many runs. id: the correlation id of all that it does. status: stopped once nothing more will be done.

    done: runs that were run again, or asked to stop. waiting: those that it has not come to. left: why it left how many
    of the others as they are.
    """

    id: str
    command: Command
    filter: str
    status: Literal["working", "finished", "stopped"]
    asked_by: str
    asked_by_name: str | None
    asked_at: datetime
    ended_at: datetime | None
    stopped_by: str | None
    stopped_by_name: str | None
    selected: int
    done: int
    waiting: int
    left: dict[str, int]


class BulkRun(Struct, frozen=True, rename="camel"):
    """What became of one of its runs. made: the run that repeats it. words: why it was left as it is."""

    run_id: int
    outcome: Outcome
    why: str | None
    words: str | None
    made: int | None


async def plan(pool: Pool, command: Command, wanted: RunFilter) -> BulkPlan:
    """Raises Problem where no filter is given, or more than LIMIT runs are selected."""
    judged = await _judged(pool, command, wanted)
    left: dict[str, list[int]] = {}
    for run_id, why in judged:
        if why is not None:
            left.setdefault(why, []).append(run_id)
    return BulkPlan(
        command=command,
        filter=_written(wanted),
        selected=len(judged),
        eligible=len(judged) - sum(map(len, left.values())),
        left=[Left(why, WHY[why], len(ids), ids[:_EXAMPLES]) for why, ids in sorted(left.items())],
    )


async def apply(pool: Pool, identity: Identity, command: Command, wanted: RunFilter, key: str | None = None) -> Bulk:
    """Promise the work; it begins at once, and goes on whatever becomes of this process.

    key: the same account's same key is the same work, however often it is asked for. Raises Problem as plan() does.
    """
    id = uuid.uuid4().hex if key is None else _id_of(identity, key)
    if key is not None and (known := await _known(pool, id)):
        return _same(known, command, wanted)
    judged = await _judged(pool, command, wanted)
    async with pool.acquire() as connection, connection.transaction():
        account = int(identity.user_id)
        if await connection.fetchval(_sql("add_bulk"), id, command, _written(wanted), account):
            ids, whys = [one for one, _ in judged], [why for _, why in judged]
            await connection.execute(_sql("add_bulk_runs"), id, ids, whys)
            await connection.execute(_sql("tell_of_bulk"))
    return await find(pool, id)


def queued(job_type: str) -> RunFilter:
    """The runs of this job that wait for their first attempt."""
    return RunFilter(job_types=(job_type,), phases=("queued",))


async def stop(pool: Pool, identity: Identity, id: str) -> Bulk:
    """Nothing more is done once this has been heard. Raises Problem."""
    found = await find(pool, id)
    if found.ended_at is not None:
        raise Problem(BULK_ENDED, f"The work {id} has ended already.")
    await pool.execute(_sql("stop_bulk"), id, int(identity.user_id))
    return await find(pool, id)


async def find(pool: Pool, id: str) -> Bulk:
    """Raises Problem."""
    found = await _known(pool, id)
    if found is None:
        raise Problem(UNKNOWN_BULK, f"There is no bulk {id[:80]}.")
    return found


async def newest(pool: Pool, limit: int = 20, until: datetime | None = None) -> list[Bulk]:
    """until: asked for by then."""
    return await _bulks(pool, None, limit, until)


async def runs(pool: Pool, id: str, after: int = 0, outcome: Outcome | None = None, limit: int = 100) -> list[BulkRun]:
    """What became of its runs, by id. Raises Problem."""
    await find(pool, id)
    rows = await pool.fetch(_sql("bulk_runs"), id, after, outcome, limit)
    return [BulkRun(row["run_id"], row["outcome"], row["why"], WHY.get(row["why"] or ""), row["made"]) for row in rows]


def event_id(bulk_id: str, run_id: int) -> str:
    """Of the trigger that runs this run again: the same however often the step is taken."""
    return IDEMPOTENT + hashlib.sha256(f"bulk\0{bulk_id}\0{run_id}".encode()).hexdigest()


async def judge(pool: Pool, command: Command, run_ids: list[int]) -> list[tuple[int, str | None]]:
    """Of each run that is known, why it is left as it is; None where it is not."""
    if command == "cancel":
        rows = await pool.fetch(_sql("judge_cancel"), run_ids)
    else:
        jobs = await queries.jobs(pool)
        used = [job.definition.job_type for job in jobs if not job.retired]
        retired = [job.definition.job_type for job in jobs if job.retired]
        rows = await pool.fetch(_sql("judge_rerun"), run_ids, used, retired)
    return [(row["id"], row["why"]) for row in rows]


async def _judged(pool: Pool, command: Command, wanted: RunFilter) -> list[tuple[int, str | None]]:
    if wanted == run_filter.ALL:
        problem = "is missing, and every run would be meant: say which are"
        raise invalid("filter", problem, TOO_MANY_RUNS, "at least one parameter of a filter")
    asked = selection.ids(wanted, LIMIT + 1)
    ids = [row["id"] for row in await pool.fetch(asked.text, *asked.values)]
    if len(ids) > LIMIT:
        raise Problem(TOO_MANY_RUNS, f"The filter selects more than {LIMIT:,} runs: narrow it.")
    return await judge(pool, command, ids)


async def _known(pool: Pool, id: str) -> Bulk | None:
    return next(iter(await _bulks(pool, id.replace("\0", ""), 1)), None)


async def _bulks(pool: Pool, id: str | None, limit: int, until: datetime | None = None) -> list[Bulk]:
    rows = await pool.fetch(_sql("bulks"), id, limit, until)
    counted: dict[str, Counter[tuple[str, str | None]]] = {row["id"]: Counter() for row in rows}
    for row in await pool.fetch(_sql("bulk_counts"), list(counted)):
        counted[row["bulk_id"]][row["outcome"], row["why"]] += row["count"]
    accounts = (str(row[who]) for row in rows for who in ("account_id", "stopped_by") if row[who] is not None)
    names = await store.names(pool, accounts)
    return [
        Bulk(
            id=row["id"],
            command=row["command"],
            filter=row["filter"],
            status=_status(row["ended_at"], row["stopped_at"]),
            asked_by=f"ADMIN:{row['account_id']}",
            asked_by_name=names.get(str(row["account_id"])),
            asked_at=row["asked_at"],
            ended_at=row["ended_at"],
            stopped_by=None if row["stopped_by"] is None else f"ADMIN:{row['stopped_by']}",
            stopped_by_name=names.get(str(row["stopped_by"])),
            selected=counted[row["id"]].total(),
            done=counted[row["id"]]["done", None],
            waiting=counted[row["id"]]["waiting", None],
            left={
                why: count for (outcome, why), count in sorted(counted[row["id"]].items()) if outcome == "left" and why
            },
        )
        for row in rows
    ]


def _left(counted: Counter[tuple[str, str | None]]) -> dict[str, int]:
    return {why: counted["left", why] for why in WHY if counted["left", why]}


def _status(ended_at: datetime | None, stopped_at: datetime | None) -> Literal["working", "finished", "stopped"]:
    if stopped_at is not None:
        return "stopped"
    return "working" if ended_at is None else "finished"


def _same(known: Bulk, command: Command, wanted: RunFilter) -> Bulk:
    if (known.command, known.filter) != (command, _written(wanted)):
        raise Problem(KEY_REUSED, f"This Idempotency-Key has already asked for the work {known.id}, which is another.")
    return known


def _id_of(identity: Identity, key: str) -> str:
    whole = f"bulk\0{identity.user_id}\0{key}"
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _written(wanted: RunFilter) -> str:
    return urlencode(run_filter.write(wanted))


def _sql(name: str) -> str:
    return sql.load("services.api.commands", f"sql/{name}.sql")
