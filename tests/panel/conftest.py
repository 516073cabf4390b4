"""A real browser on the real API. Servers, API and browser are started once a session and emptied for each test."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from services.infra.clock import SystemClock
from services.log import connection as nats_connection
from services.log.append import EventLog
from services.log.provision import provision
from tests import servers
from tests.panel.house import House, house
from tests.panel.panel import Panel, Stage, served

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In the event loop of what is shared."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


def found_chromium() -> str | None:
    """Where the browser is: KRONIK_CHROMIUM, else Debian's."""
    names = (os.environ.get("KRONIK_CHROMIUM"), "/usr/bin/chromium", "chromium", "google-chrome")
    return next((path for name in names if name and (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Without one the test is skipped, or, with KRONIK_REQUIRE_BROWSER=1, fails."""
    if found := found_chromium():
        return found
    missing = "no browser: install chromium, or name one in KRONIK_CHROMIUM"
    if os.environ.get("KRONIK_REQUIRE_BROWSER") == "1":
        pytest.fail(missing)
    pytest.skip(missing)


whole_session = pytest_asyncio.fixture(scope="session", loop_scope="session")
each_test = pytest_asyncio.fixture(loop_scope="session")


@whole_session
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        yield await playwright.chromium.launch(executable_path=chromium, args=FLAGS)


@whole_session
async def home(
    postgres: servers.PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[House, EventLog]]:
    """The session's own; with the log on its nats-server."""
    with servers.nats() as nats:
        connection = await nats_connection.connect(nats.url, "test")
        await provision(connection, replicas=1)
        with house(nats, postgres.create_database(), tmp_path_factory.mktemp("house")) as found:
            yield found, EventLog(connection, SystemClock(), "/kronik/test")
        await nats_connection.close(connection)


@whole_session
async def signed_in(browser: Browser, home: tuple[House, EventLog]) -> Any:
    """What a browser keeps of an admin who has signed in."""
    place = home[0]
    async with await browser.new_context(base_url=place.address, locale="da-DK") as context:
        panel = Panel(await context.new_page(), place.address, place.database_url)
        await panel.sign_in("admin")
        return await context.storage_state()


@each_test
async def emptied(home: tuple[House, EventLog]) -> House:
    """Where nothing has happened yet."""
    place, log = home
    await place.empty(log)
    return place


@pytest.fixture
def address(emptied: House) -> str:
    return emptied.address


@pytest.fixture
def event_log(home: tuple[House, EventLog]) -> EventLog:
    return home[1]


@each_test
async def stage(event_log: EventLog, emptied: House) -> AsyncIterator[Stage]:
    """Makes jobs and runs by appending their events, while a runner is there for the jobs."""
    made = Stage(event_log)
    async with served(made):
        yield made


@each_test
async def panel(browser: Browser, emptied: House, signed_in: Any) -> AsyncIterator[Panel]:
    """A page, signed in as an admin, in Danish. Fails at the end if the browser complained of anything."""
    size: Any = {"width": 1100, "height": 800}
    kept: Any = {"base_url": emptied.address, "storage_state": signed_in}
    async with await browser.new_context(locale="da-DK", viewport=size, **kept) as context:
        panel = Panel(await context.new_page(), emptied.address, emptied.database_url)
        await panel.open()
        yield panel
        assert panel.complaints == []
