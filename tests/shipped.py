"""The cluster of compose.yaml without Docker: three nats-servers with deploy/nats.conf itself and the users that
`kronik nats-config` makes, each on ports and data of its own."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from services.log import accounts
from services.stack import nats_server
from services.stack.port import find_free
from tests.processes import KRONIK
from tests.servers import NatsServer

CONFIG = Path(__file__).parents[1] / "deploy" / "nats.conf"
NODES = ("nats-1", "nats-2", "nats-3")
PASSWORDS = {user: f"{user}-secret.1~2" for user in (*accounts.USERS, "route")}


def kronik(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        (KRONIK, *arguments),
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def passwords() -> dict[str, str]:
    return {f"KRONIK_NATS_{user.upper()}_PASSWORD": password for user, password in PASSWORDS.items()}


@dataclass
class Cluster:
    """accounts: the file that its servers include."""

    servers: list[NatsServer]
    accounts: Path
    routes: dict[str, int]

    def url(self, user: str, password: str | None = None) -> str:
        secret = password or PASSWORDS[user]
        return ",".join(accounts.url(user, secret, server.port) for server in self.servers)

    def service(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """`kronik service`, with the settings of compose.yaml."""
        return kronik(
            "service",
            *arguments,
            **passwords(),
            KRONIK_NATS_URL=self.url("operator"),
            KRONIK_NATS_ACCOUNTS=str(self.accounts),
        )

    def provision(self) -> None:
        made = kronik("provision", KRONIK_NATS_URL=self.url("provisioner"), KRONIK_REPLICAS="3")
        assert made.returncode == 0, made.stderr


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """Running, with nothing on it yet."""
    with tempfile.TemporaryDirectory(prefix="kronik-test-cluster-") as directory, contextlib.ExitStack() as stack:
        home, routes = Path(directory), {node: find_free() for node in NODES}
        written = home / "accounts" / "accounts.conf"
        written.parent.mkdir()
        nodes = ",".join(f"127.0.0.1:{port}" for port in routes.values())
        done = kronik("nats-config", "--output", str(written), "--nodes", nodes, **passwords())
        assert done.returncode == 0, done.stderr
        servers = []
        for node in NODES:
            servers.append(server(home, node, routes[node]))
            stack.callback(servers[-1].kill)
        for each in servers:
            each.start()
        yield Cluster(servers, written, routes)


def server(home: Path, node: str, route_port: int) -> NatsServer:
    """One node, not started: deploy/nats.conf, but for what is one container's own."""
    (home / node).mkdir()
    (home / node / "accounts").symlink_to(home / "accounts")
    port, text = find_free(avoid=[route_port]), CONFIG.read_text()
    for shipped, here in (
        ("$NODE", f'"{node}"'),
        ("0.0.0.0:4222", f"127.0.0.1:{port}"),
        ('http: "127.0.0.1:8222"\n', ""),
        ("0.0.0.0:6222", f"127.0.0.1:{route_port}"),
        ('"/data"', f'"{home / node / "data"}"'),
        ("/etc/kronik/accounts", str(home / "accounts")),
    ):
        assert shipped in text, f"deploy/nats.conf has no {shipped}"
        text = text.replace(shipped, here)
    config = home / node / "nats.conf"
    config.write_text(text)
    return NatsServer(nats_server.command(config), port, home / node / "nats.log", passwords=PASSWORDS)
