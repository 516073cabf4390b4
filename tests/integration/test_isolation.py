"""Attempts in processes of their own: a real runner, jobs that die in every way, and nothing that survives them."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from kronik.run import Run
from nats.aio.client import Client

from services.log.append import EventLog
from tests.integration.test_neighbours import _lines
from tests.isolated_jobs import STAYS
from tests.processes import Process, runner
from tests.runs import executing, finished, trigger


@pytest.fixture
def running(nats_client: Client, nats_url: str) -> Iterator[Process]:
    with runner(nats_url, jobs="tests.isolated_jobs,tests.sample_jobs") as process:
        yield process


async def done(client: Client, log: EventLog, job: str, **params: object) -> Run:
    return await finished(log, await trigger(client, job, json.dumps(params)), within_s=60)


def survivors() -> list[psutil.Process]:
    return [each for each in psutil.process_iter(["cmdline"]) if STAYS in " ".join(each.info["cmdline"] or [])]


async def test_a_process_that_dies_is_the_end_of_that_run_alone(
    nats_client: Client, event_log: EventLog, running: Process
) -> None:
    neighbour = await trigger(nats_client, "APART_TOO", '{"ms": 5000}')
    await executing(event_log, neighbour)
    wanted = {
        "exit": "SystemExit(3)",
        "os exit": "its process ended with exit status 4 before the job was done",
        "segfault": "its process was killed by SIGSEGV",
        "kill": "its process was killed by SIGKILL",
        "memory": "memory_limit of 150 MiB",
        "at once": "memory_limit is 150 MiB",
        "children memory": "memory_limit of 150 MiB",
        "permanent": "PermanentError: no lamp here",
    }
    runs = await asyncio.gather(*(done(nats_client, event_log, "APART", what=what) for what in wanted))
    for run, (what, error) in zip(runs, wanted.items(), strict=True):
        assert (run.status, run.attempt, error in (run.error or "")) == ("FAILED", 1, True), (what, run)
    assert "sys.exit(3)" in (runs[0].traceback or "")
    assert (await done(nats_client, event_log, "APART", what="no stdout")).status == "SUCCESS"
    assert (await finished(event_log, neighbour)).result == {"attempt": 1}
    assert running.running


@pytest.mark.usefixtures("running")
async def test_the_run_context_is_the_same(nats_client: Client, event_log: EventLog) -> None:
    envelope = {
        "specversion": "1.0",
        "id": "1",
        "source": "/crm",
        "type": "asked",
        "data": {},
        "correlationid": "order-7",
        "traceparent": "00-1",
    }
    run = await done(nats_client, event_log, "APART", **envelope)
    assert run.status == "PARTIAL"
    assert run.result == {"id": run.id, "token": run.token, "attempt": 1, "by": "order-7 00-1"}
    assert [(warning.item, warning.text) for warning in run.warnings] == [("household 17", "could not be updated")]
    lines = await _lines(nats_client, run.id, "by another program")
    assert {line["event"] for line in lines if "event" in line} >= {"at work", "could not be updated", "printed"}


@pytest.mark.usefixtures("running")
async def test_multiprocessing_works_in_it_under_every_start_method(nats_client: Client, event_log: EventLog) -> None:
    for method in ("fork", "forkserver", "spawn"):
        run = await done(nats_client, event_log, "APART", what=method)
        assert (run.status, run.result) == ("SUCCESS", {"doubled": [2, 4, 6]}), run


async def test_nothing_that_an_attempt_started_survives_it(
    nats_client: Client, event_log: EventLog, running: Process
) -> None:
    run = await done(nats_client, event_log, "APART", what="leaves children")
    assert (run.status, survivors()) == ("SUCCESS", [])
    ids = [await trigger(nats_client, "STUBBORN") for _ in range(20)]
    for run_id in ids:
        assert (await finished(event_log, run_id, within_s=60)).error == "timed out after 0.5 s"
    assert survivors() == []
    assert running.running


async def test_nothing_survives_the_runner_s_kill(nats_client: Client, event_log: EventLog, nats_url: str) -> None:
    with runner(nats_url, jobs="tests.isolated_jobs", grace_s="60") as process:
        await executing(event_log, await trigger(nats_client, "STUBBORN"))
        give_up = time.monotonic() + 20
        while len(survivors()) < 4:
            assert time.monotonic() < give_up
            await asyncio.sleep(0.05)
        process.kill()
        while survivors():
            assert time.monotonic() < give_up, survivors()
            await asyncio.sleep(0.05)


async def test_a_fork_server_that_dies_is_replaced_and_nobody_is_blamed(
    nats_client: Client, event_log: EventLog, running: Process
) -> None:
    await done(nats_client, event_log, "APART_TOO")
    run_id = await trigger(nats_client, "APART_TOO", '{"ms": 3000}')
    await executing(event_log, run_id)
    (server,) = [each for each in psutil.Process(running.pid).children() if "forkserver" in " ".join(each.cmdline())]
    os.kill(server.pid, signal.SIGKILL)
    run = await finished(event_log, run_id)
    assert (run.status, run.attempt, run.failures) == ("SUCCESS", 2, 0)


@pytest.mark.usefixtures("running")
async def test_a_command_is_a_job(nats_client: Client, event_log: EventLog) -> None:
    run = await done(nats_client, event_log, "REPORT", month="2026-10")
    assert run.status == "SUCCESS", run
    assert run.result == {"seen": {"month": "2026-10", "status": 0}}
    said: list[dict[str, Any]] = await _lines(nats_client, run.id, "month 2026")
    assert f"month 2026-10 run {run.id}" in [line["event"] for line in said]
    failed = await done(nats_client, event_log, "REPORT", month="2026-10", status=7)
    assert failed.error == "CommandFailed: sh ended with exit status 7: careful"
    assert "allowed: month, status" in ((await done(nats_client, event_log, "REPORT", moth="x")).error or "")
    assert (await done(nats_client, event_log, "SLOW_COMMAND")).error == "timed out after 0.3 s"
    missing = await done(nats_client, event_log, "NO_COMMAND")
    assert (missing.attempt, "no-such-program-7" in (missing.error or "")) == (1, True)
    assert "at most 262144 are allowed" in ((await done(nats_client, event_log, "LARGE_RESULT")).error or "")
    assert survivors() == []
