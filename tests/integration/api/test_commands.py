"""What is asked of runs: tried before it is done, done once however often it is asked, and waited for."""

import asyncio
import time
from datetime import datetime, timedelta

from kronik import subjects
from kronik.events import Cancelled, Completed, Failed

from tests.integration.api.conftest import JOB, STARTED, SUMMARY, Api, Stream

KEY = "Idempotency-Key"


async def test_a_dry_run_says_what_would_be_done_and_does_nothing(api: Api, stream: Stream) -> None:
    await stream.define()
    done, queued = await stream.run(params={"month": "2026-10"}), await stream.trigger()
    await api.projected(queued)
    last = await stream.log.last(subjects.ALL)
    planned = {
        "job-run/trigger?dryRun=true": ({"jobType": JOB, "params": {"mode": "fast"}}, "trigger", {"mode": "fast"}),
        f"job-run/{done}/rerun?dryRun=true": (None, "rerun", {"month": "2026-10"}),
        f"job-run/{queued}/cancel?dryRun=true": (None, "cancel", None),
    }
    for path, (body, command, params) in planned.items():
        answer = await api.post(path, body)
        assert (path, answer.status_code) == (path, 200), answer.text
        plan = answer.json()
        assert (plan["command"], plan["jobType"], plan["params"]) == (command, JOB, params)
        assert plan["does"]
        assert command == "cancel" or "1 run of it has not finished; 1 at a time may execute." in plan["notes"]
    refused = {
        "job-run/trigger?dryRun=true": ({"jobType": JOB, "params": {"mode": "slow"}}, 409),
        f"job-run/{queued}/rerun?dryRun=true": (None, 409),
        f"job-run/{done}/cancel?dryRun=true": (None, 409),
        "job-run/trigger?dryRun=maybe": ({"jobType": JOB}, 400),
    }
    for path, (body, status) in refused.items():
        answer = await api.post(path, body)
        assert (path, answer.status_code) == (path, status), answer.text
    assert await stream.log.last(subjects.ALL) == last


async def test_a_run_is_run_again_with_other_params(api: Api, stream: Stream) -> None:
    await stream.define()
    failed = await stream.trigger(params={"month": "2026-10"})
    await api.projected(await stream.go_on(failed, STARTED, Failed(attempt=1, error="no", error_type="E")))
    other = (await api.post(f"job-run/{failed}/rerun", {"params": {"month": "2026-11"}})).json()
    assert (other["params"], other["rerunOf"]) == ({"month": "2026-11"}, failed)
    assert (await api.post(f"job-run/{failed}/rerun", {"params": None})).json()["params"] == {"month": "2026-10"}
    answer = await api.post(f"job-run/{failed}/rerun", {"params": {"month": "soon"}})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (409, "params.month")
    answer = await api.post(f"job-run/{failed}/rerun", {"params": {"month": "\0"}})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "params.month")
    assert "without the character NUL" in answer.json()["errors"][0]["allowed"]
    assert (await api.post(f"job-run/{failed}/rerun", {"parms": {}})).status_code == 400


async def test_what_a_run_belongs_to_goes_with_all_its_events_and_with_its_rerun(api: Api, stream: Stream) -> None:
    await api.projected(await stream.define())
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    async def together(run_id: int) -> set[tuple[str | None, str | None]]:
        found = await stream.log.read_run(run_id)
        assert found
        return {(event.correlation_id, event.traceparent) for event in found[1]}

    asked = {"jobType": JOB, "correlationId": "order-7"}
    run = (await api.post("job-run/trigger", asked, traceparent=trace)).json()
    assert run["correlationId"] == "order-7"
    await stream.go_on(run["id"], STARTED)
    await api.post(f"job-run/{run['id']}/cancel")
    last = await stream.go_on(run["id"], Cancelled(attempt=1, by="ADMIN:1"))
    assert await together(run["id"]) == {("order-7", trace)}
    await api.projected(last)
    again = (await api.post(f"job-run/{run['id']}/rerun", traceparent="not one")).json()
    assert await together(again["id"]) == {("order-7", None)}
    other = (await api.post(f"job-run/{run['id']}/rerun", {"correlationId": "order-8"}, traceparent=trace)).json()
    assert await together(other["id"]) == {("order-8", trace)}


async def test_who_did_it_is_named(api: Api, stream: Stream) -> None:
    await api.projected(await stream.define())
    run = (await api.post("job-run/trigger", {"jobType": JOB})).json()
    assert (run["triggeredByName"], run["cancelRequestedByName"]) == ("admin-name", None)
    cancelled = (await api.post(f"job-run/{run['id']}/cancel")).json()
    assert cancelled["cancelRequestedByName"] == "admin-name"
    again = (await api.post(f"job-run/{run['id']}/cancel?dryRun=true")).json()
    assert again["notes"] == ["admin-name asked for it already."]
    await api.projected(await stream.go_on(run["id"], Cancelled(attempt=0, by=cancelled["cancelRequestedBy"])))
    found = [(await api.get(f"job-run/{run['id']}")).json(), (await api.get("job-run")).json()[0]]
    assert [one["cancelledByName"] for one in found] == ["admin-name", "admin-name"]
    by_cron = await stream.trigger()
    await api.projected(by_cron)
    assert (await api.get(f"job-run/{by_cron}")).json()["triggeredByName"] is None


async def test_a_key_makes_a_cancel_safe_to_repeat(api: Api, stream: Stream) -> None:
    await stream.define()
    one, other = await stream.trigger(), await stream.trigger()
    await api.projected(other)
    path = f"job-run/{one}/cancel"
    first = await api.post(path, **{KEY: "k"})
    await api.projected(await stream.go_on(one, Cancelled(attempt=0, by="ADMIN:1")))
    again = await api.post(path, **{KEY: "k"})
    assert (again.status_code, again.content) == (first.status_code, first.content) == (200, first.content)
    assert (await api.post(path)).status_code == 409
    answer = await api.post(f"job-run/{other}/cancel", **{KEY: "k"})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:kronik:problem:key-reused")
    refused = [(await api.post(path, **{KEY: "refused"})).status_code for _ in range(2)]
    assert refused == [409, 409]
    same = {**api.operator, KEY: "k"}
    assert (await api.http.post(f"/api/admin/job-run/{other}/cancel", headers=same)).status_code == 200


async def test_a_run_can_be_waited_for(api: Api, stream: Stream) -> None:
    run_id = await stream.trigger()
    await api.projected(run_id)
    began = time.monotonic()
    assert (await api.get(f"job-run/{run_id}", wait=1)).json()["status"] == "RUNNING"
    assert 0.9 < time.monotonic() - began < 5
    waiting = asyncio.create_task(api.get(f"job-run/{run_id}", wait=60))
    await api.projected(await stream.go_on(run_id, STARTED))
    assert not waiting.done()
    await stream.go_on(run_id, Completed(attempt=1, result=SUMMARY))
    assert (await asyncio.wait_for(waiting, 10)).json()["status"] == "SUCCESS"
    answer = await api.get(f"job-run/{run_id}", wait=61)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "wait")
    missing = asyncio.create_task(api.get("job-run/99999", wait=60))
    assert (await asyncio.wait_for(missing, 10)).status_code == 404


async def test_a_pause_shows_what_it_skips_and_holds_until_its_end(api: Api, stream: Stream) -> None:
    await api.projected(await stream.define())
    job = (await api.get(f"job/{JOB}")).json()
    second = datetime.fromisoformat(job["nextSlots"][1])
    body = {"reason": "ovens are cleaned", "until": (second + timedelta(minutes=1)).isoformat()}
    plan = (await api.post(f"job/{JOB}/pause?dryRun=true", body)).json()
    assert plan["skips"] == job["nextSlots"][:2]
    assert plan["nextSlots"][:3] == job["nextSlots"][2:]
    assert (await api.get(f"job/{JOB}")).json()["paused"] is False
    paused = (await api.post(f"job/{JOB}/pause", body)).json()
    assert (paused["paused"], paused["pause"]["reason"], paused["changedByName"]) == (
        True,
        body["reason"],
        "admin-name",
    )
    assert paused["names"] == {paused["pause"]["by"]: "admin-name"}
    assert paused["nextSlots"][:3] == job["nextSlots"][2:]
    assert (await api.post(f"job/{JOB}/resume?dryRun=true")).json()["nextSlots"][:5] == job["nextSlots"]
    assert (await api.post(f"job/{JOB}/resume")).json()["paused"] is False
    over: dict[str, object] = {"until": "2020-01-01T00:00:00Z"}
    for wrong, status, field in (
        (over, 409, "pausedUntil"),
        ({"reason": 5}, 400, "reason"),
        ({"reason": "\0"}, 400, "reason"),
    ):
        answer = await api.post(f"job/{JOB}/pause", wrong)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (status, field)
    nul: dict[str, object] = {"reason": "\0"}
    assert (await api.post(f"job/{JOB}/retire?dryRun=true", nul)).status_code == 400
    assert (await api.post(f"job/{JOB}/schedule", {"paused": True, "pauseReason": "\0"})).status_code == 400


async def test_a_changed_schedule_shows_its_slots_before_it_holds(api: Api, stream: Stream) -> None:
    await api.projected(await stream.define())
    plan = (await api.post(f"job/{JOB}/schedule?dryRun=true", {"cron": "0 2 * * MON"})).json()
    assert len(plan["nextSlots"]) == 10
    assert "Monday" in plan["does"]
    assert {datetime.fromisoformat(one).weekday() for one in plan["nextSlots"]} <= {0, 6}  # in UTC: 00:00 or 01:00
    assert plan["skips"]
    assert not set(plan["skips"]) & set(plan["nextSlots"])
    assert (await api.get(f"job/{JOB}")).json()["schedule"]["expression"] == "0 2 * * *"
    assert (await api.post(f"job/{JOB}/schedule?dryRun=true", {"cron": "0 0 31 2 *"})).status_code == 409


async def test_a_retired_job_runs_no_more_until_it_is_announced_again(api: Api, stream: Stream) -> None:
    await stream.define()
    done = await stream.run()
    await api.projected(done + 2)
    assert (await api.post(f"job/{JOB}/retire?dryRun=true")).json()["nextSlots"] == []
    retired = await api.post(f"job/{JOB}/retire", {"reason": "nobody cooks"}, **{KEY: "r"})
    assert (retired.json()["retired"], retired.json()["nextSlots"]) == (True, [])
    assert (await api.post(f"job/{JOB}/retire", {"reason": "nobody cooks"}, **{KEY: "r"})).content == retired.content
    for path, body in (
        ("job-run/trigger", {"jobType": JOB}),
        (f"job-run/{done}/rerun", None),
        (f"job/{JOB}/retire", {}),
    ):
        answer = await api.post(path, body)
        assert (path, answer.status_code, answer.json()["type"]) == (path, 409, "urn:kronik:problem:job-retired")
    await api.projected(await stream.define())
    assert (await api.get(f"job/{JOB}")).json()["retired"] is False
    assert (await api.post("job-run/trigger", {"jobType": JOB})).status_code == 201
