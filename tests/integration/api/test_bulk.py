"""Work on many runs: planned, done once whatever happens on the way, watched and stopped."""

import asyncio
from typing import Any

from kronik.events import Cancelled, Completed, Failed

from services.api.access.store import Identity
from services.api.commands import bulk
from services.api.commands.bulk_work import BulkWork
from services.api.history.run_filter import RunFilter
from services.api.history.tables import Connection
from tests.integration.api.conftest import JOB, STARTED, SUMMARY, Api, Stream

KEY = "Idempotency-Key"
FAILED = Failed(attempt=1, error="no", error_type="E")


async def failed(stream: Stream, job: str = JOB, **fields: Any) -> int:
    run_id = await stream.trigger(job, **fields)
    await stream.go_on(run_id, STARTED, FAILED)
    return run_id


async def ended(api: Api, id: str) -> dict[str, Any]:
    for _ in range(600):
        if (work := (await api.get(f"bulk/{id}")).json())["endedAt"] is not None:
            return dict(work)
        await asyncio.sleep(0.05)
    raise AssertionError(f"it goes on and on: {work}")


async def reruns(api: Api) -> dict[int, int]:
    runs = (await api.get("job-run", limit=100)).json()
    return {run["rerunOf"]: run["id"] for run in runs if run["rerunOf"] is not None}


async def test_a_plan_says_of_each_run_why_not_and_the_work_does_the_rest_once(api: Api, stream: Stream) -> None:
    await stream.define()
    await stream.define("RETIRED_JOB")
    assert (await api.post("job/RETIRED_JOB/retire")).status_code in (200, 404)
    mended = await failed(stream, params={"month": "2026-09"})
    await stream.run(params={"month": "2026-09"})
    plain, other = await failed(stream), await failed(stream, params={"month": "2026-10"})
    refused = await failed(stream, params={"gone": 1})
    unknown, retired = await failed(stream, "UNHEARD_OF"), await failed(stream, "RETIRED_JOB")
    bad = await stream.publish(f"jobs.trigger.{JOB}.crm", b"[1]")
    await stream.go_on(bad, Failed(attempt=0, error="unreadable", error_type="InvalidTrigger"))
    executing = await stream.trigger()
    await api.projected(await stream.go_on(executing, STARTED))
    await api.post("job/RETIRED_JOB/retire")

    path = "bulk/rerun?triggeredBy=CRON&triggeredBy=SERVICE:crm&status=FAILED&status=RUNNING"
    plan = (await api.post(f"{path}&dryRun=true")).json()
    assert {left["why"]: left["runIds"] for left in plan["left"]} == {
        "succeeded_since": [mended],
        "job_unknown": [unknown],
        "job_retired": [retired],
        "unreadable": [bad],
        "running": [executing],
    }
    assert (plan["selected"], plan["eligible"]) == (8, 3)
    assert await reruns(api) == {}

    begun = await api.post(path, **{KEY: "night"})
    assert (begun.status_code, begun.json()["askedByName"]) == (202, "admin-name")
    work = await ended(api, begun.json()["id"])
    assert (work["status"], work["done"], work["waiting"]) == ("finished", 2, 0)
    assert work["left"]["params_refused"] == 1
    made = {one["runId"]: one["made"] for one in (await api.get(f"bulk/{work['id']}/run", outcome="done")).json()}
    assert set(made) == {plain, other}
    await api.projected(max(made.values()))
    assert await reruns(api) == made
    together = (await api.get("job-run", correlationId=work["id"])).json()
    assert {run["id"] for run in together} == set(made.values())
    assert (await api.get(f"job-run/{made[other]}")).json()["params"] == {"month": "2026-10"}

    assert (await api.post(path, **{KEY: "night"})).json()["id"] == work["id"]
    assert (await api.post("bulk/rerun?status=FAILED", **{KEY: "night"})).status_code == 409
    again = (await api.post(f"{path}&dryRun=true")).json()
    assert again["eligible"] == 1  # the run whose params are refused
    assert {left["why"]: left["count"] for left in again["left"]}["run_again_since"] == 2
    assert refused not in made


async def test_a_process_that_dies_between_doing_and_writing_down_does_nothing_twice(
    api: Api, stream: Stream, db: Connection
) -> None:
    await stream.define()
    ids = [await failed(stream) for _ in range(5)]
    await api.projected(ids[-1] + 2)
    state = api.app.state
    account = await db.fetchval("SELECT id FROM access.account WHERE name = 'admin-name'")
    admin = Identity(str(account), "admin-name", "admin")
    work = await bulk.apply(state.pool, admin, "rerun", RunFilter(statuses=("FAILED",)))
    dying = BulkWork(state.past)
    first = await dying._settle(work.id, "rerun", admin, ids)
    assert (await ended(api, work.id))["done"] == 5
    await api.projected(max(one.made or 0 for one in first))
    runs = (await api.get("job-run", limit=100)).json()
    assert sorted(run["rerunOf"] for run in runs if run["rerunOf"]) == ids
    assert {run["triggeredByName"] for run in runs if run["rerunOf"]} == {"admin-name"}


async def test_many_runs_are_cancelled_and_a_queue_is_emptied(api: Api, stream: Stream) -> None:
    await stream.define()
    done, executing = await stream.run(), await stream.trigger()
    await stream.go_on(executing, STARTED)
    queued = [await stream.trigger() for _ in range(3)]
    await api.projected(queued[-1])
    plan = (await api.post(f"bulk/cancel?jobType={JOB}&dryRun=true")).json()
    assert (plan["eligible"], [left["runIds"] for left in plan["left"]]) == (4, [[done]])
    assert (await api.post(f"job/{JOB}/empty-queue?dryRun=true")).json()["eligible"] == 3
    work = await ended(api, (await api.post(f"job/{JOB}/empty-queue")).json()["id"])
    assert (work["command"], work["done"]) == ("cancel", 3)
    found = [(await api.get(f"job-run/{id}", wait=1)).json()["cancelRequestedByName"] for id in (*queued, executing)]
    assert found == ["admin-name"] * 3 + [None]
    await api.projected(await stream.go_on(queued[0], Cancelled(attempt=0, by="ADMIN:1")))
    assert (await api.post(f"bulk/cancel?jobType={JOB}&open=true&dryRun=true")).json()["eligible"] == 1
    await stream.go_on(executing, Completed(attempt=1, result=SUMMARY))


async def test_a_queue_that_is_full_is_waited_for(api: Api, stream: Stream) -> None:
    await stream.define()
    ids = [await failed(stream) for _ in range(4)]
    await api.projected(ids[-1] + 2)
    assert (await api.post(f"job/{JOB}/schedule", {"maxQueued": 3})).status_code == 200
    begun = (await api.post("bulk/rerun?status=FAILED")).json()
    for _ in range(600):
        if (work := (await api.get(f"bulk/{begun['id']}")).json())["done"] == 3:
            break
        await asyncio.sleep(0.05)
    assert (work["status"], work["waiting"]) == ("working", 1)
    made = [one["made"] for one in (await api.get(f"bulk/{begun['id']}/run", outcome="done")).json()]
    await stream.go_on(made[0], STARTED)
    work = await ended(api, begun["id"])
    assert (work["status"], work["done"], work["waiting"]) == ("finished", 4, 0)


async def test_work_that_is_stopped_leaves_the_rest(api: Api, stream: Stream, db: Connection) -> None:
    await stream.define()
    ids = [await failed(stream) for _ in range(3)]
    await api.projected(ids[-1] + 2)
    async with db.transaction():
        begun = (await api.post("bulk/rerun?status=FAILED")).json()
        await db.execute("SELECT FROM command.bulk WHERE id = $1 FOR UPDATE", begun["id"])
        held = (await api.get(f"bulk/{begun['id']}")).json()
        stopped = (await api.post(f"bulk/{begun['id']}/stop", **{KEY: "stop"})).json()
    work = await ended(api, begun["id"])
    if held["waiting"]:  # the worker had not come to it before its row was held
        assert (stopped["status"], stopped["stoppedByName"]) == ("stopped", "admin-name")
        assert (work["status"], work["left"]) == ("stopped", {"stopped": 3})
    assert (await api.post(f"bulk/{begun['id']}/stop")).status_code == 409
    assert (await api.post(f"bulk/{begun['id']}/stop", **{KEY: "stop"})).json() == stopped
    assert [one["id"] for one in (await api.get("bulk")).json()] == [begun["id"]]


async def test_what_makes_no_sense_for_many_runs_is_refused(api: Api, stream: Stream) -> None:
    await api.projected(await stream.define())
    refused = {
        "bulk/rerun": 409,
        "bulk/rerun?status=LOST": 400,
        "bulk/rerun?jobType=NOPE": 404,
        "bulk/rerun?colour=red": 400,
        "bulk/nope/stop": 404,
    }
    for path, status in refused.items():
        assert (path, (await api.post(path)).status_code) == (path, status)
    assert (await api.get("bulk/nope")).status_code == 404
    viewer = await api.http.post("/api/admin/bulk/rerun?status=FAILED", headers=api.viewer)
    assert viewer.status_code == 403
