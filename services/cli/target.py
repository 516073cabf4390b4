"""What the commands talk to: the `kronik up` of the state directory, or what the environment names."""

import os
from collections.abc import Mapping
from typing import Annotated

from kronik import KronikError
from msgspec import Meta, Struct

from services.infra import settings
from services.infra.settings import DatabaseUrl, NatsUrl
from services.log import accounts
from services.stack import port, postgres_server, ready, state
from services.stack.credentials import Ports, Secrets

_HOST = r"([A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?|\[[0-9A-Fa-f:.]+\])"
ApiUrl = Annotated[
    str,
    Meta(
        pattern=rf"^https?://([!-.0-?A-~]+@)?{_HOST}(:[0-9]{{1,5}})?(/[!-~]*)?\Z",
        description="expected an address like http://127.0.0.1:8080",
    ),
]
Token = Annotated[str, Meta(pattern=r"^[!-~]+\Z", description="expected visible ASCII characters")]


class Environment(Struct, frozen=True, kw_only=True):
    """What is set for the commands."""

    url: ApiUrl | None = None
    token: Token | None = None
    nats_url: NatsUrl | None = None
    database_url: DatabaseUrl | None = None


class NotRunning(KronikError):
    """There is nothing to talk to: no `up` runs here and the environment names no address."""


class Target(Struct, frozen=True, kw_only=True):
    """Addresses, None where not known. place: where a running `up` was looked for."""

    place: str
    url: str | None = None
    token: str | None = None
    nats_url: str | None = None
    database_url: str | None = None

    def api(self) -> tuple[str, str]:
        """Address and token of the API. Raises NotRunning."""
        return self.address(), self._need(self.token, "KRONIK_TOKEN")

    def address(self) -> str:
        """Of the API. Raises NotRunning."""
        return self._need(self.url, "KRONIK_URL")

    def nats(self) -> str:
        """Raises NotRunning."""
        return self._need(self.nats_url, "KRONIK_NATS_URL")

    def database(self) -> str:
        """Raises NotRunning."""
        return self._need(self.database_url, "KRONIK_DATABASE_URL")

    def _need(self, value: str | None, setting: str) -> str:
        if value is None:
            from services.infra import misspelt

            typed = "".join(f", but {one.name} is" for one in misspelt.unread() if one.meant == setting)
            raise NotRunning(f"no `kronik up` runs on {self.place}, and {setting} is not set{typed}")
        return value


def find_starting(environ: Mapping[str, str] = os.environ) -> Target:
    """As `find`; where an `up` is not ready, what its state directory keeps: it may wait for the history."""
    found, directory = find(environ), ready.state_directory(environ)
    if found.database_url is not None and found.nats_url is not None:
        return found
    secrets, ports = state.read(directory.secrets, Secrets), state.read(directory.ports, Ports)
    if secrets is None or ports is None or accounts.OPERATOR not in secrets.nats:
        return found
    nats_url = accounts.url(accounts.OPERATOR, secrets.nats[accounts.OPERATOR], ports.nats)
    return Target(
        place=found.place,
        url=found.url or f"http://{port.LOOPBACK}:{ports.api}",
        token=found.token or secrets.token,
        nats_url=found.nats_url or nats_url,
        database_url=found.database_url or postgres_server.url(ports.postgres, password=secrets.postgres),
    )


def find(environ: Mapping[str, str] = os.environ) -> Target:
    """What is set in the environment goes first, then the running `up`. Raises InvalidSettings."""
    given = settings.read(Environment, environ)
    directory = ready.state_directory(environ)
    running = ready.find(directory)
    return Target(
        place=str(directory.root),
        url=given.url or (running.url if running else None),
        token=given.token or (running.token if running else None),
        nats_url=given.nats_url or (running.nats_url if running else None),
        database_url=given.database_url or (running.database_url if running else None),
    )
