"""The command line against a running `up`: what it prints for people and for scripts, and its exit status."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import httpx
import pytest

from services.stack.process import Command, popen_options
from tests.up import Up, home, running


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    with home() as place, running(place, "--demo") as up:
        yield up


@pytest.fixture(scope="module")
def run(up: Up) -> dict[str, Any]:
    """A finished run."""
    result = up.kronik("trigger", "DAILY_MAINTENANCE", "--wait", "--json")
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout))


def test_trigger_returns_the_run_at_once(up: Up) -> None:
    result = up.kronik("trigger", "DAILY_MAINTENANCE", "--json")
    assert result.returncode == 0
    assert json.loads(result.stdout)["jobType"] == "DAILY_MAINTENANCE"


def test_trigger_wait_returns_the_finished_run(run: dict[str, Any]) -> None:
    assert run["status"] == "SUCCESS"
    assert run["completedAt"] is not None
    assert run["triggeredBy"].startswith("ADMIN:")


def test_trigger_wait_exits_with_1_for_a_run_that_failed(up: Up) -> None:
    """A Heynabo that lets nobody in is not asked again."""
    fail_sandbox(up, "unauthorized")
    try:
        result = up.kronik("trigger", "HEYNABO_IMPORT", "--wait")
    finally:
        fail_sandbox(up, "none")
    assert result.returncode == 1, result.stdout
    assert "FAILED" in result.stdout
    (failed,) = answered(up, "history", "--limit", "1", "--status", "FAILED")
    told = up.kronik("show", str(failed["id"])).stdout
    assert "Traceback (most recent call last)" in told
    assert failed["errorMessage"].splitlines()[0] in told
    assert answered(up, "show", str(failed["id"]))["traceback"] == failed["traceback"]


def fail_sandbox(up: Up, mode: str) -> None:
    port = json.loads((up.state / "ports.json").read_text())["sandbox"]
    httpx.post(f"http://127.0.0.1:{port}/sandbox/faults", json={"mode": mode}).raise_for_status()


def test_history_lists_the_newest_first(up: Up, run: dict[str, Any]) -> None:
    runs = json.loads(up.kronik("history", "--json", "--limit", "100").stdout)
    assert run["id"] in [each["id"] for each in runs]
    assert [each["id"] for each in runs] == sorted((each["id"] for each in runs), reverse=True)


def test_history_can_be_narrowed(up: Up, run: dict[str, Any]) -> None:
    def listed(*arguments: str) -> list[dict[str, Any]]:
        return list(json.loads(up.kronik("history", "--json", *arguments).stdout))

    assert {each["jobType"] for each in listed("--job", "DAILY_MAINTENANCE")} == {"DAILY_MAINTENANCE"}
    assert {each["status"] for each in listed("--status", "SUCCESS")} == {"SUCCESS"}
    assert len(listed("--limit", "1")) == 1


def test_history_for_people_has_a_line_per_run(up: Up, run: dict[str, Any]) -> None:
    output = up.kronik("history", "--limit", "100").stdout
    (line,) = [line for line in output.splitlines() if line.split()[0] == str(run["id"])]
    assert "DAILY_MAINTENANCE" in line
    assert "SUCCESS" in line


def test_show_tells_the_runs_events_in_order(up: Up, run: dict[str, Any]) -> None:
    events = json.loads(up.kronik("show", str(run["id"]), "--json").stdout)["events"]
    assert [event["type"] for event in events] == [
        "kronik.run.triggered.v1",
        "kronik.run.started.v1",
        "kronik.run.completed.v1",
    ]
    assert events[0]["sequence"] == run["id"]
    output = up.kronik("show", str(run["id"])).stdout
    assert output.index("Asked for") < output.index("started") < output.index("Completed")


def test_show_alone_shows_the_newest_run(up: Up) -> None:
    newest = json.loads(up.kronik("trigger", "DAILY_MAINTENANCE", "--json").stdout)
    assert json.loads(up.kronik("show", "--json").stdout)["id"] == newest["id"]


def test_env_gives_a_shell_the_addresses_and_the_token(up: Up) -> None:
    shell = f'{up.kronik("env").stdout}\necho "$NATS_URL"; echo "$KRONIK_URL"; echo "$KRONIK_TOKEN"'
    said = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True, timeout=10)
    assert said.stdout.split() == [up.ready["natsUrl"], up.ready["url"], up.ready["token"]]


def test_token_prints_one_that_the_api_knows_and_needs_none_itself(up: Up) -> None:
    token = up.kronik("token", "ops").stdout.strip()
    headers = {"Authorization": f"Bearer {token}"}
    assert token != up.ready["token"]
    assert httpx.get(f"{up.ready['url']}/api/admin/job", headers=headers).status_code == 200


def test_jobs_lists_what_runners_announced(up: Up) -> None:
    jobs = json.loads(up.kronik("jobs", "--json").stdout)
    assert [job["jobType"] for job in jobs] == ["DAILY_MAINTENANCE", "HEYNABO_IMPORT", "MONTHLY_BILLING"]
    assert "DAILY_MAINTENANCE" in up.kronik("jobs").stdout


def test_signin_prints_a_link_that_works_once(up: Up) -> None:
    link = up.kronik("signin").stdout.strip()
    with httpx.Client() as browser:
        assert browser.get(link).status_code == 200
        assert browser.post(link, follow_redirects=True).status_code == 200
        assert browser.get(f"{up.ready['url']}/api/admin/job-run").status_code == 200
    assert httpx.get(link).status_code == 403


@contextmanager
def tailing(up: Up, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    command = Command(name="tail", argv=(sys.executable, "-m", "services.cli", "tail", *arguments))
    pipe = subprocess.PIPE
    options = popen_options(command)
    with subprocess.Popen(command.argv, cwd=up.home, stdout=pipe, stderr=pipe, text=True, **options) as tail:
        try:
            yield tail
        finally:
            tail.kill()


def events(tail: "subprocess.Popen[str]") -> Iterator[dict[str, Any]]:
    assert tail.stdout is not None
    return (json.loads(line) for line in tail.stdout)


def test_tail_prints_events_as_they_come_and_ends_quietly_on_ctrl_c(up: Up) -> None:
    with tailing(up, "--json", "--since", "1") as tail:
        assert next(events(tail))["sequence"] == 1
        run = up.call("POST", "/api/admin/job-run/trigger", json={"jobType": "MONTHLY_BILLING"})
        completed = f"jobs.run.MONTHLY_BILLING.{run['id']}.completed"
        assert next(event for event in events(tail) if event["subject"] == completed)
        tail.send_signal(signal.SIGINT)
        assert tail.wait(10) == 0
        assert tail.stderr is not None
        assert tail.stderr.read() == ""


def test_tail_tells_people_by_their_names(up: Up, run: dict[str, Any]) -> None:
    with tailing(up, "--since", str(run["id"])) as tail:
        assert tail.stdout is not None
        assert "Asked for  by admin" in tail.stdout.readline()


def test_tail_of_one_job_leaves_the_others_out(up: Up, run: dict[str, Any]) -> None:
    last = f"jobs.run.DAILY_MAINTENANCE.{run['id']}.completed"
    with tailing(up, "--json", "--since", "1", "--job", "DAILY_MAINTENANCE") as tail:
        seen = [next(events(tail))["subject"]]
        while seen[-1] != last:
            seen.append(next(events(tail))["subject"])
    assert {subject.split(".")[2] for subject in seen} == {"DAILY_MAINTENANCE"}


def test_rebuild_finds_nothing_to_change_and_the_api_goes_on(up: Up, run: dict[str, Any]) -> None:
    before = up.call("GET", "/api/admin/job-run?limit=100")
    result = up.kronik("rebuild", "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["added"], report["changed"], report["removed"]) == (0, 0, 0)
    assert report["runs"] == len(before)
    assert up.call("GET", "/api/admin/job-run?limit=100") == before


def test_verify_exits_with_1_and_names_what_differs(up: Up, run: dict[str, Any]) -> None:
    assert up.kronik("verify").stdout.endswith("no difference\n")
    set_result(up, run["id"], '{"invented":1}')
    differing = up.kronik("verify")
    set_result(up, run["id"], run["resultSummary"])
    assert differing.returncode == 1
    assert f"run {run['id']}: " in differing.stdout
    assert "invented" in differing.stdout
    assert up.kronik("verify", "--json").returncode == 0


def set_result(up: Up, run_id: int, result: str) -> None:
    async def change() -> None:
        connection = await asyncpg.connect(up.ready["databaseUrl"])
        await connection.execute("UPDATE history.run SET result_summary = $1 WHERE id = $2", result, run_id)
        await connection.close()

    asyncio.run(change())


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (("trigger", "NOPE"), 2, "DAILY_MAINTENANCE, HEYNABO_IMPORT, MONTHLY_BILLING"),
        (("trigger", "DAILY_MAINTENANCE", "--param", "x=1"), 2, "x"),
        (("trigger", "DAILY_MAINTENANCE", "--param", "x"), 2, "expected NAME=VALUE"),
        (("history", "--limit", "101"), 2, "--limit"),
        (("history", "--status", "LOST"), 2, "--status"),
        (("show", "999999"), 2, "no run 999999"),
        (("show", "x"), 2, "int"),
        (("tail", "--job", "a.b"), 2, "job type"),
        (("bulk", "show", "1"), 2, "no bulk 1"),
        (("export", "."), 2, "expected a file"),
        (("up", "--ready-file", "/no/such/file"), 2, "expected a file in a directory that exists"),
        (("nonsense",), 2, "nonsense"),
    ],
)
def test_what_makes_no_sense_is_said_on_one_line(
    up: Up, arguments: tuple[str, ...], status: int, complaint: str
) -> None:
    result = up.kronik(*arguments)
    assert result.returncode == status
    assert complaint in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [("history",), ("trigger", "A"), ("jobs",), ("show", "1"), ("tail",), ("signin",), ("rebuild",), ("verify",)],
)
def test_without_a_running_up_it_says_so(arguments: tuple[str, ...]) -> None:
    with home() as place:
        result = Up(place).kronik(*arguments)
    assert result.returncode == 3
    assert f"no `kronik up` runs on {place / '.kronik'}" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_misspelt_address_is_named() -> None:
    with home() as place:
        result = Up(place, environ={"KRONIK_UR": "http://127.0.0.1:1"}).kronik("history")
    assert (result.returncode, "KRONIK_URL is not set, but KRONIK_UR is" in result.stderr) == (3, True), result.stderr


def test_an_address_where_nobody_answers_is_unreachable() -> None:
    with home() as place:
        up = Up(place, environ={"KRONIK_URL": "http://127.0.0.1:9", "KRONIK_TOKEN": "x"})
        assert up.kronik("history").returncode == 3
        assert Up(place, environ={"KRONIK_NATS_URL": "nats://127.0.0.1:9"}).kronik("show", "1").returncode == 3


def test_a_wrong_token_is_refused(up: Up) -> None:
    with home() as place:
        stranger = Up(place, environ={"KRONIK_URL": up.ready["url"], "KRONIK_TOKEN": "kronik_wrong"})
        assert stranger.kronik("history").returncode == 2


def test_output_into_a_closed_pipe_ends_without_a_word(up: Up, run: dict[str, Any]) -> None:
    line = f"{sys.executable} -m services.cli history --json | true"
    result = subprocess.run(
        ("bash", "-c", f"set -o pipefail; {line}"), cwd=up.home, env=dict(os.environ), capture_output=True, text=True
    )
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("line", "status", "complaint"),
    [
        ("history > /dev/full", 1, "kronik: the output: No space left on device\n"),
        ("--help > /dev/full", 1, "kronik: the output: No space left on device\n"),
        ("history >&-", 0, ""),
        ("schemas /dev/null/x", 2, "kronik: /dev/null/x: Not a directory; expected a directory, or a place for one\n"),
    ],
)
def test_output_that_can_t_be_written_is_one_message(
    up: Up, run: dict[str, Any], line: str, status: int, complaint: str
) -> None:
    result = subprocess.run(
        ("bash", "-c", f"{sys.executable} -m services.cli {line}"), cwd=up.home, capture_output=True, text=True
    )
    assert (result.returncode, result.stderr) == (status, complaint)


def answered(up: Up, *arguments: str) -> Any:
    result = up.kronik(*arguments, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_a_run_is_run_again_and_cancelled(up: Up, run: dict[str, Any]) -> None:
    id = str(run["id"])
    assert answered(up, "rerun", id, "--dry-run")["runId"] == run["id"]
    assert answered(up, "rerun", id, "--wait")["rerunOf"] == run["id"]
    finished = up.kronik("cancel", id)
    assert (finished.returncode, "finished" in finished.stderr) == (1, True)
    assert up.kronik("rerun", id, "--param", "x=1").returncode == 2
    assert set(answered(up, "logs", id)) == {"lines", "leftOut", "progress"}
    assert up.kronik("logs", id, "--follow").returncode == 0
    assert up.kronik("logs", "999999", "--follow").returncode == 2


def test_waiting_names_the_run_and_survives_the_api(up: Up) -> None:
    fail_sandbox(up, "slow")
    command = Command(name="wait", argv=(sys.executable, "-m", "services.cli", "trigger", "HEYNABO_IMPORT", "--wait"))
    pipe = subprocess.PIPE
    options = popen_options(command)
    with subprocess.Popen(command.argv, cwd=up.home, stdout=pipe, stderr=pipe, text=True, **options) as waiting:
        assert waiting.stderr is not None
        id = waiting.stderr.readline().partition(" run ")[2].split()[0]
        kill_the_api(up)
        assert "trying again" in waiting.stderr.readline()
        fail_sandbox(up, "none")
        said, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 0
    assert f"HEYNABO_IMPORT run {id}" in said


def kill_the_api(up: Up) -> None:
    processes = json.loads((up.state / "processes.json").read_text())
    os.kill(next(one["pid"] for one in processes if one["name"] == "api"), signal.SIGKILL)


def test_a_job_is_paused_scheduled_and_retired(up: Up) -> None:
    job = "MONTHLY_BILLING"
    assert len(answered(up, "pause", job, "--until", "2999-01-01T00:00+01:00", "--dry-run")["skips"]) == 10
    paused = answered(up, "pause", job, "--reason", "inventory")
    assert (paused["pause"]["reason"], paused["changedByName"]) == ("inventory", "admin")
    assert "paused by admin: inventory" in up.kronik("schedule", job).stdout
    assert answered(up, "resume", job)["paused"] is False
    changed = answered(up, "schedule", job, "0 5 2 * *", "--overlap", "skip")
    assert (changed["schedule"]["expression"], changed["schedule"]["overlap"]) == ("0 5 2 * *", "skip")
    given_back = answered(up, "schedule", job, "code", "--overlap", "code")
    assert set(given_back["comesFrom"].values()) == {"code"}
    assert "Copenhagen" in up.kronik("jobs").stdout
    assert up.kronik("retire", job).returncode == 2
    assert answered(up, "retire", job, "--yes", "--dry-run")["command"] == "retire"
    assert up.kronik("schedule", job, "--tz", "CEST").returncode == 2


def wait_for_bulk(up: Up, id: str) -> str:
    """The first look may come while the API is away."""
    for _ in range(30):
        found = up.kronik("bulk", "show", id, "--wait", "--json")
        if found.returncode == 0:
            return found.stdout
    raise AssertionError(found.stderr)


def test_many_runs_are_run_again_once(up: Up, run: dict[str, Any]) -> None:
    which = ("--job", "DAILY_MAINTENANCE", "--to", run["completedAt"])
    plan = answered(up, "bulk", "rerun", *which, "--dry-run")
    assert plan["selected"] == plan["eligible"] + sum(left["count"] for left in plan["left"])
    assert up.kronik("bulk", "rerun", *which).returncode == 2
    begun = answered(up, "bulk", "rerun", *which, "--yes")
    kill_the_api(up)
    work = json.loads(wait_for_bulk(up, begun["id"]))
    assert (work["status"], work["done"]) == ("finished", plan["eligible"])
    assert answered(up, "bulk", "rerun", *which, "--dry-run")["eligible"] == 0
    assert [one["id"] for one in answered(up, "bulk", "list")] == [work["id"]]
    assert work["id"] in up.kronik("bulk", "show", work["id"]).stdout
    assert up.kronik("bulk", "stop", work["id"]).returncode == 1
    assert up.kronik("bulk", "rerun", "--yes").returncode == 2
    assert answered(up, "empty-queue", "DAILY_MAINTENANCE", "--dry-run")["command"] == "cancel"


def test_what_a_filter_selects_is_written_to_a_file(up: Up, run: dict[str, Any]) -> None:
    assert up.kronik("export", "runs.jsonl", "--format", "jsonl", "--status", "SUCCESS").returncode == 0
    lines = [json.loads(line) for line in (up.home / "runs.jsonl").read_text().splitlines()]
    assert run["id"] in [one["id"] for one in lines]
    assert up.kronik("export").stdout.startswith("id,jobType,status")
    assert up.kronik("export", "--status", "LOST").returncode == 2


def test_json_is_what_the_api_answers(up: Up, run: dict[str, Any]) -> None:
    id = run["id"]
    said = {
        ("history", "--limit", "3", "--before", str(id + 1)): f"job-run?limit=3&before={id + 1}",
        ("jobs",): "job",
        ("slots",): "slot",
        ("parked",): "parked",
        ("schedule", "HEYNABO_IMPORT"): "job/HEYNABO_IMPORT",
        ("logs", str(id)): f"job-run/{id}/logs",
        ("bulk", "list"): "bulk",
    }
    for arguments, path in said.items():
        assert (arguments, answered(up, *arguments)) == (arguments, up.call("GET", f"/api/admin/{path}"))
    shown = answered(up, "show", str(id))
    assert set(shown) == {"id", "jobType", "traceback", "events"}
    assert {frozenset(event) for event in shown["events"]} == {
        frozenset({"sequence", "time", "subject", "id", "type", "data"})
    }
    assert set(answered(up, "env")) == {"natsUrl", "url", "token"}
    assert "by admin" in up.kronik("show", str(id)).stdout


def test_the_run_is_named_on_the_narrowest_terminal(up: Up, run: dict[str, Any]) -> None:
    narrow = Up(up.home, environ={**up.environ, "COLUMNS": "40"}).kronik("history", "--limit", "100").stdout
    assert all(len(line) <= 40 for line in narrow.splitlines())
    assert str(run["id"]) in [line.split()[0] for line in narrow.splitlines()]


def test_accounts_have_names_and_roles_and_their_tokens_can_be_revoked(up: Up) -> None:
    assert up.kronik("token", "bot", "--account", "nobody").returncode == 2
    token = up.kronik("token", "bot", "--account", "anna", "--role", "operator").stdout.strip()
    anna = {"Authorization": f"Bearer {token}"}
    asked = httpx.post(
        f"{up.ready['url']}/api/admin/job-run/trigger", json={"jobType": "DAILY_MAINTENANCE"}, headers=anna
    )
    assert asked.json()["triggeredByName"] == "anna"
    assert ("anna", "operator", "bot") in {
        (one["account"], one["role"], one["name"]) for one in answered(up, "token", "list")
    }
    assert up.kronik("signin", "anna").stdout.startswith(up.ready["url"])
    assert up.kronik("token", "revoke", "bot").returncode == 0
    assert httpx.get(f"{up.ready['url']}/api/admin/job", headers=anna).status_code == 401
    assert up.kronik("token", "revoke", "bot").returncode == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_complete_every_command(shell: str) -> None:
    with home() as place:
        script = Up(place).kronik("completion", shell).stdout
    assert all(word in script for word in ("history", "rerun", "retire", "unresolved"))
