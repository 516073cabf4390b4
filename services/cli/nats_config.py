"""`kronik nats-config`: Kronik's users and their permissions, for the configuration of NATS servers, and with what the
nodes of a cluster know each other."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from msgspec import Meta, Struct

from services.cli import terminal
from services.infra import settings
from services.infra.clock import SystemClock
from services.log import accounts as nats_users
from services.stack import bus, certificates, nats_server, state
from services.stack.certificates import Certificates

Password = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._~-]+$")]
"""What stands in an address (nats://user:password@host) and in a server's configuration as it is."""


class Passwords(Struct, frozen=True, kw_only=True):
    """One for each of log.accounts.USERS."""

    nats_provisioner_password: Password
    nats_api_password: Password
    nats_scheduler_password: Password
    nats_runner_password: Password
    nats_operator_password: Password
    nats_archivist_password: Password
    nats_administrator_password: Password
    nats_system_password: Password

    def of_users(self) -> dict[str, str]:
        return {user: getattr(self, f"nats_{user}_password") for user in nats_users.USERS}


CERTIFICATE_FILES = {
    "authority": "routes-ca.pem",
    "authority_key": "routes-ca-key.pem",
    "nodes": "routes-cert.pem",
    "nodes_key": "routes-key.pem",
}


class NatsConfigSettings(Passwords, frozen=True, kw_only=True):
    """nats_route_password: of the nodes among themselves."""

    nats_route_password: Password


def nats_config_command(
    *,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
    nodes: str = "nats-1,nats-2,nats-3",
    json: terminal.AsJson = False,
) -> int:
    """Write what NATS servers include: Kronik's users, other services, what each may do, and the nodes' routes.

    Passwords are taken from KRONIK_NATS_<USER>_PASSWORD; users: provisioner, api, scheduler, runner, operator,
    archivist, administrator, system, and route for the nodes among themselves. Other
    services are those of `kronik service`, whose file stands beside the output.

    Parameters
    ----------
    output
        The file for the accounts, readable by its owner alone; without it the accounts go to stdout. Beside it stand
        `routes.conf` and the certificates of the cluster's nodes: those there are, as long as they hold.
    nodes
        The cluster's nodes, with commas, each as host or host:port.
    """
    config = settings.read(NatsConfigSettings)
    passwords = config.of_users()
    services = {} if output is None else state.read(bus.services_beside(output), dict[str, nats_users.Service]) or {}
    text = nats_users.accounts(passwords, services)
    if output is None:
        if json:
            terminal.print_json({"accounts": text})
        else:
            terminal.print_line(text.rstrip())
    else:
        bus.write_private(output, text)
        names = nodes.split(",")
        routes = nats_server.routes(config.nats_route_password, names)
        bus.write_private(output.with_name("routes.conf"), routes)
        ends = _certify(output.parent, [name.rpartition(":")[0] or name for name in names])
        if json:
            terminal.print_json({"output": str(output), "certificateEnds": ends})
    return 0


def _certify(directory: Path, hosts: Sequence[str]) -> datetime:
    """Until when it holds, which is said as well. Raises StateUnusable, CertificateUnusable."""
    files = {part: directory / name for part, name in CERTIFICATE_FILES.items()}
    found = {part: file.read_bytes() for part, file in files.items() if file.exists()}
    kept = Certificates(**{"authority_key": b"", **found}) if found.keys() >= {*files} - {"authority_key"} else None
    made = certificates.make(hosts, SystemClock().now(), kept)
    if made != kept:
        for part, file in files.items():
            bus.write_private(file, getattr(made, part).decode())
    new = "as it was" if made == kept else "new: restart the nodes one at a time"
    ends = certificates.ends(made.nodes)
    terminal.say(f"The nodes' certificate is {new}. It ends on {ends:%Y-%m-%d}")
    return ends
