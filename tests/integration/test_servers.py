"""The servers that the tests run on keep what they promise."""

import subprocess
import sys

import asyncpg
import psutil
from kronik.events import Triggered

from services.log import connection as nats_connection
from services.log.append import Appended, EventLog
from tests import servers


async def test_each_test_has_a_migrated_database_of_its_own(
    postgres: servers.PostgresServer, database_url: str
) -> None:
    other = postgres.create_database()
    connection = await asyncpg.connect(database_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM schema_migrations") > 0
        assert other != database_url
    finally:
        await connection.close()
        postgres.drop_database(other)


async def test_an_acknowledged_event_survives_kill_9_of_the_server(
    nats_server: servers.NatsServer, event_log: EventLog
) -> None:
    appended = await event_log.append("jobs.trigger.A.ops", Triggered(), id="1")
    nats_server.kill()
    nats_server.start()
    anew = await nats_connection.connect(nats_server.url, "test")
    event = await EventLog(anew, event_log.clock, event_log.source).last("jobs.>")
    await nats_connection.close(anew)
    assert isinstance(appended, Appended)
    assert event is not None
    assert event.sequence == appended.sequence


def test_a_server_takes_clients_alone(nats_with_users: servers.NatsServer) -> None:
    """No leaf nodes, gateways, MQTT, websockets or monitoring, by which somebody could come past the accounts."""
    assert nats_with_users.listens() == {("127.0.0.1", nats_with_users.port)}


_HOLD_A_SERVER = """
import time
from tests import servers
with servers.nats() as server:
    print(server.process.pid, flush=True)
    time.sleep(60)
"""


def test_a_server_does_not_outlive_a_killed_pytest() -> None:
    holder = subprocess.Popen([sys.executable, "-c", _HOLD_A_SERVER], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    server = psutil.Process(int(holder.stdout.readline()))
    holder.kill()
    holder.wait()
    holder.stdout.close()
    psutil.wait_procs([server], timeout=5)
    assert not server.is_running()
