"""Pages, filters and counts, held against a reader who looks at every run by itself."""

import asyncio
import csv
import io
import json
import random
import statistics
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import asyncpg
import httpx
import pytest
from kronik.events import Cancelled, Completed, Failed, Retrying, Warning
from kronik.run import Run
from msgspec import structs

from services.api.history import counts, export, queries, run_filter, schema
from services.api.history.columns import row_of, terms_of
from services.api.history.run_filter import RunFilter
from services.api.history.selection import Moment, Place
from services.api.history.tables import Connection
from tests.integration.api.conftest import JOB, STARTED, SUMMARY, Api, Stream

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
JOBS = ("A", "B", "C_1")
WHOS = ("CRON", "ADMIN:1", "SERVICE:crm")


def next_link(answer: httpx.Response, relation: str = "next") -> str:
    """The path of the page; empty where there is none."""
    links = [one.partition("; ") for one in answer.headers.get("Link", "").split(", ")]
    return next((url.strip("<>") for url, _, rel in links if rel == f'rel="{relation}"'), "")


async def test_pages_lead_to_the_end_and_back(api: Api, stream: Stream) -> None:
    ids = [await stream.run() for _ in range(7)]
    await api.projected(ids[-1] + 2)
    seen, path, paths = [], "/api/admin/job-run?limit=3&triggeredBy=CRON", []
    while path:
        answer = await api.http.get(path, headers=api.viewer)
        seen += [run["id"] for run in answer.json()]
        paths.append(path)
        path = next_link(answer)
    assert seen == ids[::-1]
    assert len(paths) == 3
    back = await api.http.get(next_link(answer, "prev"), headers=api.viewer)
    assert [run["id"] for run in back.json()] == ids[3:0:-1]
    assert next_link(back, "prev")
    first = await api.http.get(next_link(back, "prev"), headers=api.viewer)
    assert [run["id"] for run in first.json()] == ids[6:3:-1]
    assert not next_link(first, "prev")


async def test_who_pages_while_runs_start_and_end_sees_each_run_once(api: Api, stream: Stream) -> None:
    """Version 0.1 paged by the start, and missed 12 runs while 60 started."""
    queued = [await stream.trigger() for _ in range(20)]
    await api.projected(queued[-1])
    done = asyncio.Event()

    async def load() -> list[int]:
        more = []
        for run_id in random.Random(1).sample(queued, len(queued)):
            await stream.go_on(run_id, STARTED)
            more.append(await stream.trigger())
            await stream.go_on(run_id, Completed(attempt=1, result=SUMMARY))
        done.set()
        return more

    loading = asyncio.create_task(load())
    rounds = 0
    while not done.is_set() or rounds == 0:
        rounds += 1
        seen = [run["id"] async for run in _walk(api, limit=rounds % 4 + 1)]
        assert seen == sorted(set(seen), reverse=True)
        assert [one for one in seen if one <= queued[-1]] == queued[::-1]
    more = await loading
    await api.projected(more[-1])
    newer = [run["id"] async for run in _walk(api, f"/api/admin/job-run?limit=3&after={queued[9]}", "prev")]
    assert sorted(newer) == sorted([*queued[10:], *more])


async def _walk(api: Api, path: str = "", relation: str = "next", limit: int = 3) -> Any:
    path = path or f"/api/admin/job-run?limit={limit}"
    while path:
        answer = await api.http.get(path, headers=api.viewer)
        for run in answer.json():
            yield run
        path = next_link(answer, relation)


@pytest.fixture
async def pool(database_url: str) -> Any:
    async with asyncpg.create_pool(
        database_url,
        min_size=1,
        max_size=2,
        server_settings={"plan_cache_mode": "force_custom_plan", "timezone": "UTC"},
    ) as pool:
        yield pool


def some_runs(chance: random.Random, count: int) -> Iterator[Run]:
    """Runs of every kind, in every state; a quarter of them asked for at the same second as another one."""
    sequence, at = 0, BEGIN
    for _ in range(count):
        sequence += 1 + chance.randrange(3)
        at += timedelta(seconds=chance.choice([0, 1, 60, 7000]))
        yield _a_run(chance, sequence, at)


def _a_run(chance: random.Random, id: int, at: datetime) -> Run:
    asked: dict[str, Any] = {
        "id": id,
        "job_type": chance.choice(JOBS),
        "origin": "cron",
        "triggered_by": chance.choice(WHOS),
        "triggered_at": at,
        "params": chance.choice([{}, {"month": "10"}, {"month": 10, "deep": {"x": True}}, {"month": "11"}]),
        "rerun_of": chance.choice([None, None, 1, 2]),
    }
    started, ended = at + timedelta(seconds=chance.randrange(90)), at + timedelta(seconds=90 + chance.randrange(9000))
    begun = {"attempt": 1, "started_at": started, "attempt_at": started, "token": 10_000 + id, "version": 10_000 + id}
    finished = {**begun, "phase": "finished", "completed_at": ended, "version": 20_000 + id}
    match chance.choice(
        ["queued", "executing", "retrying", "succeeded", "succeeded", "partial", "failed", "cancelled"]
    ):
        case "queued":
            return Run(**asked)
        case "executing":
            return Run(**asked, **begun, phase="executing")
        case "retrying":
            return Run(**asked, **begun, phase="retrying", failures=1, error="Retry 50%_\\ me", retry_at=ended)
        case "succeeded":
            return Run(**asked, **finished, status="SUCCESS", result={"a": 1})
        case "partial":
            return Run(**asked, **finished, status="PARTIAL", warnings=(Warning(text="w"),), warning_count=1)
        case "failed":
            return Run(**asked, **finished, status="FAILED", error=chance.choice(["No disk", "timeout 50% of"]))
    return Run(**asked, **finished, status="FAILED", error="Cancelled by ADMIN:1", cancelled_by="ADMIN:1")


async def keep(db: Connection, runs: list[Run]) -> None:
    """As a rebuild does it."""
    await db.execute("SET search_path TO history")
    await db.copy_records_to_table("run", schema_name="history", columns=schema.RUN.names, records=map(row_of, runs))
    terms = [(term, run.id) for run in runs for term in terms_of(run.params)]
    await db.copy_records_to_table("param", schema_name="history", columns=schema.PARAM.names, records=terms)
    await db.execute(schema.statement("mend_all"))


def some_filter(chance: random.Random) -> RunFilter:
    def maybe(value: Any, otherwise: Any = None) -> Any:
        return value if chance.random() < 0.25 else otherwise

    since = BEGIN + timedelta(hours=chance.randrange(60))
    return RunFilter(
        ids=maybe(tuple(chance.sample(range(1, 400), 150)), ()),
        job_types=maybe(tuple(chance.sample(JOBS, 2)), ()),
        not_job_types=maybe((chance.choice(JOBS),), ()),
        statuses=maybe(tuple(chance.sample(["RUNNING", "SUCCESS", "PARTIAL", "FAILED"], 2)), ()),
        phases=maybe((chance.choice(["queued", "executing", "retrying", "finished"]),), ()),
        triggered_by=maybe(tuple(chance.sample([*WHOS, "SERVICE:nobody"], 2)), ()),
        since=maybe(since),
        until=maybe(since + timedelta(hours=chance.randrange(40))),
        rerun_of=maybe(chance.choice([1, 2, 3])),
        open=maybe(chance.random() < 0.5),
        unresolved=maybe(chance.random() < 0.5),
        text=maybe(chance.choice(["DISK", "50%", "%_", "\\", "o"])),
        params=maybe((chance.choice([("month", "10"), ("deep.x", "true"), ("month", "12")]),), ()),
    )


def then(run: Run, moment: Moment) -> Run | None:
    """The run as it was at the moment, told by its row: asked for, started, ended."""
    if run.id > moment.sequence:
        return None
    if run.version <= moment.sequence or (run.completed_at and run.completed_at <= moment.time):
        return run
    begun = run.started_at is not None and run.started_at <= moment.time
    return structs.replace(
        run,
        phase="executing" if begun else "queued",
        status="RUNNING",
        started_at=run.started_at if begun else None,
        completed_at=None,
        result=None,
        error=None,
        warnings=(),
        warning_count=0,
        cancelled_by=None,
        retry_at=None,
        attempt=1 if begun else 0,
        failures=0,
    )


def selects(wanted: RunFilter, run: Run, all_runs: list[Run]) -> bool:
    """The filter, by its words."""
    good = any(
        one.status == "SUCCESS" and one.id > run.id and one.job_type == run.job_type and one.params == run.params
        for one in all_runs
    )
    unresolved = run.status == "FAILED" and run.cancelled_by is None and not good
    named = {"month": str(run.params.get("month")), "deep.x": str("deep" in run.params).lower()}
    return (
        (not wanted.ids or run.id in wanted.ids)
        and (not wanted.job_types or run.job_type in wanted.job_types)
        and run.job_type not in wanted.not_job_types
        and (not wanted.statuses or run.status in wanted.statuses)
        and (not wanted.phases or run.phase in wanted.phases)
        and (not wanted.triggered_by or run.triggered_by in wanted.triggered_by)
        and (wanted.since is None or run.triggered_at >= wanted.since)
        and (wanted.until is None or run.triggered_at < wanted.until)
        and (wanted.rerun_of is None or run.rerun_of == wanted.rerun_of)
        and (wanted.open is None or wanted.open == (run.phase != "finished"))
        and (wanted.unresolved is None or wanted.unresolved == unresolved)
        and (wanted.text is None or wanted.text.lower() in (run.error or "").lower())
        and all(named[name] == value for name, value in wanted.params)
    )


async def test_every_filter_selects_what_its_words_say_now_and_then(db: Connection, pool: Any) -> None:
    chance = random.Random(20261127)
    runs = list(some_runs(chance, 300))
    await keep(db, runs)
    found_any = 0
    for number in range(400):
        wanted = some_filter(chance)
        moment = None
        if number % 3 == 0:
            at = chance.choice(runs)
            moment = Moment(at.id, at.triggered_at + timedelta(seconds=chance.choice([0, 50])))
        seen = runs if moment is None else [one for run in runs if (one := then(run, moment))]
        expected = [run for run in seen if selects(wanted, run, seen)][::-1]
        found, place = [], None
        while True:
            page = await queries.page(pool, wanted, limit=7, place=place, moment=moment)
            found += page.runs
            if not page.older:
                break
            place = Place(page.runs[-1].id)
        query = f"{urlencode(run_filter.write(wanted))} {moment}"
        assert [run.id for run in found] == [run.id for run in expected], query
        assert [queries.job_run_of(run).status for run in expected] == [run.status for run in found], query
        for one, run in zip(found, expected, strict=True):
            shown = queries.job_run_of(run)
            assert (one.started_at, one.completed_at, one.phase, one.error_message, one.attempt, one.failures) == (
                *(shown.started_at, shown.completed_at, shown.phase, shown.error_message, shown.attempt),
                shown.failures,
            ), query
        assert await queries.count(pool, wanted, moment) == queries.Count(len(expected), exact=True), query
        found_any += bool(found)
    assert found_any > 100


async def test_runs_of_an_older_read_model_are_found_and_counted_until_it_is_renewed(db: Connection, pool: Any) -> None:
    runs = list(some_runs(random.Random(5), 200))
    await keep(db, runs)
    await db.execute("UPDATE run SET state = 'unsorted' WHERE id % 3 = 0")
    filters = [
        *(RunFilter(statuses=(status,)) for status in ("RUNNING", "SUCCESS", "PARTIAL", "FAILED")),
        *(RunFilter(open=is_open, job_types=("A",)) for is_open in (True, False)),
        *(RunFilter(not_job_types=("A",)), RunFilter(phases=("retrying",)), RunFilter()),
    ]
    for wanted in filters:
        expected = [run.id for run in runs if selects(wanted, run, runs)]
        assert expected, wanted
        assert [run.id for run in await queries.history(pool, wanted, 1000)] == expected[::-1], wanted
        assert await queries.count(pool, wanted) == queries.Count(len(expected), exact=True), wanted


async def test_a_failure_is_unresolved_until_the_same_work_succeeds_later(api: Api, stream: Stream) -> None:
    retry = Retrying(attempt=1, error="no", error_type="E", retry_at=stream.log.clock.now())
    failed = Failed(attempt=1, error="broke", error_type="E")
    later = await stream.trigger(params={"a": 1, "b": 2})
    first = await stream.trigger(params={"b": 2, "a": 1})
    other = await stream.trigger(params={"a": 2})
    cancelled = await stream.trigger(params={"a": 3})
    fine = await stream.trigger(params={"a": 1, "b": 2})
    await stream.go_on(later, STARTED, failed)
    await stream.go_on(other, STARTED, failed)
    await stream.go_on(first, STARTED, retry)
    await stream.go_on(cancelled, Cancelled(attempt=0, by="ADMIN:1"))

    async def unresolved() -> list[int]:
        return [run["id"] for run in (await api.get("job-run", unresolved="true")).json()]

    await api.projected(await stream.trigger())
    assert await unresolved() == [other, later]
    await stream.go_on(fine, STARTED, Completed(attempt=1, result={}))
    await api.projected(await stream.trigger())
    assert await unresolved() == [other]
    # One that ends after it was made good was never a trouble.
    last = await stream.go_on(first, Failed(attempt=1, error="too late", error_type="E"))
    await api.projected(last)
    assert await unresolved() == [other]
    assert (await api.get("job-run/count", status="FAILED", unresolved="false")).json() == {"count": 3, "exact": True}


async def test_as_of_is_refused_before_the_first_event_and_answers_from_then_on(api: Api, stream: Stream) -> None:
    run_id = await stream.trigger()
    await stream.define()
    last = await stream.go_on(run_id, STARTED, Completed(attempt=1, result=SUMMARY))
    await api.projected(last)
    early = await api.get("job-run", asOf="2020-01-01T00:00:00Z")
    assert (early.status_code, early.json()["type"]) == (404, "urn:kronik:problem:before-history")
    assert "first event" in early.json()["detail"]
    assert (await api.get("job", asOf="0")).json()["type"] == "urn:kronik:problem:before-history"
    for to_come in ("2199-01-01T00:00:00Z", last + 1, 10**16 - 1):
        answer = await api.get("job-run", asOf=to_come)
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:kronik:problem:to-come")
        assert answer.json()["errors"][0]["field"] == "asOf"
    statuses = []
    for sequence in range(run_id, last + 1):
        run = (await api.get(f"job-run/{run_id}", asOf=sequence)).json()
        statuses.append((run["phase"], run["status"], run["completedAt"] is None))
        assert (await api.get("job-run", asOf=sequence)).json() == [run]
        assert len((await api.get("job", asOf=sequence)).json()) == (sequence > run_id)
    assert statuses == [
        *[("queued", "RUNNING", True)] * 2,
        ("executing", "RUNNING", True),
        ("finished", "SUCCESS", False),
    ]
    now = stream.log.clock.now().isoformat()
    assert (await api.get("job-run", asOf=now)).json() == (await api.get("job-run")).json()
    assert (await api.get(f"job-run/{run_id}/events", asOf=run_id)).json()[0]["sequence"] == run_id
    assert (await api.get("job-run", asOf=now, jobType=JOB, status="FAILED")).json() == []


async def test_what_is_kept_of_counts_is_what_counting_says_now_and_then(db: Connection, pool: Any) -> None:
    chance = random.Random(7)
    runs = list(some_runs(chance, 400))
    await keep(db, runs)
    last = runs[-1].triggered_at
    copenhagen = ZoneInfo("Europe/Copenhagen")
    moments = [Moment(one.id, one.triggered_at + timedelta(seconds=3)) for one in chance.sample(runs, 20)]
    for moment in [None, *moments]:
        seen = runs if moment is None else [one for run in runs if (one := then(run, moment))]
        for one in await counts.summary(pool, moment):
            mine = [run for run in seen if run.job_type == one.job_type]
            statuses = [run.status for run in mine]
            assert structs.asdict(one.counts) == {name: statuses.count(name) for name in run_filter.BY_STATUS}
            unresolved = [run for run in mine if selects(RunFilter(unresolved=True), run, seen)]
            assert one.unresolved == queries.Count(len(unresolved), exact=True)
            spans = sorted([run.duration_ms or 0 for run in mine if run.status == "SUCCESS"][-counts.LAST :])
            assert one.usual is None or abs(one.usual.median_ms - statistics.median(spans)) <= 1
            assert (one.usual.successes if one.usual else 0) == len(spans)
        expected: dict[Any, int] = {}
        for run in seen:
            key = (run.triggered_at.astimezone(copenhagen).date(), run.job_type, run.status)
            expected[key] = expected.get(key, 0) + 1
        by_day = await counts.days(
            pool, "Europe/Copenhagen", BEGIN.date(), last.date() + timedelta(days=1), None, moment
        )
        found = {
            (day.day, day.job_type, status): number
            for day in by_day
            for status, number in structs.asdict(day.counts).items()
            if number
        }
        assert found == expected
    damaged = random.Random(3).sample(runs, 40)
    await db.execute("DELETE FROM run WHERE id = any($1::bigint[])", [run.id for run in damaged])
    await db.execute("UPDATE run SET state = 'partial' WHERE state = 'queued'")
    assert await db.fetch(schema.statement("wrong_tally"), 10) == []


async def test_an_export_has_every_run_that_is_selected_as_it_is_answered(api: Api, stream: Stream) -> None:
    await stream.define()
    for number in range(3):
        await stream.run(params={"month": "=1+1", "n": number})
    for cell in ("+1", "-1", "@A1", "\t=1", "\r=1", "\n=1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff201"):
        await stream.go_on(await stream.trigger(), STARTED, Failed(attempt=1, error=cell, error_type="E"))
    failed = await stream.trigger(params={"a": [1, {"b": 'æ\\ " ,\n'}]})
    error = '=HYPERLINK("http://evil")\n,"x"'
    last = await stream.go_on(failed, STARTED, Failed(attempt=1, error=error, error_type="E"))
    await api.projected(last)
    answered = (await api.get("job-run", limit=100)).json()[::-1]
    names = ("triggeredByName", "cancelRequestedByName", "cancelledByName")
    expected = [{name: value for name, value in run.items() if name not in names} for run in answered]
    exported = await api.get("job-run/export", format="jsonl")
    assert exported.headers["Content-Type"] == "application/x-ndjson"
    found = [json.loads(line) for line in exported.text.splitlines()]
    assert [_comparable(run) for run in found] == [_comparable(run) for run in expected]
    assert len((await api.get("job-run/export", format="jsonl", status="FAILED")).text.splitlines()) == 11
    table = list(csv.DictReader(io.StringIO((await api.get("job-run/export")).text)))
    assert [int(row["id"]) for row in table] == [run["id"] for run in expected]
    assert list(table[0]) == list(expected[0])
    assert table[-1]["errorMessage"] == "'" + error
    assert [row["errorMessage"][0] for row in table if row["errorMessage"]] == ["'"] * 11
    assert not [cell for row in table for cell in row.values() if cell[:1] in {"=", "+", "-", "@", "\t", "\r"}]
    assert (await api.get("job-run/export")).headers["Content-Type"] == "text/csv; charset=utf-8"
    assert (await api.get("job-run/export", format="xlsx")).status_code == 400
    assert [row["day"] for row in (await api.get("job-run/days", tz="UTC")).json()] == [f"{datetime.now(UTC):%F}"]
    assert (await api.get("job-run/days", tz="Mars")).json()["errors"][0]["field"] == "tz"
    assert (await api.get("job-run/summary")).json()[0]["counts"] == {
        "RUNNING": 0,
        "SUCCESS": 3,
        "PARTIAL": 0,
        "FAILED": 11,
    }


def _comparable(run: dict[str, Any]) -> dict[str, Any]:
    """Postgres and Python write instants differently."""
    return {
        name: datetime.fromisoformat(value) if name.endswith("At") and value else value for name, value in run.items()
    }


async def test_a_reader_who_stops_reading_gives_its_connection_back(db: Connection, pool: Any) -> None:
    await keep(db, list(some_runs(random.Random(1), 100)))
    await db.execute(
        f"INSERT INTO run ({', '.join(schema.RUN.names)})"
        f" SELECT {', '.join(['id + 100000 * n', *schema.RUN.names[1:]])} FROM run, generate_series(1, 300) AS n"
    )
    reading = export.lines(pool, RunFilter(), "csv")
    assert (await anext(reading)).startswith(b"id,jobType,")
    held = sum(len(chunk) for chunk in [await anext(reading) for _ in range(5)])
    await reading.aclose()
    assert held < 2**22
    assert not export.busy()
    assert await pool.fetchval("SELECT 1") == 1
    assert pool.get_idle_size() == pool.get_size()


async def test_what_belongs_together_is_found_by_its_correlation_id(api: Api, stream: Stream) -> None:
    event = {"specversion": "1.0", "id": "e-1", "source": "/crm", "type": "crm.order.paid", "correlationid": "order-7"}
    run_id = await stream.publish(f"jobs.trigger.{JOB}.ops", json.dumps({**event, "data": {"month": "10"}}).encode())
    await stream.run()
    last = await stream.go_on(run_id, STARTED, Completed(attempt=1, result=SUMMARY))
    await api.projected(last)
    found = (await api.get("job-run", correlationId="order-7")).json()
    assert [(run["id"], run["correlationId"], run["status"]) for run in found] == [(run_id, "order-7", "SUCCESS")]
    assert (await api.get("job-run", correlationId="order-7", status="FAILED")).json() == []
    assert (await api.get("job-run/count", **{"param.month": "10"})).json() == {"count": 1, "exact": True}


async def test_a_history_in_which_all_went_well_is_not_walked_for_its_failures(
    api: Api, stream: Stream, db: Connection
) -> None:
    """Of a state that no row has Postgres once believed that all rows have it: the system page took seconds."""
    await stream.define()
    await api.projected(await stream.run() + 2)
    await db.execute(
        "INSERT INTO history.run SELECT (jsonb_populate_record(run, jsonb_build_object('id', id_of))).*"
        " FROM history.run, generate_series(1000000, 1020000) AS id_of"
    )
    await db.execute("ANALYZE history.run")
    since = datetime.now(UTC) - timedelta(days=1)
    rows = await db.fetch(f"EXPLAIN ANALYZE {schema.statement('failures')}", since, 300)
    plan = "\n".join(row[0] for row in rows)
    assert plan.count("run_group") == 2, plan
    assert "Rows Removed by Filter: 2" not in plan, plan
