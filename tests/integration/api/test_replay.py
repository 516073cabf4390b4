"""Rebuild and verify as calls: begun, watched, stopped; and the read model that renews itself."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from services.api.app import create_app
from services.api.history import schema, tables, upgrade
from services.api.history.tables import Connection
from services.api.history.verify import verify
from services.api.history.work import Workshop
from services.infra.settings import ApiSettings
from tests.integration.api.conftest import Api, Stream, alive, identify

_FIRST_MIGRATION = Path(__file__).parents[3] / "migrations" / "20260101000000_history.sql"


async def eventually(check: Callable[[], Awaitable[object]]) -> None:
    """Other processes send no signal here."""
    async with asyncio.timeout(60):
        while True:
            if await check():
                return
            await asyncio.sleep(0.1)


async def until(api: Api, kind: str, *states: str) -> dict[str, Any]:
    """The work when it is in one of these states."""
    async with asyncio.timeout(60):
        while True:
            found: dict[str, Any] = (await api.http.get(f"/api/admin/history/{kind}", headers=api.admin)).json()
            if found["state"] in states:
                return found
            await asyncio.sleep(0.1)


async def test_a_rebuild_shows_the_difference_waits_for_a_word_and_swaps(
    api: Api, stream: Stream, db: Connection
) -> None:
    run_id = await stream.run()
    await api.projected(run_id + 2)
    assert (await api.get("history/rebuild")).status_code == 403
    assert (await api.http.get("/api/admin/history/rebuild", headers=api.admin)).status_code == 409
    await db.execute("UPDATE history.run SET result_summary = 'no', error_message = 'no'")
    begun = await api.post("history/rebuild", {"ask": True})
    assert (begun.status_code, begun.json()["by"][:6], begun.json()["state"]) == (200, "ADMIN:", "running")
    again = await api.post("history/rebuild")
    assert (again.status_code, again.json()["type"]) == (409, "urn:kronik:problem:replay-running")
    waiting = await until(api, "rebuild", "waiting", "failed")
    assert waiting["diff"] == {
        "added": 0,
        "changed": 1,
        "removed": 0,
        "fields": {"result_summary": 1, "error_message": 1},
    }
    assert (await api.get(f"job-run/{run_id}")).json()["errorMessage"] == "no"
    cancelled = await api.http.delete("/api/admin/history/rebuild", headers=api.admin)
    assert cancelled.status_code == 200
    assert (await until(api, "rebuild", "cancelled"))["report"] is None
    assert (await api.get(f"job-run/{run_id}")).json()["errorMessage"] == "no"
    assert (await api.http.delete("/api/admin/history/rebuild", headers=api.admin)).status_code == 409
    await api.post("history/rebuild", {"ask": True})
    await until(api, "rebuild", "waiting")
    await api.post("history/rebuild/swap")
    done = await until(api, "rebuild", "done", "failed")
    assert (done["report"]["changed"], done["problem"]) == (1, None)
    assert (await api.get(f"job-run/{run_id}")).json()["errorMessage"] is None
    assert (await api.post("history/verify")).status_code == 200
    assert (await until(api, "verify", "done", "failed"))["report"]["differing"] == 0
    assert (await api.post("history/nothing")).status_code == 400


async def test_tables_of_the_first_version_serve_at_once_and_are_renewed(
    stream: Stream, settings: ApiSettings, nats_url: str, database_url: str, db: Connection
) -> None:
    runs = [await stream.run(params={"month": "10"}) for _ in range(3)]
    await db.execute("DROP SCHEMA history CASCADE")
    await db.execute(_FIRST_MIGRATION.read_text().partition("-- migrate:down")[0])
    values = "'SUCCESS', now(), 'CRON', 'finished', 1, 0, now(), '{}', '[]', 0, 'cron', $2, 1, 1, 0"
    for run_id in runs:
        await db.execute(
            "INSERT INTO history.run (id, job_type, status, started_at, triggered_by, phase, attempt, failures,"
            " triggered_at, params_json, warnings_json, warning_count, origin, version, token, timeout_ms, ignored)"
            f" VALUES ($1, 'DEMO_JOB', {values})",
            *(run_id, run_id + 2),
        )
    last = await stream.log.get(runs[-1] + 2)
    assert last
    await db.execute("UPDATE history.checkpoint SET sequence = $1, event_id = $2", last.sequence, last.id)
    admin = await identify(db, "admin")
    app = create_app(settings)
    async with alive(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://kronik.test", headers=admin) as http:

            async def served() -> bool:
                answer = await http.get("/api/admin/job-run?status=SUCCESS")
                return answer.status_code == 200 and [run["id"] for run in answer.json()] == runs[::-1]

            async def renewed() -> bool:
                return await upgrade.model(db) == schema.VERSION

            await eventually(served)
            await eventually(renewed)
            found = await http.get("/api/admin/job-run?status=SUCCESS&param.month=10")
            assert [run["id"] for run in found.json()] == runs[::-1]
            assert json.loads(found.json()[0]["resultSummary"])
            work = (await http.get("/api/admin/history/rebuild")).json()
            assert work["by"] == "Kronik"
    assert (await verify(nats_url, database_url)).ok


async def test_a_rebuild_ends_with_the_process_that_began_it(
    stream: Stream, database_url: str, settings: ApiSettings, db: Connection
) -> None:
    """And the next one may begin."""
    await stream.run()
    workshop = Workshop(settings)
    connection = await tables.connect(database_url)
    await workshop.begin(connection, "rebuild", "test", ask=True)
    await eventually(lambda: db.fetchval("SELECT phase = 'waiting' FROM replay.work"))
    await workshop.close()
    assert await db.fetchval("SELECT problem FROM replay.work") == "its process was stopped"
    other = Workshop(settings)
    await other.begin(connection, "rebuild", "test")
    await eventually(lambda: db.fetchval("SELECT report IS NOT NULL FROM replay.work"))
    await other.close()
    await connection.close()
