"""Our own services as commands: which process gets which addresses."""

import sys
from collections.abc import Callable, Mapping

from msgspec import Struct

from services.log.accounts import API, RUNNER, SCHEDULER
from services.stack.port import LOOPBACK
from services.stack.process import Command

SERVICES = ("api", "scheduler", "runner")
SANDBOX = "sandbox"
_SANDBOX_LOGIN = {"KRONIK_HEYNABO_USERNAME": "sandbox@example.org", "KRONIK_HEYNABO_PASSWORD": "sandbox"}


class Addresses(Struct, frozen=True, kw_only=True):
    """nats_url: gives the address for a user's name. heynabo_url: of the sandbox, None where a real one is set."""

    nats_url: Callable[[str], str]
    database_url: str
    api_port: int
    heynabo_url: str | None

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.api_port}"


def services(addresses: Addresses, environ: Mapping[str, str]) -> tuple[Command, ...]:
    """API, scheduler and runner. What the environment sets otherwise (KRONIK_JOBS, ...) reaches them as it is."""
    shared = {
        "KRONIK_DATABASE_URL": addresses.database_url,
        "KRONIK_LOG_FORMAT": environ.get("KRONIK_LOG_FORMAT", "json"),
        "PYTHONUNBUFFERED": "1",
    }
    api = {"KRONIK_PORT": str(addresses.api_port), "KRONIK_HOST": LOOPBACK}
    heynabo = {} if addresses.heynabo_url is None else {"KRONIK_HEYNABO_URL": addresses.heynabo_url, **_SANDBOX_LOGIN}
    return (
        _service("api", {**shared, **api, "KRONIK_NATS_URL": addresses.nats_url(API)}),
        _service("scheduler", {**shared, "KRONIK_NATS_URL": addresses.nats_url(SCHEDULER)}),
        _service("runner", {**shared, **heynabo, "KRONIK_NATS_URL": addresses.nats_url(RUNNER)}),
    )


def _service(name: str, env: dict[str, str]) -> Command:
    # -P: a directory called `services` where the user happens to stand must not be taken for ours.
    return Command(name=name, argv=(sys.executable, "-P", "-m", "services.cli.service", name), env=env)


def sandbox(port: int) -> Command:
    argv = (sys.executable, "-P", "-m", "services.dining.sandbox", "--port", str(port))
    return Command(name=SANDBOX, argv=argv)
