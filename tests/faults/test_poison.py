"""Poison: whatever anybody publishes is shown with a clear error, and nothing behind it waits because of it."""

import asyncio
import json
import time
from collections import Counter
from datetime import timedelta
from typing import Any

import asyncpg
import httpx

from tests.faults.figures import Report, scenario
from tests.faults.load import expecting
from tests.faults.poison import Dose, Targets, definition, doses, event
from tests.faults.read_model import assert_rebuilds_equal
from tests.faults.slot_ledger import MINUTE, accounts
from tests.faults.system import System, lines, system
from tests.faults.timetable import Timetable, minute_of

WITHIN_S = 15
_LIVES = {"jobs": "tests.sample_jobs", "ack_wait_s": "1.5", "grace_s": "1", "reconcile_after_s": "1"}


@scenario("poison of every kind", few=1, full=10)
async def poisoned(rounds: int, seed: int) -> Report:
    """rounds: times that all of it is published, in another order each time."""
    async with system(seed, postgres=True) as scene:
        table = Timetable(scene)
        clock = str(table.clock())
        names = [
            *await scene.started("api"),
            *await scene.started("runner", **_LIVES),
            *await scene.started("scheduler", **_LIVES, clock_file=clock),
        ]
        await _publish(scene, "jobs.definition.SLOTTED", _slotted())
        seen: Counter[str] = Counter()
        spans = []
        for _ in range(rounds):
            found, span = await _dose(scene, table, names)
            seen.update(found)
            spans.append(span)
        _assert_unharmed(scene, names)
        await _quiet(scene)
        await assert_rebuilds_equal(scene, names[0])
        events = await scene.last_sequence()
    return Report(
        f"{seen.total()} inputs",
        events=events,
        divergent=0,
        figures=f"{seen['failed']} shown as failed runs, {seen['parked']} parked with a reason, {seen['ok']} harmless "
        f"as they are, {seen['refused']} refused by the server; 0 stalls: "
        f"a good run right behind them ended after {max(spans):.1f} s",
    )


def _slotted() -> bytes:
    every_minute = {"expression": "* * * * *", "tz": "UTC", "catchUp": "latest", "overlap": "queue", "deadlineMs": None}
    return event("kronik.job.defined.v1", definition(jobType="SLOTTED", schedule=every_minute))


async def _dose(scene: System, table: Timetable, names: list[str]) -> tuple[list[str], float]:
    """Publish all of it at once, then a good trigger; how long that one took. Fails where anything is not shown."""
    targets = Targets(
        await _done(scene, '{"ms":0}'), await _publish(scene, "jobs.trigger.NAP.crm", b'{"ms":1500}') or 0
    )
    order = doses(targets)
    scene.random.shuffle(order)
    sequences = [await _publish(scene, dose.subject, dose.body, expects=dose.expects) for dose in order]
    begin = time.monotonic()
    await _done(scene, '{"ms":1}')
    span = time.monotonic() - begin
    await _slot_fires(scene, table)
    early, sequence = await _before_its_run(scene)
    order, sequences = [*order, early], [*sequences, sequence]
    async with scene.http(names[0]) as http:
        database = await asyncpg.connect(scene.database_url)
        try:
            await _succeeded(http, targets.open)
            await _api_answers(http)
            await scene.projected(names[0], await scene.last_sequence())
            sent = [(dose, sequence) for dose, sequence in zip(order, sequences, strict=True) if sequence is not None]
            unseen = [(dose.name, sequence, await _unseen(dose, sequence, http, database)) for dose, sequence in sent]
        finally:
            await database.close()
    assert not [each for each in unseen if each[-1] is not None], [each for each in unseen if each[-1] is not None]
    return ["refused" if at is None else dose.shows for dose, at in zip(order, sequences, strict=True)], span


async def _before_its_run(scene: System) -> tuple[Dose, int | None]:
    """An event of a run that does not exist yet; then that run, which ends well."""
    completed = event("kronik.run.completed.v1", {"attempt": 1, "result": None})
    while True:
        run_id = await scene.last_sequence() + 2
        subject = f"jobs.run.NAP.{run_id}.completed"
        sequence = await _publish(scene, subject, completed)
        if await _done(scene, '{"ms":0}') == run_id:
            return Dose("event of a run to come", subject, completed, "parked", "no trigger"), sequence


async def _publish(scene: System, subject: str, body: bytes, *, expects: bool = True) -> int | None:
    """The sequence; None where the server itself refuses the subject. expects: as an event has to, again until it is
    stored."""
    while (answer := await _answer(scene, subject, body, expects)) and "error" in answer:
        assert "wrong last sequence" in answer["error"]["description"], answer
    return answer["seq"] if answer else None


async def _answer(scene: System, subject: str, body: bytes, expects: bool) -> dict[str, Any] | None:
    headers = await expecting(scene.connection, subject) if expects else {}
    inbox = scene.connection.new_inbox()
    told = await scene.connection.subscribe(inbox)
    # By hand: clients check subjects, hostile ones do not.
    await scene.connection._send_publish(subject, inbox, body, len(body), headers or None)
    try:
        answer = await told.next_msg(timeout=2)
    except TimeoutError:
        return None
    finally:
        await told.unsubscribe()
    return dict(json.loads(answer.data)) if answer.data else None


async def _done(scene: System, body: str) -> int:
    """The id of a run that ended well."""
    run_id = await _publish(scene, "jobs.trigger.NAP.crm", body.encode())
    assert run_id is not None
    give_up = time.monotonic() + WITHIN_S
    while not (await scene.stream.refresh()).ended(run_id):
        assert time.monotonic() < give_up, f"run {run_id} did not end within {WITHIN_S} s"
        await asyncio.sleep(0.05)
    assert scene.stream.runs[run_id][-1].name == "completed", scene.stream.runs[run_id]
    return run_id


async def _slot_fires(scene: System, table: Timetable) -> None:
    """The job whose definitions, schedules and slots were poisoned still has its next slot accounted for."""
    slot = minute_of(table.now) + MINUTE
    table.set(slot + timedelta(seconds=1))
    give_up = time.monotonic() + WITHIN_S
    while not any(at == slot for at in accounts(_readable((await scene.stream.refresh()).facts), "SLOTTED")):
        await table.wake()
        assert time.monotonic() < give_up, f"slot {slot} has no account:\n{_all_logs(scene)}"
        await asyncio.sleep(0.1)


def _readable(facts: Any) -> list[Any]:
    return [fact for fact in facts if str(fact.data.get("scheduledFor", "")).startswith("20")]


async def _api_answers(http: httpx.AsyncClient) -> None:
    """Of jobs with definitions that make no sense, too."""
    for job in ("BIG", "NEVER", "ODD", "SLOTTED", "NOBODY"):
        for method, path, body in (
            ("POST", "job-run/trigger", {"jobType": job, "params": {"a": 1}}),
            ("GET", "job", None),
            ("GET", f"job/{job}", None),
            ("GET", f"job-run?jobType={job}", None),
        ):
            answer = await http.request(method, f"/api/admin/{path}", json=body)
            assert answer.status_code < 500, f"{method} {path} of {job}: {answer.text[:500]}"
        for path in ("/admin/system", f"/admin/system/history?jobType={job}"):
            answer = await http.get(path)
            assert answer.status_code < 500, f"{path}: {answer.text[:500]}"


async def _succeeded(http: httpx.AsyncClient, run_id: int) -> None:
    shown = await _run(http, run_id)
    assert shown["status"] == "SUCCESS", shown


async def _run(http: httpx.AsyncClient, run_id: int) -> dict[str, Any]:
    give_up = time.monotonic() + WITHIN_S
    while True:
        answer = await http.get(f"/api/admin/job-run/{run_id}")
        assert answer.status_code == 200, answer.text
        if answer.json()["completedAt"] is not None or time.monotonic() > give_up:
            return dict(answer.json())
        await asyncio.sleep(0.1)


async def _unseen(dose: Dose, sequence: int, http: httpx.AsyncClient, database: Any) -> str | None:
    """What is not shown as it should be, in words."""
    parked = await database.fetchval("SELECT problem FROM history.parked WHERE sequence = $1", sequence)
    if dose.shows == "parked":
        return None if parked and dose.says in parked else f"parked because: {parked}"
    if dose.subject.startswith("jobs.trigger."):
        run = await _run(http, sequence)
        if dose.shows == "failed":
            said = run["errorMessage"]
            return None if run["status"] == "FAILED" and said and dose.says in said else str(run)
        return None if run["status"] == "SUCCESS" else str(run)
    return None if parked is None else f"parked because: {parked}"


async def _quiet(scene: System, for_s: float = 4) -> None:
    """Wait until nobody writes any more: the runs that nobody works on have been ended too."""
    last, since = 0, time.monotonic()
    while time.monotonic() - since < for_s:
        now = await scene.last_sequence()
        if now != last:
            last, since = now, time.monotonic()
        await asyncio.sleep(0.2)


def _assert_unharmed(scene: System, names: list[str]) -> None:
    for name in names:
        log = scene.log_of(name)
        assert scene.processes[name].running, f"{name} ended:\n{log[-3000:]}"
        for trouble in ("projector_failed", "scheduling_failed", "request_failed"):
            assert not lines(log, trouble), f"{name}:\n{log[-3000:]}"


def _all_logs(scene: System) -> str:
    return "\n".join(f"{name}: {scene.log_of(name)[-1500:]}" for name in scene.processes)


async def test_poison_is_shown_and_stalls_nothing() -> None:
    await poisoned()
