"""`kronik up` as a process: what it starts, what it says, and that it leaves nothing behind."""

import asyncio
import json
import signal
import socket
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import nats
import psutil
import pytest

from services.log.append import EventLog
from services.stack import port
from tests import servers
from tests.integration.api.conftest import Stream
from tests.up import Up, running
from tests.up import home as new_home

SERVICES = {"nats", "postgres", "sandbox", "api", "scheduler", "runner"}


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    """One for the tests that leave it running as it was."""
    with new_home() as home, running(home, "--demo") as up:
        yield up


@pytest.fixture
def home() -> Iterator[Path]:
    with new_home() as home:
        yield home


@pytest.fixture
def stream(event_log: EventLog) -> Stream:
    return Stream(event_log)


def service(up: Up, action: str, name: str) -> dict[str, str]:
    """With what it connects, as `kronik service` says it."""
    done = up.kronik("service", action, name, "--json")
    assert done.returncode == 0, done.stderr
    said: dict[str, str] = json.loads(done.stdout)
    return said


@pytest.fixture(scope="module")
def ops(up: Up) -> dict[str, str]:
    return service(up, "add", "ops")


def trigger_over_nats(credentials: dict[str, str], job: str) -> int:
    """As another service does it, with a plain client, which waits for a server that is away; the run's id."""

    async def publish() -> int:
        user, password = credentials["user"], credentials["password"]
        connection = await nats.connect(credentials["natsUrl"], user=user, password=password)
        ack = await connection.jetstream().publish(f"jobs.trigger.{job}.{user}", b"{}")
        await connection.close()
        return int(ack.seq)

    return asyncio.run(publish())


def let_in(credentials: dict[str, str]) -> bool:
    """Said on a socket of our own: nats-py leaves those open that it was refused on."""
    place = urlsplit(credentials["natsUrl"])
    asks = {"verbose": False, "user": credentials["user"], "pass": credentials["password"]}
    with socket.create_connection((place.hostname, place.port), timeout=5) as connection:
        connection.sendall(b"CONNECT " + json.dumps(asks).encode() + b"\r\nPING\r\n")
        answers = b""
        while b"PONG" not in answers and b"Authorization Violation" not in answers:
            answers += connection.recv(4096)
    return b"PONG" in answers


def test_it_starts_everything(up: Up) -> None:
    assert {name for name in SERVICES if up.child(name).is_running()} == SERVICES


def test_the_ready_file_says_how_to_reach_it(up: Up) -> None:
    assert set(up.ready) == {"url", "token", "natsUrl", "databaseUrl"}
    assert httpx.get(f"{up.ready['url']}/health/ready").status_code == 200
    assert [job["jobType"] for job in up.call("GET", "/api/admin/job")] == [
        "DAILY_MAINTENANCE",
        "HEYNABO_IMPORT",
        "MONTHLY_BILLING",
    ]


def test_the_printed_link_signs_in_once(up: Up) -> None:
    link = up.said("/sign-in/").split()[2]
    with httpx.Client() as browser:
        assert browser.get(link).status_code == 200
        assert browser.post(link, follow_redirects=True).status_code == 200
        assert browser.get(f"{up.ready['url']}/api/admin/job-run").status_code == 200
    assert httpx.get(link).status_code == 403


def test_a_job_runs_when_asked_over_http_and_over_nats(up: Up, ops: dict[str, str]) -> None:
    by_admin = up.call("POST", "/api/admin/job-run/trigger", json={"jobType": "HEYNABO_IMPORT"})
    assert up.finished(by_admin["id"])["status"] in ("SUCCESS", "PARTIAL")
    run = up.finished(trigger_over_nats(ops, "DAILY_MAINTENANCE"))
    assert (run["status"], run["triggeredBy"]) == ("SUCCESS", "SERVICE:ops")


def test_services_come_and_go_while_it_runs(up: Up) -> None:
    """Added, given another password and removed, with nats-server and everything else as it was."""
    nats_server = up.child("nats").pid
    first = service(up, "add", "shop")
    assert set(first) == {"natsUrl", "user", "password", "inboxPrefix", "jsApiPrefix"}
    assert "@" not in first["natsUrl"]
    assert up.finished(trigger_over_nats(first, "DAILY_MAINTENANCE"))["triggeredBy"] == "SERVICE:shop"
    second = service(up, "rotate", "shop")
    assert not let_in(first)
    assert trigger_over_nats(second, "DAILY_MAINTENANCE")
    assert {"name": "shop", "queue": None, "runs": []} in json.loads(up.kronik("service", "list", "--json").stdout)
    assert up.kronik("service", "remove", "shop").returncode == 0
    assert not let_in(second)
    for wrong in (("remove", "shop"), ("rotate", "shop"), ("add", "cron"), ("add", "Shop")):
        assert up.kronik("service", *wrong).returncode == 2, wrong
    assert up.child("nats").pid == nats_server


def test_services_that_come_at_the_same_moment_all_come_and_none_twice(up: Up) -> None:
    with ThreadPoolExecutor(3) as shells:
        wanted = ["twin", "twin", "other"]
        done = list(shells.map(lambda name: up.kronik("service", "add", name, "--json"), wanted))
    assert sorted(each.returncode for each in done) == [0, 0, 1]
    listed = {each["name"] for each in json.loads(up.kronik("service", "list", "--json").stdout)}
    assert {*wanted} <= listed
    assert all(let_in(json.loads(each.stdout)) for each in done if each.returncode == 0)


def test_the_demo_gives_the_jobs_real_work(up: Up) -> None:
    assert up.said("Demo")
    run = up.call("POST", "/api/admin/job-run/trigger", json={"jobType": "MONTHLY_BILLING"})
    assert up.finished(run["id"])["status"] in ("SUCCESS", "PARTIAL")


def test_nothing_listens_beyond_the_loopback_interface(up: Up) -> None:
    listening = [
        connection.laddr.ip
        for process in up.children()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 4
    assert set(listening) == {"127.0.0.1"}


def test_secrets_are_readable_by_their_owner_alone(up: Up) -> None:
    for name in ("secrets.json", "ready.json", "nats.conf", "processes.json"):
        assert stat.S_IMODE((up.state / name).stat().st_mode) == 0o600, name
    assert stat.S_IMODE(up.ready_file.stat().st_mode) == 0o600
    for directory in (up.state, up.state / "logs", up.state / "nats", up.state / "postgres"):
        assert directory.stat().st_mode & (stat.S_IRWXO & ~stat.S_IXOTH) == 0, directory


def test_a_second_one_on_the_same_state_names_the_first(up: Up) -> None:
    second = up.kronik("up", "--port", "0")
    assert second.returncode == 1
    assert up.process is not None
    assert f"pid {up.process.pid}" in second.stderr
    assert "Traceback" not in second.stderr
    assert httpx.get(f"{up.ready['url']}/health/ready").status_code == 200


def test_a_taken_port_is_said_before_anything_starts(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        result = Up(home).kronik("up", "--port", str(number))
    assert result.returncode == 1
    assert f"port {number} on 127.0.0.1 is taken" in result.stderr
    assert not (home / ".kronik" / "postgres").exists()


def test_a_services_wrong_setting_is_said_before_anything_starts(home: Path) -> None:
    result = Up(home, environ={"KRONIK_SLOTS": "0", "KRONIK_RECONCILE_AFTER_S": "soon"}).kronik("up", "--port", "0")
    assert result.returncode == 2
    assert "KRONIK_RECONCILE_AFTER_S='soon'" in result.stderr
    assert not (home / ".kronik").exists()


NAP = """
import asyncio
from kronik import NoParams, RunContext, job

@job("NAP")
async def nap(run: RunContext, params: NoParams) -> None:
    await asyncio.sleep(1.5)
"""


@pytest.mark.timeout(300)
def test_however_it_ends_nothing_is_left_and_it_starts_again_as_it_was(home: Path) -> None:
    """Told to, by either signal; killed; and killed with everything it started at once."""
    (home / "naps.py").write_text(NAP)
    up = Up(home, environ={"KRONIK_JOBS": "+naps", "PYTHONPATH": str(home), "KRONIK_REPLICA": "3"}).start()
    up.said("KRONIK_REPLICA is set, but is no setting of Kronik; KRONIK_REPLICAS is one")
    before = up.wait_ready().ready
    run = up.call("POST", "/api/admin/job-run/trigger", json={"jobType": "DAILY_MAINTENANCE"})
    up.finished(run["id"])
    up.reached(up.call("POST", "/api/admin/job-run/trigger", json={"jobType": "NAP"})["id"], "executing")
    for by in (signal.SIGTERM, signal.SIGINT):
        children, staged = up.children(), _staged(up)
        assert up.stop(by) == 0
        assert by is signal.SIGINT or "waiting for 1 run of NAP, up to 20 s" in "".join(up.output)
        assert not (staged and staged.exists())
        assert [child for child in children if child.is_running()] == []
        assert not up.ready_file.exists()
        assert not (up.state / "ready.json").exists()
        up = started_as(before, home)
        before = up.ready
    children = up.children()
    up.stop(signal.SIGKILL)
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    assert port.is_free(urlsplit(before["url"]).port or 0)
    up = started_as(before, home)
    before, children = up.ready, up.children()
    for child in children:
        child.kill()
    up.stop(signal.SIGKILL)
    psutil.wait_procs(children, timeout=10)
    with socket.create_server(("127.0.0.1", urlsplit(before["natsUrl"]).port)), running(home) as again:
        assert urlsplit(again.ready["natsUrl"]).port != urlsplit(before["natsUrl"]).port
        assert again.ready["databaseUrl"] == before["databaseUrl"]
        assert again.call("GET", f"/api/admin/job-run/{run['id']}")["status"] == "SUCCESS"


def _staged(up: Up) -> Path | None:
    """Where batches are staged in memory; None on a machine without room for that."""
    link = up.state / "nats" / "jetstream" / "KRONIK" / "streams" / "JOBS" / "batches"
    return link.readlink() if link.is_symlink() else None


def started_as(before: dict[str, Any], home: Path) -> Up:
    """But for a port that a server of another test has taken meanwhile."""
    up = Up(home).start().wait_ready()
    changed = [before[name] for name in before if up.ready[name] != before[name]]
    assert not [url for url in changed if port.is_free(urlsplit(url).port or 0)]
    return up


@pytest.mark.parametrize("name", ["runner", "nats", "postgres"])
def test_a_child_that_dies_is_started_again_and_it_is_said(up: Up, ops: dict[str, str], name: str) -> None:
    died, staged = up.child(name), _staged(up)
    died.kill()
    up.said(f"{name} was killed by SIGKILL; it is started again", within_s=10)
    run = up.finished(trigger_over_nats(ops, "DAILY_MAINTENANCE"), within_s=60)
    assert run["status"] == "SUCCESS"
    assert up.child(name).pid != died.pid
    assert _staged(up) == staged


def test_existing_servers_are_used_where_they_are_named(home: Path, database_url: str) -> None:
    with (
        servers.nats() as server,
        running(home, KRONIK_NATS_URL=server.url, KRONIK_DATABASE_URL=database_url) as up,
    ):
        assert up.ready["natsUrl"] == server.url
        assert up.ready["databaseUrl"] == database_url
        assert {name for name in ("nats", "postgres") if (up.state / "logs" / f"{name}.log").exists()} == set()
        run = up.call("POST", "/api/admin/job-run/trigger", json={"jobType": "DAILY_MAINTENANCE"})
        assert up.finished(run["id"])["status"] == "SUCCESS"


async def test_a_history_of_another_stream_keeps_it_waiting_until_it_is_rebuilt(
    home: Path, nats_url: str, database_url: str, stream: Stream
) -> None:
    run_id = await stream.run()
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE history.checkpoint SET sequence = 1, event_id = 'of another stream'")
    await connection.close()
    up = Up(home, environ={"KRONIK_NATS_URL": nats_url, "KRONIK_DATABASE_URL": database_url}).start()
    try:
        await asyncio.to_thread(up.said, "projector_stopped")
        assert not up.ready_file.exists()
        rebuilt = await asyncio.to_thread(up.kronik, "rebuild", "--json")
        assert (rebuilt.returncode, json.loads(rebuilt.stdout)["runs"]) == (0, 1), rebuilt.stderr
        await asyncio.to_thread(up.wait_ready)
        assert up.call("GET", f"/api/admin/job-run/{run_id}")["status"] == "SUCCESS"
    finally:
        await asyncio.to_thread(up.stop)


def test_a_service_that_can_not_start_ends_it_with_what_the_service_said(home: Path) -> None:
    (home / "unlit.py").write_text("raise ValueError('no lamp')\n")
    up = Up(home, environ={"KRONIK_JOBS": "+unlit", "PYTHONPATH": str(home)}).start()
    up.said("runner does not start")
    assert up.wait() == 1
    said = "".join(up.output).partition("runner does not start")[2]
    assert "KRONIK_JOBS: importing 'unlit' raised ValueError: no lamp" in said
    assert "".join(up.output).count("runner ended with exit code 2") == 1, "no try can change what is set"
