"""The cluster of compose.yaml, as far as it goes without Docker: three nats-servers with the shipped configuration,
the users that `kronik nats-config` writes, streams in three copies, and a run from trigger to result."""

import contextlib
import gc
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nats
import pytest
from kronik import subjects
from nats.aio.client import Client

from services.infra.clock import SystemClock
from services.log import accounts as nats_users
from services.log import connection as nats_connection
from services.log.append import EventLog
from services.stack import nats_server
from services.stack.port import find_free
from tests.processes import runner
from tests.runs import finished, trigger
from tests.servers import NatsServer

SHIPPED = Path(__file__).parents[2] / "deploy" / "nats.conf"
NODES = ("nats-1", "nats-2", "nats-3")
PASSWORDS = {user: f"{user}-secret.1~2" for user in nats_users.USERS}


@dataclass
class Cluster:
    servers: list[NatsServer]
    accounts: Path

    def url(self, user: str) -> str:
        return ",".join(nats_users.url(user, PASSWORDS[user], server.port) for server in self.servers)

    def service(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """`kronik service`, with the settings of compose.yaml."""
        return kronik(
            "service",
            *arguments,
            **passwords(),
            KRONIK_NATS_URL=self.url("operator"),
            KRONIK_NATS_ACCOUNTS=str(self.accounts),
        )


def kronik(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        (sys.executable, "-m", "services.cli", *arguments),
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def passwords() -> dict[str, str]:
    return {f"KRONIK_NATS_{user.upper()}_PASSWORD": password for user, password in PASSWORDS.items()}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    home = tmp_path_factory.mktemp("cluster")
    accounts = home / "accounts"
    accounts.mkdir()
    written = kronik("nats-config", "--output", str(accounts / "accounts.conf"), **passwords())
    assert written.returncode == 0, written.stderr
    with contextlib.ExitStack() as stack:
        servers, routes = [], {node: find_free() for node in NODES}
        for node in NODES:
            server = _node(home / node, node, routes, accounts)
            stack.callback(server.kill)
            servers.append(server)
        for server in servers:
            server.start()
        yield Cluster(servers, accounts / "accounts.conf")


def _node(home: Path, node: str, routes: dict[str, int], accounts: Path) -> NatsServer:
    home.mkdir()
    (home / "accounts").symlink_to(accounts)
    port, text = find_free(avoid=routes.values()), SHIPPED.read_text()
    for shipped, here in (
        ("$NODE", f'"{node}"'),
        ("0.0.0.0:4222", f"127.0.0.1:{port}"),
        ('http: "0.0.0.0:8222"\n', ""),
        ("0.0.0.0:6222", f"127.0.0.1:{routes[node]}"),
        ('"/data"', f'"{home / "data"}"'),
        *((f"{other}:6222", f"127.0.0.1:{routes[other]}") for other in NODES),
    ):
        assert shipped in text, f"deploy/nats.conf has no {shipped}"
        text = text.replace(shipped, here)
    config = home / "nats.conf"
    config.write_text(text)
    return NatsServer(nats_server.command(config), port, home / "nats.log", passwords=PASSWORDS)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # nats-py forgets sockets it gave up
async def test_a_run_on_three_nodes(cluster: Cluster) -> None:
    made = kronik("provision", KRONIK_NATS_URL=cluster.url("provisioner"), KRONIK_REPLICAS="3")
    assert made.returncode == 0, made.stderr
    added = cluster.service("add", "crm", "--queue", "9", "--json")
    assert added.returncode == 0, added.stderr
    crm = json.loads(added.stdout)
    service = await nats.connect(crm["natsUrl"].split(","), user=crm["user"], password=crm["password"])
    connection = await nats_connection.connect(cluster.url("operator"), "test")
    try:
        with runner(cluster.url("runner"), ack_wait_s="5"):
            await _see_a_run(cluster, connection, service)
    finally:
        await nats_connection.close(service)
        await nats_connection.close(connection)
        gc.collect()
    assert json.loads(cluster.service("list", "--json").stdout) == [{"name": "crm", "queue": 9}]


async def _see_a_run(cluster: Cluster, connection: Client, service: Client) -> None:
    log = EventLog(connection, SystemClock(), "/kronik/test")
    stream = (await connection.jetstream().stream_info(subjects.STREAM)).cluster
    assert stream is not None
    assert {stream.leader, *(peer.name for peer in stream.replicas or ())} == set(NODES)
    run = await finished(log, await trigger(service, "NAP", '{"ms": 10}'))
    assert (run.status, run.triggered_by) == ("SUCCESS", "SERVICE:crm")


def test_only_its_owner_reads_what_nats_config_writes(tmp_path: Path) -> None:
    file = tmp_path / "accounts.conf"
    assert kronik("nats-config", "--output", str(file), **passwords()).returncode == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert kronik("nats-config", **passwords()).stdout == file.read_text()


def test_every_password_that_is_missing_or_unfit_is_named_and_none_is_shown() -> None:
    unfit = {**passwords(), "KRONIK_NATS_API_PASSWORD": "p@ss/word", "KRONIK_NATS_SYSTEM_PASSWORD": ""}
    result = kronik("nats-config", **unfit)
    assert result.returncode == 2
    assert "KRONIK_NATS_API_PASSWORD" in result.stderr
    assert "KRONIK_NATS_SYSTEM_PASSWORD is not set" in result.stderr
    assert "p@ss" not in result.stderr
    assert result.stdout == ""
