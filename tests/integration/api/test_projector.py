"""The projector: rows and checkpoint together or not at all, whatever comes and whatever goes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import asyncpg
import pytest
from kronik import codec
from kronik.events import Completed, Failed
from nats.aio.client import Client

from services.api.changes import Changes
from services.api.history import queries, tables
from services.api.history.projections import Checkpoint
from services.api.history.projector import CheckpointMoved, Projector, State, project
from services.api.history.tables import Connection
from services.infra.lifecycle import end
from services.log import connection as nats_connection
from services.log import subscription
from services.log.event_reader import open_reader
from services.log.provision import provision
from services.log.stored import UNEXPECTED, Stored
from services.log.subscription import StreamReplaced
from tests.integration.api.conftest import JOB, STARTED, SUMMARY, Api, Stream, a_definition, project_all
from tests.servers import NatsServer


async def messages(nats: Client, last: int) -> list[Stored]:
    found: list[Stored] = []
    async with open_reader(nats, name="test-messages") as reader:
        while not found or found[-1].sequence < last:
            found += await reader.next_batch()
    return found


async def rows(db: Connection, table: str = "run") -> list[tuple[object, ...]]:
    return sorted(tuple(row) for row in await db.fetch(f"SELECT * FROM history.{table}"))


@pytest.fixture(params=[0, 100], ids=["copied", "inserted"])
def written(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """New runs in both of the ways that there are for few and for many."""
    monkeypatch.setattr(tables, "_MANY", request.param)


async def test_rows_and_checkpoint_are_written_together(
    stream: Stream, nats_client: Client, writer: Connection, db: Connection
) -> None:
    run_id = await stream.run()
    checkpoint = await project_all(writer, nats_client, run_id + 2)
    assert dict(await db.fetchrow("SELECT sequence, event_id FROM history.checkpoint") or {}) == {
        "sequence": checkpoint.sequence,
        "event_id": checkpoint.event_id,
    }
    row = await db.fetchrow("SELECT * FROM history.run")
    assert row
    assert (row["status"], row["version"], row["token"], row["attempt"]) == ("SUCCESS", run_id + 2, run_id + 1, 1)


@pytest.mark.usefixtures("written")
async def test_batches_of_any_size_yield_the_same_rows(
    stream: Stream, nats_client: Client, writer: Connection, db: Connection
) -> None:
    run_ids = [await stream.trigger(params={"big": 2**70, "f": 1e22, "n": "\x01"}) for _ in range(3)]
    for run_id in run_ids:
        last = await stream.go_on(run_id, STARTED, Completed(attempt=1, result=SUMMARY))
    batch = await messages(nats_client, last)
    start = await tables.checkpoint(writer)
    await project(writer, start, batch)
    at_once = await rows(db)
    await db.execute("TRUNCATE history.run, history.checkpoint")
    checkpoint = await tables.checkpoint(writer)
    for stored in batch:
        checkpoint = (await project(writer, checkpoint, [stored])).checkpoint
    assert await rows(db) == at_once
    assert len(at_once) == 3


@pytest.mark.usefixtures("written")
async def test_a_batch_that_is_projected_twice_changes_nothing(
    stream: Stream, nats_client: Client, writer: Connection, db: Connection
) -> None:
    run_id = await stream.run()
    batch = await messages(nats_client, run_id + 2)
    await project(writer, await tables.checkpoint(writer), batch)
    before = await rows(db)
    await db.execute("UPDATE history.checkpoint SET sequence = 0, event_id = ''")
    await project(writer, Checkpoint(0, ""), batch)
    assert await rows(db) == before
    assert await rows(db, "parked") == []


@pytest.mark.usefixtures("written")
async def test_a_batch_goes_on_with_runs_that_are_there_and_begins_new_ones(
    stream: Stream, nats_client: Client, writer: Connection, db: Connection
) -> None:
    old = await stream.trigger()
    checkpoint = await project_all(writer, nats_client, old)
    await stream.go_on(old, STARTED, Completed(attempt=1, result=SUMMARY))
    new = await stream.run()
    batch = await messages(nats_client, new + 2)
    await project(writer, checkpoint, batch[old:])
    found = await db.fetch("SELECT id, status, version FROM history.run ORDER BY id")
    assert [tuple(row) for row in found] == [(old, "SUCCESS", old + 2), (new, "SUCCESS", new + 2)]
    assert await rows(db, "parked") == []


@pytest.mark.usefixtures("written")
async def test_a_failure_is_made_good_by_the_newest_success_whichever_ends_first(
    stream: Stream, nats_client: Client, writer: Connection, db: Connection
) -> None:
    """Both successes come in one batch, which knows the run that was asked for before the failure."""
    before, between = await stream.trigger(), await stream.trigger()
    await stream.go_on(between, STARTED, Failed(attempt=1, error="no luck", error_type="Error"))
    checkpoint = await project_all(writer, nats_client, between + 2)
    behind = await stream.run()
    last = await stream.go_on(before, STARTED, Completed(attempt=1, result=SUMMARY))
    await project(writer, checkpoint, (await messages(nats_client, last))[checkpoint.sequence :])
    found = await db.fetch("SELECT id, state FROM history.run ORDER BY id")
    assert [tuple(row) for row in found] == [(before, "succeeded"), (between, "mended"), (behind, "succeeded")]


async def test_a_checkpoint_that_was_moved_stops_the_write(
    stream: Stream, nats_client: Client, writer: Connection, db: Connection
) -> None:
    batch = await messages(nats_client, await stream.trigger())
    with pytest.raises(CheckpointMoved):
        await project(writer, Checkpoint(0, "another"), batch)
    assert await rows(db) == []


@pytest.mark.parametrize(
    ("subject", "body", "problem"),
    [
        (f"jobs.run.{JOB}.1.started", b"nonsense", "malformed"),
        (f"jobs.run.{JOB}.1.started", b'{"a":' * 3000 + b"1" + b"}" * 3000, "recursion"),
        (f"jobs.run.{JOB}.777.started", b"", "truncated"),
        ("jobs.nothing.we.know", b"{}", "not one of Kronik's"),
        ("jobs.trigger.lower.ops", b"{}", "must match"),
        (f"jobs.definition.{JOB}", b'{"specversion":"1.0","id":"x"}', "missing"),
    ],
)
async def test_poison_is_parked_and_history_goes_on(
    stream: Stream, nats_client: Client, writer: Connection, db: Connection, subject: str, body: bytes, problem: str
) -> None:
    poison = await stream.publish(subject, body)
    run_id = await stream.run()
    await project_all(writer, nats_client, run_id + 2)
    parked = await db.fetchrow("SELECT * FROM history.parked")
    assert parked
    assert (parked["sequence"], parked["subject"]) == (poison, subject)
    assert problem in parked["problem"]
    assert len(await rows(db)) == 1
    await subscription.check(nats_client, await tables.checkpoint(writer))


async def test_an_event_of_no_run_is_parked(
    stream: Stream, nats_client: Client, writer: Connection, db: Connection
) -> None:
    sequence = await stream.append(f"jobs.run.{JOB}.999.started", STARTED)
    await project_all(writer, nats_client, sequence)
    (parked,) = await db.fetch("SELECT * FROM history.parked")
    assert "run 999 is not in the history" in parked["problem"]


async def test_a_plain_publish_ends_nobodys_run_and_is_seen(
    stream: Stream, nats_client: Client, writer: Connection, db: Connection
) -> None:
    """What a runner's password alone is enough for."""
    run_id = await stream.trigger()
    await stream.go_on(run_id, STARTED)
    body = codec.encode(Completed(attempt=1, result=None), id="x", source="/x", time=datetime.now(UTC))
    forged = await stream.publish(f"jobs.run.{JOB}.{run_id}.completed", body)
    definition = codec.encode(a_definition(JOB), id="x", source="/x", time=datetime.now(UTC))
    redefined = await stream.publish(f"jobs.definition.{JOB}", definition)
    await project_all(writer, nats_client, redefined)
    assert [row["status"] for row in await db.fetch("SELECT status FROM history.run")] == ["RUNNING"]
    parked = await db.fetch("SELECT * FROM history.parked ORDER BY sequence")
    assert [row["sequence"] for row in parked] == [forged, redefined]
    assert all(UNEXPECTED in row["problem"] for row in parked)
    assert await db.fetch("SELECT * FROM history.job") == []
    await stream.go_on(run_id, Failed(attempt=1, error="its own end", error_type="E"))
    await project_all(writer, nats_client, redefined + 1)
    assert [row["error_message"] for row in await db.fetch("SELECT error_message FROM history.run")] == ["its own end"]


async def test_a_checkpoint_on_a_message_that_cannot_be_read_is_known_again(
    stream: Stream, nats_client: Client, writer: Connection
) -> None:
    poison = await stream.publish(f"jobs.run.{JOB}.1.started", b"nonsense")
    checkpoint = await project_all(writer, nats_client, poison)
    assert checkpoint.event_id.startswith(f"{poison}@")
    await subscription.check(nats_client, checkpoint)


@pytest.mark.usefixtures("written")
async def test_what_postgres_refuses_is_parked_alone(
    stream: Stream, nats_client: Client, writer: Connection, db: Connection
) -> None:
    await db.execute("ALTER TABLE history.run ADD CHECK (job_type <> 'REFUSED')")
    first, refused, last = await stream.trigger(), await stream.trigger("REFUSED"), await stream.trigger()
    await project_all(writer, nats_client, last)
    assert [row[0] for row in await rows(db)] == [first, last]
    assert [row["sequence"] for row in await db.fetch("SELECT * FROM history.parked")] == [refused]


@pytest.mark.usefixtures("written")
async def test_a_run_is_as_the_fold_says_after_late_events(
    stream: Stream, nats_client: Client, writer: Connection, db: Connection
) -> None:
    run_id = await stream.run()
    last = await stream.append(f"jobs.run.{JOB}.{run_id}.failed", Failed(attempt=1, error="zombie", error_type="E"))
    await project_all(writer, nats_client, last)
    row = await db.fetchrow("SELECT status, ignored, error_message FROM history.run")
    assert row
    assert tuple(row) == ("SUCCESS", 1, None)


@asynccontextmanager
async def projecting(nats: Client, dsn: str, name: str = "test") -> AsyncIterator[Projector]:
    projector = Projector(nats, dsn, name)
    task = asyncio.create_task(projector.run())
    try:
        yield projector
    finally:
        await end([task])


@asynccontextmanager
async def listening(dsn: str) -> AsyncIterator[tuple[Changes, "queries.Pool"]]:
    changes = Changes(dsn)
    task = asyncio.create_task(changes.run())
    async with asyncpg.create_pool(dsn, min_size=0, max_size=2) as pool:
        yield changes, pool
    await end([task])


async def test_a_killed_connection_loses_and_doubles_nothing(
    stream: Stream, nats_client: Client, database_url: str, db: Connection
) -> None:
    async with projecting(nats_client, database_url), listening(database_url) as (changes, pool):
        for _ in range(3):
            run_id = await stream.run()
            await db.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'kronik-history'"
            )
            last = await stream.run() + 2
            assert await changes.reached(pool, last, within_s=20)
    assert [row["status"] for row in await db.fetch("SELECT status FROM history.run")] == ["SUCCESS"] * 6
    assert run_id


async def test_of_two_projectors_one_projects_and_the_other_takes_over(
    stream: Stream, nats_client: Client, database_url: str
) -> None:
    async with listening(database_url) as (changes, pool):
        async with projecting(nats_client, database_url, "one") as one:
            assert await changes.reached(pool, await stream.trigger(), within_s=20)
            async with projecting(nats_client, database_url, "two") as two:
                assert await changes.reached(pool, await stream.trigger(), within_s=20)
                assert one.state.phase == "projecting"
                assert two.state.phase != "projecting"
        async with projecting(nats_client, database_url, "three"):
            assert await changes.reached(pool, await stream.trigger(), within_s=20)


async def test_nats_that_comes_back_is_projected_again(
    stream: Stream, nats_client: Client, nats_server: NatsServer, database_url: str
) -> None:
    async with projecting(nats_client, database_url), listening(database_url) as (changes, pool):
        assert await changes.reached(pool, await stream.trigger(), within_s=20)
        nats_server.kill()
        nats_server.start()
        assert await changes.reached(pool, await stream.trigger(), within_s=30)


async def test_truncated_tables_fill_themselves_again(
    stream: Stream, nats_client: Client, database_url: str, db: Connection
) -> None:
    async with projecting(nats_client, database_url), listening(database_url) as (changes, pool):
        run_id = await stream.run()
        assert await changes.reached(pool, run_id + 2, within_s=20)
        await db.execute("TRUNCATE history.run, history.checkpoint, history.job")
        last = await stream.trigger()
        assert await changes.reached(pool, last, within_s=20)
        assert [row[0] for row in await rows(db)] == [run_id, last]


async def stopped(projector: Projector) -> State:
    async with asyncio.timeout(20):
        while projector.state.phase != "stopped":  # noqa: ASYNC110  it tells nobody
            await asyncio.sleep(0.02)
    return projector.state


async def test_another_stream_stops_the_projector_and_readiness_says_so(
    api: Api, stream: Stream, db: Connection
) -> None:
    run_id = await stream.run()
    await api.projected(run_id + 2)
    client = api.app.state.log.connection
    await db.execute("UPDATE history.checkpoint SET event_id = 'of-another-stream'")
    with pytest.raises(StreamReplaced, match="of-another-stream"):
        await subscription.check(client, await queries.position(api.app.state.pool))
    await stream.trigger()
    state = await stopped(api.app.state.projector)
    assert "of-another-stream" in (state.problem or "")
    ready = await api.http.get("/health/ready")
    assert ready.status_code == 503
    assert any("of-another-stream" in reason for reason in ready.json()["reasons"])
    assert (await api.get("job-run")).status_code == 200


async def test_a_stream_that_is_shorter_than_the_history_is_a_mismatch(
    stream: Stream, nats_client: Client, writer: Connection
) -> None:
    checkpoint = await project_all(writer, nats_client, await stream.trigger())
    await nats_client.request("$JS.API.STREAM.DELETE.JOBS", timeout=5)
    await provision(nats_client, replicas=1)
    with pytest.raises(StreamReplaced, match=rf"event {checkpoint.sequence} .* has none there"):
        await subscription.check(nats_client, checkpoint)


async def test_the_api_starts_before_nats_and_postgres_answer(database_url: str, nats_server: NatsServer) -> None:
    nats_server.kill()
    client = Client()
    connecting = asyncio.create_task(client.connect(**nats_connection.options(nats_server.url, "late")))
    async with projecting(client, database_url), listening(database_url) as (changes, pool):
        nats_server.start()
        await connecting
        await provision(client, replicas=1)
        sequence = (await client.jetstream().publish(f"jobs.trigger.{JOB}.ops", b"")).seq
        assert await changes.reached(pool, sequence, within_s=30)
    await nats_connection.close(client)
