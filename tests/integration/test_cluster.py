"""The cluster of compose.yaml, as far as it goes without Docker: three nats-servers with the shipped configuration,
the users that `kronik nats-config` writes, streams in three copies, and a run from trigger to result."""

import asyncio
import gc
import json
import stat
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import nats
import pytest
from kronik import subjects
from msgspec.structs import replace
from nats.aio.client import Client

from services.infra.clock import SystemClock
from services.log import connection as nats_connection
from services.log.append import EventLog
from services.stack import certificates
from services.stack.certificates import Certificates
from services.stack.port import find_free
from tests import servers, shipped
from tests.processes import runner, service
from tests.runs import finished, trigger
from tests.shipped import NODES, PASSWORDS, Cluster, kronik, passwords
from tests.strangers import HEADERS, ORDERS, stranger


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with shipped.cluster() as made:
        yield made


def _tls(files: Certificates | None, home: Path) -> str:
    if files is None:
        return ""
    for name in ("authority", "nodes", "nodes_key"):
        (home / name).write_bytes(getattr(files, name))
    return f"tls {{ ca_file: '{home}/authority', cert_file: '{home}/nodes', key_file: '{home}/nodes_key', timeout: 5 }}"


def _stolen(cluster: Cluster) -> Certificates:
    beside = cluster.accounts.parent
    authority, nodes, key = ((beside / f"routes-{name}.pem").read_bytes() for name in ("ca", "cert", "key"))
    return Certificates(authority, b"", nodes, key)


@pytest.mark.parametrize("has", ["nothing", "the certificate alone", "the password alone", "one of its own making"])
def test_a_server_joins_with_password_and_certificate_alone(cluster: Cluster, tmp_path: Path, has: str) -> None:
    """As a stranger would: with the addresses, and accounts of its own making."""
    who, refused, files = {
        "nothing": ("", "TLS route handshake error", None),
        "the certificate alone": ("route:guess@", "authentication error", _stolen(cluster)),
        "the password alone": (f"route:{PASSWORDS['route']}@", "TLS route handshake error", None),
        "one of its own making": (
            f"route:{PASSWORDS['route']}@",
            "TLS route handshake error",
            replace(certificates.make(["127.0.0.1"], datetime.now(UTC)), authority=_stolen(cluster).authority),
        ),
    }[has]
    with servers.nats() as stranger:
        config = Path(stranger.command.argv[-1])
        routes = [f"nats://{who}127.0.0.1:{port}" for port in cluster.routes.values()]
        joined = config.read_text().replace("server_name: kronik", "server_name: stranger") + (
            f'cluster {{ name: kronik, listen: "127.0.0.1:{find_free()}", routes: {json.dumps(routes)}\n'
            f"{_tls(files, tmp_path)} }}\n{cluster.accounts.read_text()}"
        )
        stranger.stop()
        config.write_text(joined)
        before = cluster.servers[0].log.read_text().count(refused)
        stranger.start()
        _until(lambda: cluster.servers[0].log.read_text().count(refused) > before)
        assert asyncio.run(_joined(cluster)) == set(NODES)


def test_a_node_takes_clients_and_its_like_alone(cluster: Cluster) -> None:
    """Its monitoring aside, which `shipped` leaves out and which is on loopback."""
    for server, node in zip(cluster.servers, NODES, strict=True):
        assert server.listens() == {("127.0.0.1", server.port), ("127.0.0.1", cluster.routes[node])}
    assert 'http: "127.0.0.1:8222"' in shipped.CONFIG.read_text()


def test_a_node_with_a_renewed_certificate_is_known_to_those_with_the_old(cluster: Cluster) -> None:
    before, nodes = _stolen(cluster).nodes, ",".join(f"127.0.0.1:{port}" for port in cluster.routes.values())
    done = kronik("nats-config", "--output", str(cluster.accounts), "--nodes", f"{nodes},127.0.0.9", **passwords())
    assert "is new: restart the nodes one at a time" in done.stderr
    assert _stolen(cluster).nodes != before
    cluster.servers[0].stop()
    cluster.servers[0].start()
    _until(lambda: asyncio.run(_joined(cluster)) == set(NODES))


async def _joined(cluster: Cluster) -> set[str]:
    """The servers that answer a request to all of them."""
    system = await nats.connect(cluster.url("system").split(",")[0])
    try:
        answers = await system.subscribe(inbox := system.new_inbox())
        await system.publish("$SYS.REQ.SERVER.PING", reply=inbox)
        names: set[str] = set()
        while True:
            try:
                names.add(json.loads((await answers.next_msg(timeout=1)).data)["server"]["name"])
            except nats.errors.TimeoutError:
                return names
    finally:
        await system.close()


def _until(true: Callable[[], bool], within_s: float = 30) -> None:
    give_up = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < give_up, "it did not come to that"
        time.sleep(0.05)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # nats-py forgets sockets it gave up
async def test_a_run_on_three_nodes(cluster: Cluster) -> None:
    cluster.provision()
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
    assert json.loads(cluster.service("list", "--json").stdout) == [{"name": "crm", "queue": 9, "runs": []}]


async def _see_a_run(cluster: Cluster, connection: Client, service: Client) -> None:
    log = EventLog(connection, SystemClock(), "/kronik/test")
    stream = (await connection.jetstream().stream_info(subjects.STREAM)).cluster
    assert stream is not None
    assert {stream.leader, *(peer.name for peer in stream.replicas or ())} == set(NODES)
    run = await finished(log, await trigger(service, "NAP", '{"ms": 10}'))
    assert (run.status, run.triggered_by) == ("SUCCESS", "SERVICE:crm")


LOST_FOR_S = 8
MOST_LINES = 60
"""By a process, until each has said something: what it tries again and again is said ten times in ten seconds."""


@pytest.mark.slow
def test_a_lost_quorum_is_said_and_not_screamed(cluster: Cluster, database_url: str, tmp_path: Path) -> None:
    """Version 0.1 wrote 6,200 lines per runner and minute."""
    cluster.provision()
    port_file = str(tmp_path / "port")
    with (
        runner(cluster.url("runner")) as working,
        service("scheduler", nats_url=cluster.url("scheduler")) as scheduler,
        service(
            "api",
            ready="projecting",
            nats_url=cluster.url("api"),
            database_url=database_url,
            port="0",
            api_port_file=port_file,
        ) as api,
    ):
        processes = (working, scheduler, api)
        before = [len(process.log.read_text().splitlines()) for process in processes]
        for server in cluster.servers[1:]:
            server.kill()
        time.sleep(LOST_FOR_S)
        for process, then in zip(processes, before, strict=True):
            process.wait_for_lines(then + 1)
        said = [len(process.log.read_text().splitlines()) for process in processes]
        for server in cluster.servers[1:]:
            server.start()
        assert all(0 < now - then <= MOST_LINES for now, then in zip(said, before, strict=True)), (before, said)
        assert all(process.running for process in processes)


async def test_no_header_of_a_stranger_stops_a_stream_of_three_copies(cluster: Cluster) -> None:
    """But one, which nats-server 2.15.1 has no answer to: tests/faults/test_cluster_faults.py."""
    await asyncio.to_thread(cluster.provision)
    async with stranger(cluster.servers[0].port, "administrator", PASSWORDS["administrator"]) as by:
        for header in (*HEADERS, *ORDERS):
            for body in (b"", b"{}"):
                await by.store(b"jobs.trigger.X.crm", header, body)
        assert await by.store(b"jobs.trigger.X.crm", None, b"{}")


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
