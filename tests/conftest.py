"""Fixtures that any test can ask for: a server of its own on NATS, a database of its own on Postgres, an event log.

Sync ones can be used by sync and async tests alike. Nothing is started for a test that does not ask.
"""

import os
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from nats.aio.client import Client

from services.infra.clock import SystemClock
from services.log import connection as nats_connection
from services.log.append import EventLog
from services.log.provision import provision
from tests import servers

for _name in [name for name in os.environ if name.startswith("KRONIK_")]:
    # What somebody's shell is set to must not reach the services under test; what CI demands stays.
    if not _name.startswith(("KRONIK_REQUIRE_", "KRONIK_CHROMIUM")):
        del os.environ[_name]

# How slow a machine is says nothing about the code; and what is checked for a commit is the same everywhere.
hypothesis_settings.register_profile(
    "kronik", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("kronik")


@pytest.fixture
def nats_server() -> Iterator[servers.NatsServer]:
    """A nats-server of this test's own, to kill, freeze and start again; everybody may do everything on it."""
    with servers.nats() as server:
        yield server


@pytest.fixture
def nats_url(nats_server: servers.NatsServer) -> str:
    """The address of this test's nats-server, with no stream on it yet: see event_log, or provision it."""
    return nats_server.url


@pytest.fixture
def nats_with_users() -> Iterator[servers.NatsServer]:
    """A nats-server with the users and permissions that we ship: `nats_with_users.user("runner")` is an address."""
    with servers.nats(users=True) as server:
        yield server


@pytest.fixture(scope="session")
def postgres() -> Iterator[servers.PostgresServer]:
    """The session's Postgres. Tests that kill it need one of their own: `with servers.postgres() as own`."""
    with servers.postgres() as server:
        yield server


@pytest.fixture
def database_url(postgres: servers.PostgresServer) -> Iterator[str]:
    """The address of a database of this test's own, with all migrations applied."""
    url = postgres.create_database()
    yield url
    postgres.drop_database(url)


@pytest.fixture
async def nats_client(nats_url: str) -> AsyncIterator[Client]:
    """A connection to this test's nats-server, on which the streams have been made."""
    connection = await nats_connection.connect(nats_url, "test")
    await provision(connection, replicas=1)
    yield connection
    await nats_connection.close(connection)


@pytest.fixture
def event_log(nats_client: Client) -> EventLog:
    """The log on this test's nats-server, ready to append to."""
    return EventLog(nats_client, SystemClock(), "/kronik/test")
