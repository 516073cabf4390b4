"""A Heynabo whose answers a test writes itself: the sandbox on a real port, in this process."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from kronik import NoParams

from services.dining.heynabo import api
from services.dining.heynabo_import import HeynaboImportResult, heynabo_import
from services.dining.sandbox.app import Options, Sandbox
from services.dining.sandbox.community import Community
from services.dining.sandbox.faults import Fault
from services.dining.sandbox.server import Respond, Server
from tests.run_context import Run
from tests.village import local

NOW = local("2026-11-12 14:30")
EMAIL, PASSWORD = "sandbox@example.org", "sandbox"


def location(location_id: object, address: object = "Skrænten 1", **more: object) -> dict[str, Any]:
    return {"id": location_id, "type": "location", "address": address, **more}


def user(user_id: object, location_id: object, **more: object) -> dict[str, Any]:
    """Somebody with an account."""
    record = {
        "id": user_id,
        "firstName": "Ida",
        "lastName": "Holm",
        "email": f"user{user_id}@example.org",
        "role": "full",
        "locationId": location_id,
    }
    return record | more


def configure(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for name, value in zip(api.SETTINGS, (url, EMAIL, PASSWORD), strict=True):
        monkeypatch.setenv(name, value)


async def sync(run: Run | None = None) -> HeynaboImportResult:
    result: HeynaboImportResult = await heynabo_import(run or Run(now=NOW), NoParams())
    return result


def tally(result: HeynaboImportResult) -> dict[str, int]:
    """The counts that are not zero and say that something changed."""
    counts: dict[str, int] = msgspec.to_builtins(result)
    return {name: count for name, count in counts.items() if count and not name.endswith("Unchanged")}


class Heynabo:
    """What it will answer: change the lists, or the fault, between two imports."""

    def __init__(self) -> None:
        self.locations: list[Any] = []
        self.users: list[Any] = []
        self.sandbox = Sandbox(
            Options(
                community=Community(self.locations, self.users),
                email=EMAIL,
                password=PASSWORD,
                fault=Fault("none"),
                slow_s=0.2,
            )
        )
        self.url = ""

    def fail(self, fault: Fault) -> None:
        self.sandbox.switch.fault = fault

    def tell(self, locations: list[Any], users: list[Any]) -> None:
        self.locations[:], self.users[:] = locations, users


@contextmanager
def serving(respond: Respond) -> Iterator[str]:
    """The address of the sandbox's own server, which answers with this."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(listener, respond)
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.shutdown()
            serving.join()
