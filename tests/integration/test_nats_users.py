"""What each of the shipped NATS users may not do, as the server itself says it: in the error callback.

A denied publish is silent for the publisher, and a denied request looks like a timeout.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats
import pytest
from nats.aio.client import Client

from services.infra.clock import SystemClock
from services.log import connection as nats_connection
from services.log.accounts import API, OPERATOR, PROVISIONER, RUNNER, SCHEDULER, SYSTEM
from services.log.append import EventLog
from services.log.event_reader import open_reader
from services.log.provision import provision
from tests import servers


@pytest.fixture
async def server(nats_with_users: servers.NatsServer) -> AsyncIterator[servers.NatsServer]:
    connection = await nats_connection.connect(nats_with_users.user(PROVISIONER), "test")
    await provision(connection, replicas=1)
    yield nats_with_users
    await nats_connection.close(connection)


FORBIDDEN = "nobody.may.publish.this"


class User:
    """A connection that keeps what the server refuses, in its order."""

    def __init__(self) -> None:
        self.refusals: asyncio.Queue[str] = asyncio.Queue()
        self.connection = Client()

    async def connect(self, url: str) -> None:
        async def refused(error: Exception) -> None:
            self.refusals.put_nowait(str(error))

        await self.connection.connect(**{**nats_connection.options(url, "test"), "error_cb": refused})

    async def may_publish(self, subject: str) -> bool:
        await self.connection.publish(subject, b"{}")
        return not await self.refused_since()

    async def may_subscribe(self, subject: str) -> bool:
        subscription = await self.connection.subscribe(subject)
        refused = await self.refused_since()
        await subscription.unsubscribe()
        return not refused

    async def refused_since(self) -> list[str]:
        """What was refused since the last look. That nothing more comes shows in the refusal of FORBIDDEN."""
        await self.connection.publish(FORBIDDEN, b"")
        refused = []
        while FORBIDDEN not in (text := await self.refusals.get()):
            assert "permissions violation" in text.lower()
            refused.append(text)
        return refused


@asynccontextmanager
async def connected(server: servers.NatsServer, name: str) -> AsyncIterator[User]:
    user = User()
    await user.connect(server.user(name))
    try:
        yield user
    finally:
        await user.connection.close()


TRIGGERS = {"cron": SCHEDULER, "admin": API, "dining-app": OPERATOR}
RUN_EVENTS = {
    "started": {RUNNER},
    "retrying": {RUNNER},
    "completed": {RUNNER},
    "abandoned": {RUNNER, SCHEDULER},
    "failed": {RUNNER, SCHEDULER},
    "cancelled": {RUNNER, SCHEDULER},
    "cancel_requested": {API},
}
OTHERS = {
    "jobs.definition.A": RUNNER,
    "jobs.schedule.A": API,
    "jobs.slot.A.missed": SCHEDULER,
    "joblog.A.1": RUNNER,
}
EVERYBODY = (PROVISIONER, API, SCHEDULER, RUNNER, OPERATOR)


@pytest.mark.parametrize("name", EVERYBODY)
async def test_only_its_writer_can_publish_an_event(server: servers.NatsServer, name: str) -> None:
    writers = {f"jobs.trigger.A.{origin}": {writer} for origin, writer in TRIGGERS.items()}
    writers |= {f"jobs.run.A.1.{event}": who for event, who in RUN_EVENTS.items()}
    writers |= {subject: {writer} for subject, writer in OTHERS.items()}
    async with connected(server, name) as user:
        allowed = {subject for subject in writers if await user.may_publish(subject)}
    assert allowed == {subject for subject, who in writers.items() if name in who}


@pytest.mark.parametrize("name", [API, SCHEDULER, RUNNER, OPERATOR])
@pytest.mark.parametrize(
    "call", ["STREAM.DELETE", "STREAM.PURGE", "STREAM.UPDATE", "STREAM.CREATE", "STREAM.MSG.DELETE"]
)
async def test_nobody_but_the_provisioner_changes_a_stream(server: servers.NatsServer, name: str, call: str) -> None:
    async with connected(server, name) as user:
        assert not await user.may_publish(f"$JS.API.{call}.JOBS")


@pytest.mark.parametrize("name", [API, SCHEDULER, RUNNER])
async def test_a_service_hears_no_others_answers(server: servers.NatsServer, name: str) -> None:
    async with connected(server, name) as user:
        assert not await user.may_subscribe("_INBOX.>")
        assert not await user.may_subscribe("_INBOX_operator.>")
        assert await user.may_subscribe(f"_INBOX_{name}.x")


@pytest.mark.parametrize("name", [API, SCHEDULER, RUNNER, OPERATOR])
async def test_every_reader_can_read_back_and_follow_the_stream(server: servers.NatsServer, name: str) -> None:
    async with connected(server, OPERATOR) as operator, connected(server, name) as user:
        await operator.connection.jetstream().publish("jobs.trigger.A.ops", b"{}")
        log = EventLog(user.connection, SystemClock(), "/kronik/test")
        last = await log.last("jobs.>")
        assert last is not None
        assert last.sequence == 1
        assert [event.sequence for event in await log.read("jobs.trigger.A.*")] == [1]
        async with open_reader(user.connection, name=f"test-{name}") as reader:
            assert [stored.sequence for stored in await reader.next_batch()] == [1]
        assert await user.refused_since() == []


async def test_a_plain_nats_client_with_the_operators_credentials_works(server: servers.NatsServer) -> None:
    """The NATS CLI and other services use the standard inbox."""
    connection = await nats.connect(server.user(OPERATOR))
    ack = await connection.jetstream().publish("jobs.trigger.A.ops", b"{}")
    assert (ack.stream, ack.seq) == ("JOBS", 1)
    assert (await connection.jetstream().stream_info("JOBS")).state.messages == 1
    await connection.close()


def test_without_credentials_nobody_gets_in(nats_with_users: servers.NatsServer) -> None:
    with socket.create_connection(("127.0.0.1", nats_with_users.port), timeout=5) as connection:
        connection.sendall(b'CONNECT {"verbose":false}\r\nPING\r\n')
        answers = b"".join(iter(lambda: connection.recv(4096), b""))
    assert b"Authorization Violation" in answers
    assert b"PONG" not in answers


async def test_the_system_user_sees_the_server(server: servers.NatsServer) -> None:
    connection = await nats.connect(server.user(SYSTEM))
    answer = json.loads((await connection.request("$SYS.REQ.SERVER.PING", b"", timeout=2)).data)
    assert answer["server"]["name"] == "kronik"
    await connection.close()
