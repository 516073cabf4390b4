"""What a job does stays in the job: a real runner, jobs that other people might have written, and their neighbours."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from kronik.run import Run, decide_cancel
from nats.aio.client import Client

from services.log.append import Conflict, EventLog
from tests.processes import Process, runner
from tests.runs import executing, finished, story, trigger


@pytest.fixture
def running(nats_client: Client, nats_url: str) -> Iterator[Process]:
    with runner(nats_url, jobs="tests.rude_jobs,tests.sample_jobs") as process:
        yield process


async def done(client: Client, log: EventLog, job: str, what: str, **more: object) -> Run:
    return await finished(log, await trigger(client, job, json.dumps({"what": what, **more})))


async def test_what_a_job_does_is_its_own_outcome_and_its_neighbours_lose_nothing(
    nats_client: Client, event_log: EventLog, running: Process
) -> None:
    neighbour = await trigger(nats_client, "QUIET", '{"what": "", "ms": 6000}')
    await executing(event_log, neighbour)
    wanted: dict[tuple[str, str], tuple[str, int, str]] = {
        ("RUDE", "gathered exit"): ("FAILED", 2, "SystemExit(3)"),
        ("RUDE", "background exit"): ("FAILED", 2, "SystemExit(3)"),
        ("RUDE", "callback exit"): ("SUCCESS", 1, ""),
        ("RUDE", "group"): ("FAILED", 1, "PermanentError: no lamp here"),
        ("RUDE", "chain"): ("FAILED", 2, "ValueError: the lamp"),
        ("RUDE", "nan"): ("FAILED", 1, "$.a[1] is nan, which JSON can't say"),
        ("RUDE", "odd words"): ("PARTIAL", 1, ""),
        ("RUDE", "too many words"): ("PARTIAL", 1, ""),
        ("RUDE", "stderr"): ("SUCCESS", 1, ""),
        ("RUDE", "stops the loop"): ("SUCCESS", 1, ""),
        ("RUDE", "cancels everybody"): ("SUCCESS", 1, ""),
        ("RUDE", "takes the loop"): ("SUCCESS", 1, ""),
        ("RUDE", "fork"): ("SUCCESS", 1, ""),
        ("PLAIN", "fork"): ("SUCCESS", 1, ""),
        ("PLAIN", "fork comes back"): ("SUCCESS", 1, ""),
        ("PLAIN", "context"): ("SUCCESS", 1, ""),
    }
    runs = dict(
        zip(
            wanted,
            await asyncio.gather(*(done(nats_client, event_log, *key) for key in wanted)),
            strict=True,
        )
    )
    found = {key: (run.status, run.attempt, wanted[key][2] in (run.error or "")) for key, run in runs.items()}
    assert found == {key: (status, attempt, True) for key, (status, attempt, _) in wanted.items()}, runs
    assert "KeyError: 'the switch'" in (runs["RUDE", "chain"].traceback or "")
    assert "direct cause" in (runs["RUDE", "chain"].traceback or "")
    assert runs["PLAIN", "fork"].result == {"status": -15}
    assert runs["PLAIN", "fork comes back"].result == runs["RUDE", "fork"].result == {"parent": True}
    assert runs["RUDE", "odd words"].warnings[0].item == "7"
    assert runs["RUDE", "too many words"].warning_count == 150
    again = await asyncio.gather(*(done(nats_client, event_log, "PLAIN", "context") for _ in range(6)))
    assert [run.result for run in again] == [{"before": "nothing"}] * 6
    assert (await finished(event_log, neighbour)).result == {"attempt": 1}
    assert running.running


async def _lines(client: Client, run_id: int, wait_for: str) -> list[dict[str, Any]]:
    """The run's log up to the line that contains wait_for."""
    found: list[dict[str, Any]] = []
    told = await client.jetstream().subscribe(f"joblog.*.{run_id}", stream="JOBLOG", ordered_consumer=True)
    async with asyncio.timeout(10):
        async for message in told.messages:
            found.append(json.loads(message.data))
            if wait_for in found[-1].get("event", ""):
                break
    return found


@pytest.mark.usefixtures("running")
async def test_print_logging_and_warnings_are_in_the_runs_log(nats_client: Client, event_log: EventLog) -> None:
    run = await done(nats_client, event_log, "PLAIN", "speak")
    said = {line["event"]: line["level"] for line in await _lines(nats_client, run.id, "and again")}
    assert said.keys() >= {"printed", "to stderr", "logged 5", "and again"}
    assert (said["printed"], said["to stderr"], said["logged 5"]) == ("info", "warning", "info")
    assert any("UserWarning: warned" in event for event in said)
    run = await done(nats_client, event_log, "PLAIN", "thread")
    assert await _lines(nats_client, run.id, "said in a thread")


@pytest.mark.usefixtures("running")
async def test_a_flood_of_lines_is_bounded_and_what_is_left_out_is_counted(
    nats_client: Client, event_log: EventLog
) -> None:
    run = await done(nats_client, event_log, "RUDE", "flood")
    assert (run.status, run.attempt) == ("SUCCESS", 1)
    lines = await _lines(nats_client, run.id, "yyy")
    (note,) = [line for line in lines if "leftOut" in line]
    assert note["leftOut"] + len(lines) - 1 == 60_001
    assert 1_000 < len(lines) < 6_000
    assert lines[-2]["fields"] == {"n": "59999"}


@pytest.mark.usefixtures("running")
async def test_a_result_within_the_grace_is_kept(nats_client: Client, event_log: EventLog) -> None:
    timed_out = done(nats_client, event_log, "PLAIN", "late", ms=1500)
    cancelled = await trigger(nats_client, "PLAIN", '{"what": "late", "ms": 900}')
    run = await executing(event_log, cancelled)
    answer = await event_log.append_to_run(run, decide_cancel(run, by="ADMIN:7"), by="test")  # type: ignore[arg-type]
    assert not isinstance(answer, Conflict)
    for run in (await timed_out, await finished(event_log, cancelled)):
        assert (run.status, run.result) == ("SUCCESS", {"attempt": 1})


async def test_a_result_within_the_grace_of_a_deploy_is_kept(
    nats_client: Client, event_log: EventLog, running: Process
) -> None:
    run_id = await trigger(nats_client, "PLAIN", '{"what": "late", "ms": 1300}')
    await executing(event_log, run_id)
    running.terminate()
    assert running.ended() == 0
    assert await story(event_log, run_id) == ["Triggered", "Started", "Completed"]


async def test_a_job_that_takes_the_signal_handlers_does_not_keep_them(
    nats_client: Client, event_log: EventLog, running: Process
) -> None:
    await done(nats_client, event_log, "RUDE", "signals")
    await done(nats_client, event_log, "QUIET", "", ms=2500)
    running.terminate()
    assert running.ended() == 0


async def test_what_a_plain_job_started_ends_with_the_runner_at_the_latest(
    nats_client: Client, event_log: EventLog, running: Process
) -> None:
    run_id = await trigger(nats_client, "PLAIN", '{"what": "child"}')
    assert running.ended() == 75
    assert await story(event_log, run_id) == ["Triggered", "Started", "Retrying"]
    assert [p for p in psutil.process_iter(["cmdline"]) if "600.7531" in (p.info["cmdline"] or [])] == []


class Supervised:
    """A runner that is started again whenever it dies."""

    def __init__(self, nats_url: str) -> None:
        self.deaths = 0
        self._nats_url = nats_url
        self._task = asyncio.create_task(self._supervise())

    async def _supervise(self) -> None:
        while True:
            with runner(self._nats_url, jobs="tests.rude_jobs") as process:
                while process.running:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            self.deaths += 1

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


async def test_a_job_that_kills_its_process_uses_up_its_own_attempts_and_nobody_elses(
    nats_client: Client, event_log: EventLog, nats_url: str
) -> None:
    innocent = [await trigger(nats_client, "QUIET", '{"what": "", "ms": 1500}') for _ in range(8)]
    ways = {"kill": "SIGKILL", "abort": "SIGABRT", "segfault": "SIGSEGV", "os exit": "exit status 9"}
    deadly = [await trigger(nats_client, "DEADLY", json.dumps({"what": way, "ms": 300})) for way in ways]
    supervised = Supervised(nats_url)
    try:
        for run_id, how in zip(deadly, ways.values(), strict=True):
            run = await finished(event_log, run_id, within_s=60)
            assert (run.status, run.failures, how in (run.error or "")) == ("FAILED", 2, True), run
        for run_id in innocent:
            run = await finished(event_log, run_id, within_s=60)
            assert (run.status, run.failures) == ("SUCCESS", 0), run
    finally:
        await supervised.end()
    assert 1 <= supervised.deaths <= len(ways)


async def test_a_job_that_holds_the_interpreter_for_longer_than_ack_wait_is_done(
    nats_client: Client, event_log: EventLog, nats_url: str
) -> None:
    with runner(nats_url, jobs="tests.rude_jobs"), runner(nats_url, jobs="tests.rude_jobs", instance="other"):
        run = await done(nats_client, event_log, "HOLDS_GIL", "", ms=4000)
    assert (run.status, run.failures) == ("SUCCESS", 0), run


async def test_a_loop_that_a_job_holds_for_good_ends_its_process(
    nats_client: Client, event_log: EventLog, nats_url: str
) -> None:
    with runner(nats_url, jobs="tests.rude_jobs", ack_wait_s="30") as process:
        await executing(event_log, await trigger(nats_client, "SPINS"))
        process.terminate()
        assert process.ended(within_s=60) == 75
        assert "event_loop_blocked_for_good" in process.log.read_text()


async def test_a_loop_that_hangs_beyond_its_attempts_time_is_noticed_without_a_signal(
    nats_client: Client, event_log: EventLog, running: Process
) -> None:
    await executing(event_log, await trigger(nats_client, "SPINS"))
    assert running.ended(within_s=60) == 75
    assert "event_loop_hangs" in running.log.read_text()


async def test_a_stderr_that_is_full_costs_nobody_a_run(
    nats_client: Client, event_log: EventLog, nats_url: str, tmp_path: Path
) -> None:
    full = tmp_path / "log"
    full.symlink_to("/dev/full")
    process = Process("runner", {"KRONIK_NATS_URL": nats_url, "KRONIK_JOBS": "tests.rude_jobs"}, full)
    try:
        run = await done(nats_client, event_log, "RUDE", "odd words")
        assert run.status == "PARTIAL"
    finally:
        process.kill()


async def test_a_retry_is_done_soon_after_a_wrong_clock_is_right(
    nats_client: Client, event_log: EventLog, nats_url: str, tmp_path: Path
) -> None:
    clock = tmp_path / "clock"
    clock.write_text(str(-2 * 86_400))
    with runner(nats_url, clock_file=str(clock)) as process:
        run_id = await trigger(nats_client, "BREAKS", '{"kind": "once"}')
        process.wait_for_log("not_due_yet")
        clock.write_text("0")
        run = await finished(event_log, run_id, within_s=15)
    assert (run.status, run.attempt) == ("SUCCESS", 2)


@pytest.mark.usefixtures("running")
async def test_jobs_that_have_nothing_to_do_hold_nobodys_places(nats_client: Client, event_log: EventLog) -> None:
    """The process has fewer places than its jobs could use."""
    await done(nats_client, event_log, "RUDE", "asleep")
    ids = [await trigger(nats_client, "RUDE", '{"what": "asleep", "ms": 1500}') for _ in range(12)]
    runs = [await finished(event_log, run_id) for run_id in ids]
    assert max(run.started_at for run in runs) < min(run.completed_at for run in runs)  # type: ignore[type-var]
