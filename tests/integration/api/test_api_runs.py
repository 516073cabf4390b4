"""The three calls, their neighbours, and everything that can be wrong with a request."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
import pytest
from kronik import subjects
from kronik.events import (
    Cancelled,
    Completed,
    Failed,
    Retrying,
    Schedule,
    SlotSkipped,
    Triggered,
    TriggerRefused,
    Warning,
)

from services.api.changes import Changes
from services.log.presence import Beat, Served, say
from tests.integration.api.conftest import JOB, STARTED, SUMMARY, Api, Stream, a_definition
from tests.servers import NatsServer


class Strict(msgspec.Struct):
    """The nine fields, as a client that validates strictly has them."""

    id: Annotated[int, msgspec.Meta(gt=0)]
    jobType: str
    status: Literal["RUNNING", "SUCCESS", "PARTIAL", "FAILED"]
    startedAt: Annotated[datetime, msgspec.Meta(tz=True)]
    completedAt: Annotated[datetime, msgspec.Meta(tz=True)] | None
    durationMs: int | None
    resultSummary: str | None
    errorMessage: str | None
    triggeredBy: Annotated[str, msgspec.Meta(pattern="^(CRON|ADMIN:.+|SERVICE:.+)$")]


def strict(body: bytes) -> Strict:
    return msgspec.json.decode(body, type=Strict)


async def test_every_phase_fits_the_nine_fields(api: Api, stream: Stream) -> None:
    await stream.define()
    queued = await stream.trigger()
    executing, retrying, failed, cancelled, partial = [await stream.trigger() for _ in range(5)]
    bad = await stream.publish(f"jobs.trigger.{JOB}.ops", b"[1]")
    late = Retrying(attempt=1, error="no", error_type="E", retry_at=datetime(2030, 1, 1, tzinfo=UTC))
    await stream.go_on(executing, STARTED)
    await stream.go_on(retrying, STARTED, late)
    await stream.go_on(failed, STARTED, Failed(attempt=1, error="broke\0n", error_type="E"))
    await stream.go_on(cancelled, Cancelled(attempt=0, by="ADMIN:1"))
    await stream.go_on(partial, STARTED, Completed(attempt=1, result=SUMMARY, warnings=(Warning(text="w", item="i"),)))
    done = await stream.run()
    await api.projected(done + 2)
    answer = await api.get("job-run", limit=100)
    runs = {run.id: run for run in msgspec.json.decode(answer.content, type=list[Strict])}
    assert {id: run.status for id, run in runs.items()} == {
        queued: "RUNNING",
        executing: "RUNNING",
        retrying: "RUNNING",
        failed: "FAILED",
        cancelled: "FAILED",
        partial: "PARTIAL",
        bad: "RUNNING",
        done: "SUCCESS",
    }
    assert json.loads(runs[done].resultSummary or "") == SUMMARY
    assert runs[failed].errorMessage == "broke�n"
    assert runs[bad].triggeredBy == "SERVICE:ops"
    assert all((run.completedAt is None) == (run.status == "RUNNING") for run in runs.values())
    assert all((run.durationMs is None) == (run.completedAt is None) for run in runs.values())
    raw = {run["id"]: run for run in answer.json()}
    assert raw[done]["startedAt"].endswith("Z")
    assert raw[partial]["warnings"] == [{"text": "w", "item": "i"}]
    assert raw[retrying]["phase"] == "retrying"
    assert raw[retrying]["retryAt"] == "2030-01-01T00:00:00Z"


async def test_the_history_is_newest_first_ten_at_most_unless_asked(api: Api, stream: Stream) -> None:
    await stream.define()
    ids = [await stream.run() for _ in range(12)]
    other = await stream.run("OTHER_JOB", "ops")
    await api.projected(other + 2)
    assert [run["id"] for run in (await api.get("job-run")).json()] == [other, *ids[:2:-1]]
    assert [run["id"] for run in (await api.get("job-run", jobType=JOB, limit=3)).json()] == ids[:-4:-1]
    assert [run["id"] for run in (await api.get("job-run", triggeredBy="SERVICE:ops")).json()] == [other]
    assert (await api.get("job-run", status="FAILED")).json() == []


BAD_QUERIES = [
    ("limit=0", "limit"),
    ("limit=101", "limit"),
    ("limit=abc", "limit"),
    ("limit=", "limit"),
    ("limit=1.5", "limit"),
    ("status=DONE", "status"),
    ("status=", "status"),
    ("jobType=NOPE", "jobType"),
    ("jobType=demo", "jobType"),
    ("jobType=%00", "jobType"),
    ("triggeredBy=%00", "triggeredBy"),
    ("triggeredBy=bob", "triggeredBy"),
    ("triggeredBy=SERVICE:", "triggeredBy"),
    ("before=yesterday", "before"),
    ("before=", "before"),
    ("before=0", "before"),
    ("before=9223372036854775808", "before"),
    ("after=-1", "after"),
    ("from=2026-01-01", "from"),
    ("to=now", "to"),
    ("open=maybe", "open"),
    ("rerunOf=0", "rerunOf"),
    ("param.=x", "param."),
    ("asOf=yesterday", "asOf"),
    ("asOf=null", "asOf"),
]


async def test_a_bad_query_names_the_field_and_what_is_allowed(
    api: Api, stream: Stream, subtests: pytest.Subtests
) -> None:
    for query, field in BAD_QUERIES:
        with subtests.test(query=query):
            await api.projected(await stream.define())
            answer = await api.http.get(f"/api/admin/job-run?{query}", headers=api.viewer)
            status = 404 if field == "jobType" and "%00" not in query else 400
            assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
            problem = answer.json()
            assert problem["status"] == status
            assert [error["field"] for error in problem["errors"]] == [field]
            assert problem["errors"][0]["allowed"]


async def test_limits_hold_at_their_ends(api: Api, stream: Stream) -> None:
    run_id = await stream.run()
    await api.projected(run_id + 2)
    for query in ("limit=1", "limit=100"):
        answer = await api.http.get(f"/api/admin/job-run?{query}", headers=api.viewer)
        assert [run["id"] for run in answer.json()] == [run_id]


async def test_what_no_call_takes_is_refused_by_name(api: Api, stream: Stream) -> None:
    await api.projected(await stream.define())
    for path, named in {
        "job-run?jobtype=X": "jobtype",
        "job-run?limit=1&limit=2": "limit",
        "job-run?limit=1.0": "limit",
        "job-run?limit=%2B5": "limit",
        "job?limit=1": "limit",
        "job-run/count?limit=1": "limit",
        "slot?status=FAILED": "status",
        "events?since=1": "since",
        "job-run/01": "id",
    }.items():
        answer = await api.http.get(f"/api/admin/{path}", headers=api.viewer)
        assert (path, answer.status_code) == (path, 400)
        assert answer.json()["errors"][0]["field"] == named
    headers = {**api.admin, "Content-Type": "application/json"}
    for body in ('{"jobType":"X","jobType":"DEMO_JOB"}', '{"jobType":"DEMO_JOB","params":{"a":1,"a":2}}'):
        answer = await api.http.post("/api/admin/job-run/trigger", content=body, headers=headers)
        assert (answer.status_code, "2 times" in answer.text) == (400, True)


NO_IDS = ["0", "-1", "abc", "1.5", "9223372036854775808", "%00"]


async def test_an_id_that_can_be_none_is_refused(api: Api, subtests: pytest.Subtests) -> None:
    for id in NO_IDS:
        with subtests.test(id=id):
            answer = await api.get(f"job-run/{id}")
            assert answer.status_code == 400
            assert answer.json()["errors"] == [
                {
                    "field": "id",
                    "problem": answer.json()["errors"][0]["problem"],
                    "allowed": "an integer from 1 to 9007199254740991",
                }
            ]


UNKNOWN_RUNS = [1, 99999, 2**53 - 1]


async def test_an_unknown_run_is_404_at_once(
    api: Api, stream: Stream, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    await api.projected(await stream.define())
    monkeypatch.delattr(Changes, "reached")  # nobody waits for the projector
    for id in UNKNOWN_RUNS:
        with subtests.test(id=id):
            answer = await api.get(f"job-run/{id}")
            assert (answer.status_code, answer.json()["type"]) == (404, "urn:kronik:problem:unknown-run")


async def test_a_run_is_found_that_is_projected_while_it_is_looked_for(api: Api, stream: Stream) -> None:
    await api.projected(await stream.define())
    answers = []
    for delay in range(400):
        run_id = await stream.trigger()
        await asyncio.sleep(delay % 40 / 5_000)  # to meet the projector at every point of its way
        answers.append((await api.get(f"job-run/{run_id}")).status_code)
    assert set(answers) == {200}


async def test_a_trigger_answers_the_run_and_it_is_read_where_it_says(api: Api, stream: Stream) -> None:
    await api.projected(await stream.define())
    answer = await api.post("job-run/trigger", {"jobType": JOB, "params": {"month": "2026-10"}})
    assert answer.status_code == 201
    run = strict(answer.content)
    assert (run.jobType, run.status, run.completedAt) == (JOB, "RUNNING", None)
    assert answer.json()["params"] == {"month": "2026-10"}
    assert answer.headers["Location"] == f"/api/admin/job-run/{run.id}"
    read = await api.http.get(answer.headers["Location"], headers=api.viewer)
    assert strict(read.content) == run
    assert int(read.headers["Kronik-Position"]) >= run.id
    stored = await stream.log.get(run.id)
    assert stored
    assert stored.subject == f"jobs.trigger.{JOB}.admin"
    assert isinstance(stored.data, Triggered)
    assert run.triggeredBy == f"ADMIN:{stored.data.user_id}"


BAD_TRIGGERS = [
    (b"{", "malformed-body", None),
    (b"\xff\xfe", "malformed-body", None),
    (b'{"jobType":"X","params":' + b'{"a":' * 5000 + b"1" + b"}" * 5001, "malformed-body", None),
    (b'{"jobType":"\xff"}', "malformed-body", None),
    (b'{"jobType":"DEMO_JOB","params":{"month":"\\u0000"}}', "invalid-request", "params.month"),
    (b'{"jobType":"DEMO_JOB","params":{"a":{"b":[1,"\\u0000"]}}}', "invalid-request", "params.a.b.1"),
    (b'{"jobType":"DEMO_JOB","params":{"a":{"b\\u0000":1}}}', "invalid-request", "params.a"),
    (b'{"jobType":"DEMO_JOB","params":{"triggeredBy":"x"}}', "invalid-request", "params"),
    (b'{"jobType":"DEMO_JOB","correlationId":"\\u0000"}', "invalid-request", "correlationId"),
    (b"", "invalid-request", "body"),
    (b"[]", "invalid-request", "body"),
    (b"{}", "invalid-request", "jobType"),
    (b'{"jobType":7}', "invalid-request", "jobType"),
    (b'{"jobType":"DEMO_JOB","params":null}', "invalid-request", "params"),
    (b'{"jobType":"DEMO_JOB","parms":{}}', "invalid-request", "parms"),
    (b'{"jobType":"DEMO_JOB","params":{"month":"oct"}}', "invalid-params", "params.month"),
    (b'{"jobType":"DEMO_JOB","params":{"mode":"x"}}', "invalid-params", "params.mode"),
    (b'{"jobType":"DEMO_JOB","params":{"moth":1}}', "invalid-params", "params"),
    (b'{"jobType":"DEMO_JOB","params":{"x":"' + b"a" * 300_000 + b'"}}', "too-large", "params"),
]


async def test_a_bad_trigger_is_a_problem_and_no_event(api: Api, stream: Stream, subtests: pytest.Subtests) -> None:
    for body, kind, field in BAD_TRIGGERS:
        with subtests.test(body=body):
            last = await stream.define()
            await api.projected(last)
            answer = await api.http.post("/api/admin/job-run/trigger", content=body, headers=api.admin)
            assert answer.status_code == {"invalid-params": 409, "too-large": 413}.get(kind, 400)
            problem = answer.json()
            assert problem["type"] == f"urn:kronik:problem:{kind}"
            assert [error["field"] for error in problem.get("errors", [])] == ([field] if field else [])
            assert await stream.log.get(last + 1) is None


async def test_the_form_says_under_the_field_what_cant_be_stored(api: Api, stream: Stream) -> None:
    last = await stream.define()
    await api.projected(last)
    headers = {**api.admin, "Accept": "text/html", "Accept-Language": "da"}
    for typed in ({"p.month": "a\0"}, {"json": '{"month": "\\u0000"}'}):
        answer = await api.http.post(f"/admin/system/job/{JOB}/run", data=typed, headers=headers)
        assert (answer.status_code, "som ikke kan gemmes (NUL)" in answer.text) == (400, True), answer.text[:500]
    assert 'month-wrong">Der er et tegn' in answer.text
    assert await stream.log.get(last + 1) is None


async def test_half_of_a_surrogate_pair_is_called_that(api: Api) -> None:
    answer = await api.http.post("/api/admin/job-run/trigger", content=rb'{"jobType":"\ud800"}', headers=api.admin)
    assert (answer.status_code, "lone surrogate" in answer.json()["detail"]) == (400, True)


async def test_an_unknown_job_type_lists_the_known_ones(api: Api, stream: Stream) -> None:
    await stream.define("B_JOB")
    await api.projected(await stream.define("A_JOB"))
    answer = await api.post("job-run/trigger", {"jobType": "C_JOB"})
    assert answer.status_code == 404
    assert answer.json()["errors"][0]["allowed"] == ["A_JOB", "B_JOB"]


async def test_an_enum_says_its_values(api: Api, stream: Stream) -> None:
    await api.projected(await stream.define())
    answer = await api.post("job-run/trigger", {"jobType": JOB, "params": {"mode": "x"}})
    assert answer.json()["errors"][0]["allowed"] == ["fast", "careful"]


async def test_a_key_sent_a_hundred_times_at_once_is_one_run(api: Api, stream: Stream) -> None:
    await api.projected(await stream.define())
    body = {"jobType": JOB, "params": {"mode": "fast"}}
    answers = await asyncio.gather(
        *(api.post("job-run/trigger", body, **{"Idempotency-Key": "once"}) for _ in range(100))
    )
    assert {answer.status_code for answer in answers} <= {200, 201}
    (run_id,) = {answer.json()["id"] for answer in answers}
    assert [answer.status_code for answer in answers].count(201) == 1
    assert [event.sequence for event in await stream.log.read(f"jobs.trigger.{JOB}.*")] == [run_id]


async def test_a_key_is_known_when_the_stream_has_forgotten_it(api: Api, stream: Stream, db: Any) -> None:
    await api.projected(await stream.define())
    key = {"Idempotency-Key": "k"}
    first = await api.post("job-run/trigger", {"jobType": JOB}, **key)
    await api.projected(first.json()["id"])
    stored = await db.fetchrow("SELECT * FROM history.idempotency")
    older = await stream.trigger(JOB)
    await api.projected(older)
    await db.execute("UPDATE history.idempotency SET run_id = $1", older)
    assert stored["run_id"] == first.json()["id"]
    assert (await api.post("job-run/trigger", {"jobType": JOB}, **key)).json()["id"] == older


async def test_a_key_with_other_params_is_refused_and_another_account_has_its_own(api: Api, stream: Stream) -> None:
    await api.projected(await stream.define())
    first = await api.post("job-run/trigger", {"jobType": JOB}, **{"Idempotency-Key": "k"})
    other = await api.post("job-run/trigger", {"jobType": JOB, "params": {"mode": "fast"}}, **{"Idempotency-Key": "k"})
    assert (other.status_code, other.json()["type"]) == (409, "urn:kronik:problem:key-reused")
    mine = await api.http.post(
        "/api/admin/job-run/trigger", json={"jobType": JOB}, headers={**api.operator, "Idempotency-Key": "k"}
    )
    assert mine.json()["id"] != first.json()["id"]


async def test_a_rerun_repeats_a_finished_run_alone(api: Api, stream: Stream) -> None:
    await stream.define()
    run_id = await stream.trigger(params={"mode": "careful"})
    await api.projected(run_id)
    assert (await api.post(f"job-run/{run_id}/rerun")).json()["type"] == "urn:kronik:problem:run-not-finished"
    await stream.go_on(run_id, STARTED, Failed(attempt=1, error="no", error_type="E"))
    answer = await api.post(f"job-run/{run_id}/rerun")
    assert answer.status_code == 201
    assert (answer.json()["rerunOf"], answer.json()["params"]) == (run_id, {"mode": "careful"})
    assert (await api.post("job-run/424242/rerun")).status_code == 404


@pytest.mark.parametrize("body", [b'{"month": ', b"[1]", b'{"x":"' + b"a" * 900_000 + b'"}'])
async def test_a_run_whose_params_were_never_known_is_not_rerun(api: Api, stream: Stream, body: bytes) -> None:
    await stream.define()
    run_id = await stream.publish(f"jobs.trigger.{JOB}.ops", body)
    last = await stream.go_on(run_id, Failed(attempt=0, error="not valid", error_type="InvalidTrigger"))
    await api.projected(last)
    answer = await api.post(f"job-run/{run_id}/rerun")
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:kronik:problem:params-unknown")
    assert "params are not known" in answer.json()["detail"]
    assert await stream.log.get(last + 1) is None


async def test_a_cancel_is_asked_once_and_not_of_a_finished_run(api: Api, stream: Stream) -> None:
    await stream.define()
    run_id = await stream.trigger()
    for _ in range(2):
        answer = await api.post(f"job-run/{run_id}/cancel")
        assert answer.status_code == 200
        assert answer.json()["cancelRequestedBy"].startswith("ADMIN:")
    found = await stream.log.read_run(run_id)
    assert found
    assert [event.subject.rpartition(".")[2] for event in found[1]] == ["cron", "cancel_requested"]
    await stream.go_on(run_id, Cancelled(attempt=0, by="ADMIN:1"))
    assert (await api.post(f"job-run/{run_id}/cancel")).status_code == 409


async def test_the_events_of_a_run_are_shown_in_order(api: Api, stream: Stream) -> None:
    run_id = await stream.run()
    answer = await api.get(f"job-run/{run_id}/events")
    assert [event["type"] for event in answer.json()] == [
        "kronik.run.triggered.v1",
        "kronik.run.started.v1",
        "kronik.run.completed.v1",
    ]
    assert answer.json()[2]["data"]["result"] == SUMMARY
    assert (await api.get("job-run/77/events")).status_code == 404


async def test_jobs_say_when_they_run_next_and_how_they_last_ran(api: Api, stream: Stream) -> None:
    await stream.define()
    run_id = await stream.run()
    await api.projected(run_id + 2)
    (job,) = (await api.get("job")).json()
    assert (job["jobType"], job["lastRun"]["id"], job["paused"]) == (JOB, run_id, False)
    assert job["scheduleInWords"]["da"] == "Kl. 02:00"
    slots = [datetime.fromisoformat(slot) for slot in job["nextSlots"]]
    assert len(slots) == 5
    assert all(slot - timedelta(days=2) < datetime.now(UTC) + timedelta(days=5) for slot in slots)


async def test_a_job_says_who_serves_it(api: Api, stream: Stream) -> None:
    await stream.define()
    await api.projected(1)
    assert (await api.get(f"job/{JOB}")).json()["runners"] == []
    served = {JOB: Served(1, "another release's")}
    beat = Beat("host-1", "host-1-abc", datetime(2026, 11, 27, 10, tzinfo=UTC), served)
    while not (runners := (await api.get(f"job/{JOB}")).json()["runners"]):
        await say(stream.log.connection, beat)
    assert runners == [{"instance": "host-1", "since": "2026-11-27T10:00:00Z", "inForce": False}]
    while (await api.get(f"job/{JOB}")).json()["runners"]:
        await say(stream.log.connection, Beat(beat.instance, beat.incarnation, beat.since, {}))


async def test_slots_that_did_not_become_a_run_say_why(api: Api, stream: Stream) -> None:
    begin = datetime(2026, 11, 20, 2, tzinfo=UTC)
    for job_type in (JOB, "OTHER_JOB"):
        await stream.define(job_type)
        for day, outcome in enumerate(("paused", "missed", "coalesced")):
            skipped = SlotSkipped(scheduled_for=begin + timedelta(days=day), outcome=outcome, reason=f"because {day}")
            last = await stream.append(subjects.slot(job_type, outcome), skipped)
    await api.projected(last)
    newest, older = (await api.get("slot", jobType=JOB, limit=2)).json()
    assert (newest["jobType"], newest["scheduledFor"]) == (JOB, "2026-11-22T02:00:00Z")
    assert (newest["outcome"], newest["reason"], older["outcome"]) == ("coalesced", "because 2", "missed")
    every = (await api.get("slot")).json()
    assert [slot["scheduledFor"][:10] for slot in every] == [f"2026-11-{day}" for day in (22, 22, 21, 21, 20, 20)]
    assert {slot["jobType"] for slot in every[:2]} == {JOB, "OTHER_JOB"}
    assert (await api.get("slot", jobType="NO_SUCH")).status_code == 404
    assert (await api.get("slot", limit=101)).status_code == 400


async def test_messages_that_cant_be_read_are_listed_with_their_problem(api: Api, stream: Stream) -> None:
    await stream.publish("jobs.slot.DEMO_JOB.missed", b"{")
    last = await stream.publish("jobs.trigger.lower.ops", b"")
    await api.projected(last)
    newest, older = (await api.get("parked")).json()
    assert (newest["sequence"], newest["subject"]) == (last, "jobs.trigger.lower.ops")
    assert older["problem"]
    assert len((await api.get("parked", limit=1)).json()) == 1


async def test_an_admin_changes_a_schedule(api: Api, stream: Stream) -> None:
    await api.projected(await stream.define())
    paused = await api.post(f"job/{JOB}/schedule", {"paused": True})
    assert (paused.json()["paused"], paused.json()["nextSlots"]) == (True, [])
    changed = await api.post(f"job/{JOB}/schedule", {"cron": "30 4 * * 1"})
    assert (changed.json()["paused"], changed.json()["schedule"]["expression"]) == (True, "30 4 * * 1")
    assert changed.json()["schedule"]["tz"] == "Europe/Copenhagen"
    back = await api.post(f"job/{JOB}/schedule", {"cron": None, "paused": False})
    assert back.json()["schedule"]["expression"] == "0 2 * * *"
    assert (await api.get(f"job/{JOB}")).json() == back.json()


async def test_each_field_of_a_schedule_stands_for_itself(api: Api, stream: Stream) -> None:
    await api.projected(await stream.define())
    changed = (await api.post(f"job/{JOB}/schedule", {"cron": None, "overlap": "skip"})).json()
    assert (changed["schedule"]["expression"], changed["schedule"]["overlap"]) == ("0 2 * * *", "skip")
    assert {field for field, whose in changed["comesFrom"].items() if whose != "code"} == {"overlap"}
    assert changed["comesFrom"]["overlap"].startswith("ADMIN:")
    later = Schedule(expression="30 5 * * *", tz="Asia/Tokyo")
    await api.projected(
        await stream.append(subjects.definition(JOB), msgspec.structs.replace(a_definition(), schedule=later))
    )
    now = (await api.get(f"job/{JOB}")).json()["schedule"]
    assert (now["expression"], now["tz"], now["overlap"]) == ("30 5 * * *", "Asia/Tokyo", "skip")
    back = (await api.post(f"job/{JOB}/schedule", {"overlap": None, "maxQueued": 3})).json()
    assert (back["schedule"]["overlap"], back["comesFrom"]["overlap"], back["maxQueued"]) == ("queue", "code", 3)


async def test_a_pause_has_a_reason_and_an_end(api: Api, stream: Stream) -> None:
    await api.projected(await stream.define())
    until = "2999-01-01T00:00:00Z"
    body = {"paused": True, "pauseReason": "ovens", "pausedUntil": until}
    paused = (await api.post(f"job/{JOB}/schedule", body)).json()
    assert (paused["pause"]["reason"], paused["pause"]["until"]) == ("ovens", until)
    assert paused["pause"]["by"].startswith("ADMIN:")
    kept = (await api.post(f"job/{JOB}/schedule", {"cron": "30 4 * * 1"})).json()
    assert kept["pause"] == paused["pause"]
    resumed = (await api.post(f"job/{JOB}/schedule", {"paused": False})).json()
    assert (resumed["paused"], resumed["pause"]) == (False, None)
    refused = await api.post(f"job/{JOB}/schedule", {"pauseReason": "ovens"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (409, "pauseReason")


async def test_a_full_queue_refuses_with_an_event_or_answers_the_run_that_waits(api: Api, stream: Stream) -> None:
    await api.projected(await stream.define())
    assert (await api.post(f"job/{JOB}/schedule", {"maxQueued": 1})).json()["maxQueued"] == 1
    first = await api.post("job-run/trigger", {"jobType": JOB})
    assert first.status_code == 201
    refused = await api.post("job-run/trigger", {"jobType": JOB})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:kronik:problem:queue-full")
    assert refused.json()["detail"].startswith("1 run of this job waits already, and no more than 1 may")
    told = await stream.log.last(subjects.refused(JOB, "admin"))
    assert told is not None
    assert isinstance(told.data, TriggerRefused)
    assert (told.data.queued, told.data.limit) == (1, 1)
    await api.post(f"job/{JOB}/schedule", {"whenFull": "coalesce"})
    same = await api.post("job-run/trigger", {"jobType": JOB})
    assert (same.status_code, same.json()["id"]) == (200, first.json()["id"])
    await api.post(f"job/{JOB}/schedule", {"maxQueued": 0})
    assert (await api.post("job-run/trigger", {"jobType": JOB})).status_code == 201


BAD_SCHEDULES = [
    ({"cron": "nope"}, "cron"),
    ({"cron": "0 0 31 2 *"}, "cron"),
    ({"tz": "Mars"}, "tz"),
    ({"paused": "maybe"}, "paused"),
    ({"paused": "1"}, "paused"),
    ({"paused": 1}, "paused"),
    ({"paused": None}, "paused"),
    ({"deadlineMs": "5"}, "deadlineMs"),
    ({"deadlineMs": -1}, "deadlineMs"),
    ({"maxQueued": 1.5}, "maxQueued"),
    ({"overlap": "skp"}, "overlap"),
    ({"overlp": "skip"}, "overlp"),
    ({"paused": True, "pausedUntil": "2020-01-01T00:00:00Z"}, "pausedUntil"),
    ({"paused": True, "pausedUntil": "2999-01-01T00:00:00"}, "pausedUntil"),
]


async def test_a_schedule_that_cannot_work_is_refused(api: Api, stream: Stream, subtests: pytest.Subtests) -> None:
    for body, field in BAD_SCHEDULES:
        with subtests.test(body=body):
            last = await stream.define()
            await api.projected(last)
            answer = await api.post(f"job/{JOB}/schedule", body)
            fits_the_description = body in (
                {"cron": "0 0 31 2 *"},
                {"paused": True, "pausedUntil": "2020-01-01T00:00:00Z"},
            )
            assert answer.status_code == (409 if fits_the_description else 400)
            assert [error["field"] for error in answer.json()["errors"]] == [field]
            assert await stream.log.get(last + 1) is None


async def test_without_nats_a_trigger_is_503_and_says_what_may_be(
    api: Api, stream: Stream, nats_server: NatsServer
) -> None:
    await api.projected(await stream.define())
    nats_server.kill()
    answer = await api.post("job-run/trigger", {"jobType": JOB})
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:kronik:problem:stream-unavailable")
    assert "may have been stored" in answer.json()["detail"]
    assert answer.headers["Retry-After"]
    assert (await api.get("job-run")).status_code == 200
    ready = await api.http.get("/health/ready")
    assert (ready.status_code, ready.json()["nats"]) == (503, False)


async def test_a_trigger_that_is_stored_is_answered_though_nothing_projects_it(
    api: Api, stream: Stream, db: Any
) -> None:
    await api.projected(await stream.define())
    async with db.transaction():
        await db.execute("LOCK TABLE history.checkpoint IN EXCLUSIVE MODE")
        answer = await api.post("job-run/trigger", {"jobType": JOB})
        assert answer.status_code == 201
        run_id = answer.json()["id"]
        assert (await api.get(f"job-run/{run_id}")).json() == answer.json()
    assert await stream.log.get(run_id)


async def test_a_job_without_a_schedule_has_none_to_change(api: Api, stream: Stream) -> None:
    last = await stream.append(subjects.definition(JOB), msgspec.structs.replace(a_definition(), schedule=None))
    await api.projected(last)
    answer = await api.post(f"job/{JOB}/schedule", {"tz": "UTC"})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:kronik:problem:no-schedule")
    assert "cron" in answer.json()["detail"]


async def test_openapi_closes_every_body_of_a_request(api: Api) -> None:
    document = (await api.http.get("/schema/openapi.json", headers=api.viewer)).json()
    calls = [call for methods in document["paths"].values() for call in methods.values() if call.get("requestBody")]
    assert len(calls) >= 3
    for call in calls:
        for content in call["requestBody"]["content"].values():
            kinds = content["schema"].get("oneOf", [content["schema"]])
            body = next(one for one in kinds if "$ref" in one)
            name = body["$ref"].rpartition("/")[2]
            assert (name, document["components"]["schemas"][name]["additionalProperties"]) == (name, False)


async def test_openapi_says_what_a_schedule_may_be(api: Api) -> None:
    document = (await api.http.get("/schema/openapi.json", headers=api.viewer)).json()
    fields = document["components"]["schemas"]["ScheduleRequest"]["properties"]
    assert re.search(fields["cron"]["pattern"], "*/5 0-23 1,L JAN mon#2")
    assert not re.search(fields["cron"]["pattern"], "@daily")
    assert "Europe/Copenhagen" in fields["tz"]["enum"]
    assert "Mars" not in fields["tz"]["enum"]


async def test_openapi_tells_of_the_calls_and_their_problems(api: Api) -> None:
    document = (await api.http.get("/schema/openapi.json", headers=api.viewer)).json()
    history = document["paths"]["/api/admin/job-run"]["get"]
    assert {one["name"] for one in history["parameters"]} == {
        *("jobType", "status", "phase", "triggeredBy", "from", "to", "rerunOf", "correlationId", "open", "unresolved"),
        *("id", "text", "limit", "before", "after", "asOf"),
    }
    assert {"200", "400", "401", "503"} <= set(history["responses"])
    assert (await api.http.get("/schema/openapi.json")).status_code == 401
