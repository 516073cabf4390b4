"""A feed hands on everything once and in order, whatever becomes of its consumer."""

import asyncio
import json

from kronik import subjects
from nats.aio.client import Client

from services.infra import lifecycle
from services.scheduler.feed import Feed
from tests.runs import trigger


async def test_it_goes_on_behind_what_it_has_taken_when_its_consumer_is_deleted(nats_client: Client) -> None:
    taken: list[int] = []
    feed = Feed(nats_client, "feed", [subjects.TRIGGERS], lambda stored: taken.append(stored.sequence))
    following = asyncio.create_task(feed.run())
    await feed.current.wait()
    first = await trigger(nats_client, "JOB")
    assert await feed.reached(first)
    await nats_client.request(f"$JS.API.CONSUMER.DELETE.{subjects.STREAM}.feed")
    second = await trigger(nats_client, "JOB")
    assert await feed.reached(second)
    await lifecycle.end([following])
    assert taken == [first, second]


async def test_it_is_current_once_what_stood_there_is_taken(nats_client: Client) -> None:
    for _ in range(2500):
        await nats_client.publish("jobs.trigger.JOB.crm")
    last = await trigger(nats_client, "JOB")
    taken: list[int] = []
    feed = Feed(
        nats_client, "feed", [subjects.TRIGGERS], lambda stored: taken.append(stored.sequence), headers_only=True
    )
    following = asyncio.create_task(feed.run())
    await feed.current.wait()
    assert taken[-1] == last
    assert len(taken) == 2501
    await lifecycle.end([following])


async def test_on_an_empty_stream_it_is_current_at_once_and_leaves_no_consumer_behind(nats_client: Client) -> None:
    feed = Feed(nats_client, "feed", [subjects.TRIGGERS], lambda stored: None)
    following = asyncio.create_task(feed.run())
    await feed.current.wait()
    await lifecycle.end([following])
    await nats_client.flush()
    answer = await nats_client.request(f"$JS.API.CONSUMER.NAMES.{subjects.STREAM}")
    assert not json.loads(answer.data)["consumers"]
