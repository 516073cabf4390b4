"""A subscription hands on everything once and in order, whatever becomes of its consumer, and of no other stream."""

import asyncio
from collections.abc import Sequence

import pytest
from kronik import subjects
from nats.aio.client import Client

from services.infra import lifecycle
from services.log import jetstream
from services.log.provision import provision
from services.log.stored import Position, Stored
from services.log.subscription import StreamReplaced, Subscription, check
from tests.runs import trigger


class Taken:
    """The sequences that were handed on."""

    def __init__(self) -> None:
        self.sequences: list[int] = []

    async def __call__(self, batch: Sequence[Stored]) -> None:
        self.sequences += [stored.sequence for stored in batch]


async def test_it_goes_on_behind_what_it_has_taken_when_its_consumer_is_deleted(nats_client: Client) -> None:
    taken = Taken()
    subscription = Subscription(nats_client, "followed", taken, filter=subjects.TRIGGERS)
    following = asyncio.create_task(subscription.run())
    await subscription.current.wait()
    first = await trigger(nats_client, "JOB")
    assert await subscription.reached(first)
    await jetstream.delete_consumer(nats_client, "followed")
    second = await trigger(nats_client, "JOB")
    assert await subscription.reached(second)
    await lifecycle.end([following])
    assert taken.sequences == [first, second]


async def test_it_is_current_once_what_stood_there_is_taken(nats_client: Client) -> None:
    for _ in range(1200):
        await nats_client.publish("jobs.trigger.JOB.crm")
    last = await trigger(nats_client, "JOB")
    taken = Taken()
    subscription = Subscription(nats_client, "followed", taken, headers_only=True)
    following = asyncio.create_task(subscription.run())
    await subscription.current.wait()
    assert taken.sequences == list(range(1, last + 1))
    await lifecycle.end([following])


async def test_on_an_empty_stream_it_is_current_at_once_and_leaves_no_consumer_behind(nats_client: Client) -> None:
    subscription = Subscription(nats_client, "followed", Taken())
    following = asyncio.create_task(subscription.run())
    await subscription.current.wait()
    await lifecycle.end([following])
    await _no_consumer_left(nats_client)


async def _no_consumer_left(connection: Client) -> None:
    """Long before the server would end one that nobody asks any more."""
    for _ in range(250):
        if not await jetstream.consumers(connection):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(await jetstream.consumers(connection))


async def test_messages_that_are_larger_than_what_a_request_may_bring_come_all_the_same(nats_client: Client) -> None:
    for _ in range(40):
        await trigger(nats_client, "JOB", b" " * 900_000)
    taken = Taken()
    subscription = Subscription(nats_client, "followed", taken)
    following = asyncio.create_task(subscription.run())
    await subscription.current.wait()
    await lifecycle.end([following])
    assert taken.sequences == list(range(1, 41))


async def test_it_ends_when_the_stream_is_made_anew_under_it(nats_client: Client) -> None:
    subscription = Subscription(nats_client, "followed", Taken())
    following = asyncio.create_task(subscription.run())
    await trigger(nats_client, "JOB")
    assert await subscription.reached(await trigger(nats_client, "JOB"))
    await nats_client.jetstream().delete_stream(subjects.STREAM)
    await provision(nats_client, replicas=1)
    await trigger(nats_client, "JOB")
    with pytest.raises(StreamReplaced, match=r"event 2 .* has none there: it holds 1 to 1"):
        async with asyncio.timeout(20):
            await following


async def test_another_message_at_the_same_sequence_is_another_stream(nats_client: Client) -> None:
    sequence = await trigger(nats_client, "JOB")
    (first,) = await jetstream.get(nats_client, {"seq": sequence})
    await check(nats_client, first.position)
    await check(nats_client, Position(sequence, first.recorded().id))
    await nats_client.jetstream().delete_stream(subjects.STREAM)
    await provision(nats_client, replicas=1)
    assert await trigger(nats_client, "JOB") == sequence
    with pytest.raises(StreamReplaced, match="has another one there"):
        await check(nats_client, first.position)
