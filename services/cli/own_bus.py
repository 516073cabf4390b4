"""The NATS whose users are Kronik's to make: that of the `kronik up` that runs here, or a cluster by settings."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from kronik import KronikError

from services.cli.nats_config import Passwords
from services.cli.target import NotRunning
from services.infra import settings
from services.stack import bus, ready, state
from services.stack.bus import Bus
from services.stack.credentials import Ports, Secrets


class NotOurs(KronikError):
    """The NATS that is used is not set up by Kronik: its users are its owner's."""


class ClusterSettings(Passwords, frozen=True, kw_only=True):
    """nats_url: the servers; which user stands in it does not matter. nats_accounts: what they include of ours."""

    nats_url: settings.NatsUrl
    nats_accounts: Path


def find() -> Bus:
    """The cluster that the settings name, else the NATS of the `up` that runs here.

    Raises NotRunning, NotOurs, InvalidSettings, StateUnusable.
    """
    if os.environ.get("KRONIK_NATS_ACCOUNTS"):
        return _cluster(settings.read(ClusterSettings))
    directory = ready.state_directory()
    running = ready.find(directory)
    if running is None:
        raise NotRunning(f"no `kronik up` runs on {directory.root}, and KRONIK_NATS_ACCOUNTS is not set")
    secrets, ports = state.read(directory.secrets, Secrets), state.read(directory.ports, Ports)
    if secrets is None or ports is None or urlsplit(running.nats_url).port != ports.nats:
        raise NotOurs("this `kronik up` uses a NATS of your own (KRONIK_NATS_URL): make the user there")
    return bus.embedded(directory, secrets, ports.nats)


def _cluster(config: ClusterSettings) -> Bus:
    parts = [urlsplit(each) for each in config.nats_url.split(",")]
    return Bus(
        servers=",".join(each._replace(netloc=each.netloc.rpartition("@")[2]).geturl() for each in parts),
        passwords=config.of_users(),
        services=bus.services_beside(config.nats_accounts),
        accounts=config.nats_accounts,
    )
