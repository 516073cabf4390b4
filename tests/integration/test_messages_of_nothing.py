"""An empty body is a complete trigger, and must not hide what comes behind it.

Across accounts nats-server takes a message of nothing at all for the end of an answer, and drops the rest of it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from nats.aio.client import Client

from services.api.history.replay import open_source
from services.infra.lifecycle import end
from services.log import connection as nats_connection
from services.log.provision import provision
from services.log.stored import Stored
from services.log.subscription import Subscription
from tests import servers
from tests.processes import runner


@pytest.fixture
async def crm(nats_with_users: servers.NatsServer) -> AsyncIterator[Client]:
    provisioner = await nats_connection.connect(nats_with_users.user("provisioner"), "test")
    await provision(provisioner, replicas=1)
    connection = await nats_connection.connect(nats_with_users.user("crm"), "test")
    yield connection
    for each in (provisioner, connection):
        await nats_connection.close(each)


async def publish(crm: Client, *bodies: bytes) -> int:
    """The sequence of the last one."""
    for body in bodies:
        ack = await crm.jetstream().publish("jobs.trigger.A.crm", body)
    return ack.seq


async def test_who_follows_the_stream_misses_nothing(nats_with_users: servers.NatsServer, crm: Client) -> None:
    taken: list[int] = []

    async def take(batch: Sequence[Stored]) -> None:
        taken.extend(stored.sequence for stored in batch)

    await publish(crm, b"{}", b"", b"", b"{}")
    api = await nats_connection.connect(nats_with_users.user("api"), "test")
    subscription = Subscription(api, "history-test", take)
    following = asyncio.create_task(subscription.run())
    try:
        for bodies in ((b"{}",), (b"",), (b"{}",), (b"", b"", b"{}"), (b"",) * 1500):
            last = await publish(crm, *bodies)
            assert await subscription.reached(last), f"{taken[-5:]} of {last}"
        assert taken == list(range(1, last + 1))
    finally:
        await end((following,))
        await nats_connection.close(api)


async def test_a_runner_is_given_every_trigger_at_once(nats_with_users: servers.NatsServer, crm: Client) -> None:
    """Not a lease later: the first ones arrive together, in the company of others that would be lost."""
    api = await nats_connection.connect(nats_with_users.user("api"), "test")
    ended = await api.subscribe("stored.jobs.run.NOOP.*.completed")
    try:
        for number in range(40):
            await crm.jetstream().publish("jobs.trigger.NOOP.crm", b"{}" if number % 3 == 0 else b"")
        with runner(nats_with_users.user("runner"), ack_wait_s="60"):
            runs = {(await ended.next_msg(timeout=20)).subject.split(".")[4] for _ in range(40)}
        assert runs == {str(sequence) for sequence in range(1, 41)}
    finally:
        await nats_connection.close(api)


async def test_a_replay_misses_nothing(nats_with_users: servers.NatsServer, crm: Client) -> None:
    last = await publish(crm, b"{}", b"", b"{}", b"", b"", *(b"",) * 1500, b"{}")
    operator = await nats_connection.connect(nats_with_users.user("operator"), "test")
    async with open_source(operator, "history_test", 1) as source:
        passed = [stored.sequence async for batch in source.up_to(last) for stored in batch]
    await nats_connection.close(operator)
    assert passed == list(range(1, last + 1))
