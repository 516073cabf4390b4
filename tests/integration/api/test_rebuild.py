"""Rebuild and verify: the same rows from the stream alone, whatever became of the tables."""

import asyncio
import json
import multiprocessing
import os
import signal
import sys
from itertools import pairwise

import psutil
import pytest
from kronik.events import Abandoned, Completed, Failed, Retrying, SlotSkipped, Warning
from nats.aio.client import Client

from services.api.history import parts, tables
from services.api.history.rebuild import Progress, RebuildRunning, rebuild
from services.api.history.replay import Replay, open_source
from services.api.history.tables import Connection
from services.api.history.verify import verify
from services.log.connection import close, connect
from services.log.provision import provision
from services.log.stored import Stored
from tests.integration.api.conftest import JOB, STARTED, SUMMARY, Api, Stream, project_all
from tests.servers import NatsServer

TABLES = ("run", "param", "job", "schedule", "slot", "parked", "idempotency", "checkpoint", "tally")


async def contents(db: Connection, schema: str = "history") -> dict[str, list[str]]:
    """Every row of every table as text: equal means equal byte for byte."""
    found = {}
    for table in TABLES:
        there = "t.count <> 0" if table == "tally" else "true"
        rows = await db.fetch(f"SELECT row(t.*)::text AS text FROM {schema}.{table} AS t WHERE {there}")
        found[table] = sorted(row["text"] for row in rows)
    return found


async def everything(stream: Stream) -> int:
    """One of each kind of trouble; the last sequence."""
    await stream.define()
    await stream.run(params={"mode": "fast", "n": "\x01", "big": 2**70})
    queued = await stream.trigger(origin="ops")
    retried = await stream.trigger()
    retry = Retrying(attempt=1, error="no", error_type="E", retry_at=stream.log.clock.now())
    await stream.go_on(retried, STARTED, retry)
    lost = await stream.trigger()
    await stream.go_on(lost, STARTED, Abandoned(attempt=1, reason="lost", detail="gone"))
    partial = await stream.trigger()
    await stream.go_on(partial, STARTED, Completed(attempt=1, result=SUMMARY, warnings=(Warning(text="w"),)))
    finished = await stream.run()
    await stream.append(f"jobs.run.{JOB}.{finished}.failed", Failed(attempt=1, error="zombie", error_type="E"))
    await stream.append(f"jobs.run.{JOB}.{queued + 5000}.started", STARTED)
    await stream.publish(f"jobs.run.{JOB}.{queued}.started", b"nonsense")
    await stream.publish(f"jobs.trigger.{JOB}.ops", b"")
    await stream.publish(f"jobs.trigger.{JOB}.ops", b"[]", {"Nats-Msg-Id": "mine"})
    skipped = SlotSkipped(scheduled_for=stream.log.clock.now(), outcome="missed", reason="slept")
    return await stream.append(f"jobs.slot.{JOB}.missed", skipped)


async def test_projector_and_rebuild_yield_the_same_bytes(
    stream: Stream, nats_client: Client, nats_url: str, database_url: str, writer: Connection, db: Connection
) -> None:
    last = await everything(stream)
    await project_all(writer, nats_client, last)
    projected = await contents(db)
    report = await rebuild(nats_url, database_url)
    assert await contents(db) == projected
    assert (report.last, report.added, report.changed, report.removed) == (last, 0, 0, 0)
    assert await contents(db, "history_old") == projected
    assert len(projected["parked"]) == 2
    assert (await verify(nats_url, database_url)).differences == []


async def read_all(nats: Client, last: int) -> list[Stored]:
    async with open_source(nats, "test-rebuild", 1) as source:
        return [stored async for batch in source.up_to(last) for stored in batch]


def replayed(messages: list[Stored]) -> Replay:
    """As a process hands it on: what ended is copied, and gone."""
    replay = Replay()
    replay.take(messages)
    return replay


def all_of(replay: Replay) -> list[str]:
    fold = replay.fold
    runs = sorted([*replay.finished, *fold.runs.values()], key=lambda run: run.id)
    others = [sorted(rows) for _, rows in tables.others(fold)]
    return [*map(str, runs), str(others), str(replay.late), str(replay.checkpoint)]


async def test_parts_of_a_stream_joined_are_the_whole_wherever_their_borders_are(
    stream: Stream, nats_client: Client
) -> None:
    messages = await read_all(nats_client, await everything(stream))
    whole = all_of(replayed(messages))
    places = range(len(messages) + 1)
    for one in places:
        for other in places[one:]:
            split = (messages[:one], messages[one:other], messages[other:])
            assert all_of(parts.join(map(replayed, split))) == whole, (one, other)


@pytest.mark.parametrize(("first", "last"), [(1, 0), (1, 1), (7, 6), (1, 10**6), (123_457, 7 * 10**6 + 3)])
def test_parts_hold_every_event_once(first: int, last: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_cores", lambda: 64)
    found = parts.parts_of(first, last)
    assert (found[0].first, found[-1].last) == (first, last)
    assert all(one.last + 1 == other.first for one, other in pairwise(found))
    assert len(found) == max(1, min(parts.AT_MOST, (last - first + 1) // parts.WORTH))


def three_parts(first: int, last: int) -> list[parts.Part]:
    borders = [first, first + (last - first) // 3, first + (last - first) // 2, last + 1]
    return [parts.Part(begin, behind - 1) for begin, behind in pairwise(borders)]


async def test_several_processes_make_the_same_bytes(
    stream: Stream,
    nats_client: Client,
    nats_url: str,
    database_url: str,
    writer: Connection,
    db: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parts, "parts_of", three_parts)
    last = await everything(stream)
    await project_all(writer, nats_client, last)
    projected, told = await contents(db), list[Progress]()
    report = await rebuild(nats_url, database_url, told.append)
    assert await contents(db) == projected
    assert (report.last, report.added, report.changed, report.removed) == (last, 0, 0, 0)
    assert max(each.sequence for each in told if each.phase == "folding") == last
    assert multiprocessing.active_children() == []


async def test_a_process_that_is_killed_ends_the_rebuild_and_nothing_is_left(
    stream: Stream,
    nats_client: Client,
    nats_url: str,
    database_url: str,
    writer: Connection,
    db: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parts, "parts_of", three_parts)
    await project_all(writer, nats_client, await everything(stream))
    whole = await contents(db)
    rebuilding = asyncio.create_task(rebuild(nats_url, database_url))
    while not (children := multiprocessing.active_children()):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    os.kill(children[0].pid or 0, signal.SIGKILL)
    with pytest.raises(parts.PartLost, match="is gone"):
        await rebuilding
    assert multiprocessing.active_children() == []
    assert await contents(db) == whole
    await rebuild(nats_url, database_url)
    assert await contents(db) == whole


async def test_no_process_outlives_who_began_it(stream: Stream, nats_url: str, database_url: str) -> None:
    await stream.trigger()
    never = "[parts.Part(1, 1000), parts.Part(1001, 2000)]"  # both wait for what does not come
    code = f"""if True:
        import asyncio
        from services.api.history import parts
        asyncio.run(parts.fold({nats_url!r}, {database_url!r}, {never}, print))
    """
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.DEVNULL)
    watched = psutil.Process(parent.pid)
    while len(children := watched.children()) < 3:  # noqa: ASYNC110 (one of them tidies up behind the others)
        await asyncio.sleep(0.01)
    parent.kill()
    await parent.wait()
    _, left = psutil.wait_procs(children, timeout=10)
    assert left == []


async def test_the_declaration_is_what_a_rebuild_makes(
    stream: Stream, nats_url: str, database_url: str, db: Connection
) -> None:
    shape = """
        SELECT 'column', table_name, column_name, data_type || is_nullable || coalesce(column_default, ''),
               ordinal_position
        FROM information_schema.columns WHERE table_schema = $1
        UNION ALL
        SELECT 'index', tablename, indexname, replace(indexdef, $1 || '.', ''), 0
        FROM pg_indexes WHERE schemaname = $1
        UNION ALL
        SELECT 'trigger', event_object_table, trigger_name, event_manipulation, 0
        FROM information_schema.triggers WHERE trigger_schema = $1
        ORDER BY 1, 2, 3, 4
    """
    prepared = await db.fetch(shape, "history")
    await stream.trigger()
    await rebuild(nats_url, database_url)
    assert await db.fetch(shape, "history") == prepared
    assert len(prepared) > 60


@pytest.mark.parametrize(
    "damage",
    [
        "DROP SCHEMA history CASCADE",
        "TRUNCATE history.run, history.job, history.checkpoint",
        "DROP TABLE history.run",
        "UPDATE history.run SET status = 'FAILED', result_summary = 'no'",
        "DELETE FROM history.run",
        "UPDATE history.checkpoint SET sequence = 99999, event_id = 'x'",
    ],
)
async def test_any_damage_is_repaired(
    stream: Stream,
    nats_client: Client,
    nats_url: str,
    database_url: str,
    writer: Connection,
    db: Connection,
    damage: str,
) -> None:
    await project_all(writer, nats_client, await everything(stream))
    whole = await contents(db)
    await db.execute(damage)
    await rebuild(nats_url, database_url)
    assert await contents(db) == whole


async def test_a_dropped_history_comes_back_under_a_running_api(
    api: Api, stream: Stream, nats_url: str, settings: object, database_url: str, db: Connection
) -> None:
    run_id = await stream.run()
    await api.projected(run_id + 2)
    await db.execute("DROP SCHEMA history CASCADE")
    answer = await api.get("job-run")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:kronik:problem:history-unavailable")
    other = await stream.run()
    await rebuild(nats_url, database_url)
    last = await stream.trigger()
    await api.projected(last)
    assert [run["id"] for run in (await api.get("job-run")).json()] == [last, other, run_id]


async def test_a_rebuild_while_events_arrive_loses_none(
    api: Api, stream: Stream, nats_url: str, database_url: str, db: Connection
) -> None:
    rebuilt = asyncio.Event()

    async def write() -> int:
        last = 0
        while not rebuilt.is_set() or last == 0:
            last = await stream.run() + 2
        return last

    writing = asyncio.create_task(write())
    for _ in range(3):
        await rebuild(nats_url, database_url)
    rebuilt.set()
    last = await writing
    await api.projected(last)
    assert (await verify(nats_url, database_url)).differences == []
    assert await db.fetchval("SELECT count(*) FROM history.run WHERE status = 'SUCCESS'") == last // 3


async def test_two_rebuilds_at_once_are_refused(stream: Stream, nats_url: str, database_url: str) -> None:
    await stream.trigger()
    holder = await tables.connect(database_url)
    assert await holder.fetchval(tables.statement("try_rebuilding"))
    with pytest.raises(RebuildRunning):
        await rebuild(nats_url, database_url)
    await holder.close()
    assert (await rebuild(nats_url, database_url)).runs == 1


async def test_an_interrupted_rebuild_leaves_the_live_tables_and_can_begin_anew(
    stream: Stream, nats_client: Client, nats_url: str, database_url: str, writer: Connection, db: Connection
) -> None:
    await project_all(writer, nats_client, await everything(stream))
    whole = await contents(db)

    def interrupt(progress: Progress) -> None:
        if progress.phase == "swapping":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await rebuild(nats_url, database_url, interrupt)
    assert await contents(db) == whole
    assert await db.fetchval("SELECT to_regnamespace('history_next') IS NOT NULL")
    await rebuild(nats_url, database_url)
    assert await contents(db) == whole
    assert not await db.fetchval("SELECT to_regnamespace('history_next') IS NOT NULL")


async def test_what_is_older_than_the_stream_is_carried_over(
    stream: Stream, nats_client: Client, nats_url: str, database_url: str, writer: Connection, db: Connection
) -> None:
    old, open_then = await stream.run(), await stream.trigger()
    await project_all(writer, nats_client, open_then)
    config = {"name": "JOBS", "subjects": ["jobs.>"], "storage": "file", "allow_direct": True, "deny_purge": False}
    await replace_stream(nats_client, config, first=open_then + 1)
    await stream.go_on_blind(open_then, STARTED)
    new = await stream.run()
    await project_all(writer, nats_client, new + 2)
    before = await contents(db)
    report = await rebuild(nats_url, database_url)
    assert (report.first, report.carried_over) == (open_then + 1, 2)
    assert await contents(db) == before
    checked = await verify(nats_url, database_url)
    assert (checked.differences, checked.too_old) == ([], 2)
    assert [row["id"] for row in await db.fetch("SELECT id FROM history.run ORDER BY id")] == [old, open_then, new]


async def replace_stream(nats: Client, config: dict[str, object], first: int) -> None:
    """As after an administrator cut the stream's beginning off."""
    await nats.request("$JS.API.STREAM.DELETE.JOBS", timeout=5)
    body = json.dumps({**config, "first_seq": first}).encode()
    answer = json.loads((await nats.request("$JS.API.STREAM.CREATE.JOBS", body, timeout=5)).data)
    assert "error" not in answer, answer


async def test_an_empty_stream_makes_an_empty_history(stream: Stream, nats_url: str, database_url: str) -> None:
    report = await rebuild(nats_url, database_url)
    assert (report.runs, report.last) == (0, 0)
    assert (await verify(nats_url, database_url)).ok


@pytest.mark.parametrize(
    ("damage", "table", "kind", "field"),
    [
        ("UPDATE history.run SET status = 'FAILED' WHERE status = 'SUCCESS'", "run", "changed", "status"),
        ("UPDATE history.run SET started_at = started_at + interval '1 ms'", "run", "changed", "started_at"),
        ("DELETE FROM history.run", "run", "missing", None),
        ("UPDATE history.run SET id = id + 100", "run", "surplus", None),
        ("DELETE FROM history.parked", "parked", "missing", None),
        ("UPDATE history.job SET definition_json = '{}'", "job", "changed", "definition_json"),
        ("UPDATE history.slot SET reason = 'other'", "slot", "changed", "reason"),
    ],
)
async def test_verify_finds_what_was_changed_by_hand(
    stream: Stream,
    nats_client: Client,
    nats_url: str,
    database_url: str,
    writer: Connection,
    db: Connection,
    damage: str,
    table: str,
    kind: str,
    field: str | None,
) -> None:
    await project_all(writer, nats_client, await everything(stream))
    assert (await verify(nats_url, database_url)).ok
    await db.execute(damage)
    report = await verify(nats_url, database_url)
    assert not report.ok
    assert (table, kind, field) in {(one.table, one.kind, one.field) for one in report.differences}


async def test_users_of_ours_may_rebuild(nats_with_users: NatsServer, database_url: str) -> None:
    provisioner = await connect(nats_with_users.user("provisioner"), "test")
    await provision(provisioner, replicas=1)
    crm = await connect(nats_with_users.user("crm"), "test")
    await crm.jetstream().publish(f"jobs.trigger.{JOB}.crm", b"{}")
    for name in ("api", "operator"):
        assert (await rebuild(nats_with_users.user(name), database_url)).runs == 1
        assert (await verify(nats_with_users.user(name), database_url)).ok
    for one in (provisioner, crm):
        await close(one)
