"""A real browser on the real API, with a nats-server and a database of the test's own."""

import json
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from nats.aio.client import Client
from playwright.async_api import Browser, async_playwright

from services.log.append import EventLog
from tests import processes
from tests.panel.panel import Clock, Panel, Stage, served

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


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where the browser is: KRONIK_CHROMIUM, else Debian's.

    Without one the test is skipped, or, with KRONIK_REQUIRE_BROWSER=1, fails.
    """
    names = (os.environ.get("KRONIK_CHROMIUM"), "/usr/bin/chromium", "chromium", "google-chrome")
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found:
        return found
    missing = "no browser: install chromium, or name one in KRONIK_CHROMIUM"
    if os.environ.get("KRONIK_REQUIRE_BROWSER") == "1":
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        yield await playwright.chromium.launch(executable_path=chromium, args=FLAGS)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    """The API's, to move."""
    return Clock(tmp_path / "clock")


@pytest.fixture
def address(nats_url: str, nats_client: Client, database_url: str, clock: Clock) -> Iterator[str]:
    """Where a running API answers."""
    settings = {"nats_url": nats_url, "database_url": database_url, "port": "0", "clock_file": str(clock.file)}
    with processes.service("api", **settings) as api:
        lines = [json.loads(line) for line in api.log.read_text().splitlines() if "api_ready" in line]
        yield lines[0]["url"]


@pytest.fixture
async def stage(event_log: EventLog, address: str) -> AsyncIterator[Stage]:
    """Makes jobs and runs by appending their events, while a runner is there for the jobs."""
    made = Stage(event_log)
    async with served(made):
        yield made


@pytest.fixture
async def panel(browser: Browser, address: str, database_url: str) -> AsyncIterator[Panel]:
    """A page, signed in as an admin, in Danish. Fails at the end if the browser complained of anything."""
    context = await browser.new_context(base_url=address, locale="da-DK", viewport={"width": 1100, "height": 800})
    panel = Panel(await context.new_page(), address, database_url)
    await panel.sign_in("admin")
    yield panel
    assert panel.complaints == []
