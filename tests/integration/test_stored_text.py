"""What is stored is text: whatever protocol words a stranger's message spells, nothing stalls and nothing is hidden."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from kronik.events import Started
from nats.aio.client import Client

from services.log import connection as nats_connection
from services.log import jetstream
from services.log.append import EventLog
from services.log.event_reader import open_reader
from services.log.protocol import EXPECTED, EXPECTED_FILTER, deliver_raw, text
from services.log.provision import provision
from services.log.stored import Delivery, Stored, delivery_of
from tests import servers, strangers
from tests.appending import append_next
from tests.strangers import HEADERS, SUBJECTS, Stranger, headers, stranger

Message = tuple[bytes, bytes | None, bytes]


async def read_up_to(reader: Any, last: int) -> list[Stored]:
    found: list[Stored] = []
    async with asyncio.timeout(10):
        while not found or found[-1].sequence < last:
            found += await reader.next_batch()
    return found


async def store(by: Stranger, messages: Sequence[Message]) -> dict[int, Message]:
    """What was stored of them, by sequence."""
    sequences = [await by.store(*message) for message in messages]
    return {sequence: message for sequence, message in zip(sequences, messages, strict=True) if sequence}


async def assert_read_by_everybody(client: Client, stored: dict[int, Message]) -> None:
    """Reader, reads by sequence and by subject: each sees every message, and the same."""
    first, last = min(stored), max(stored)
    async with open_reader(client, name="strangers", start=first) as reader:
        read = await read_up_to(reader, last)
    got = [found for sequence in stored for found in await jetstream.get(client, {"seq": sequence})]
    batch = await jetstream.get(client, {"seq": first, "next_by_subj": ">", "batch": 1000})
    for found in (read, got, batch):
        assert [each.sequence for each in found] == list(stored)
        assert [each.body for each in found] == [body for _, _, body in stored.values()]
        assert [each.subject for each in found] == [text(subject) for subject, _, _ in stored.values()]
        assert [each.position for each in found] == [each.position for each in read]
        assert [each.attributes for each in found] == [each.attributes for each in read]
        assert [each.msg_id for each in found] == [each.msg_id for each in read]
        assert all(each.stands_at(each.position) for each in found)
    assert client.stats["reconnects"] == 0


async def test_every_known_poison_is_read_by_everybody(nats_server: servers.NatsServer, nats_client: Client) -> None:
    known = [(b"jobs.trigger.X.crm", header, b"{}") for header in HEADERS]
    known += [(subject, None, b"{}") for subject in SUBJECTS]
    async with stranger(nats_server.port) as by:
        stored = await store(by, known)
        assert len(stored) == len(known)
        await assert_read_by_everybody(nats_client, stored)


async def test_a_pull_takes_a_trigger_with_any_header_for_a_trigger(
    nats_server: servers.NatsServer, nats_client: Client
) -> None:
    await jetstream.create_consumer(
        nats_client, {"durable_name": "pulled", "filter_subject": "jobs.trigger.X.*", "ack_policy": "explicit"}
    )
    async with stranger(nats_server.port) as by:
        stored = await store(by, [(b"jobs.trigger.X.crm", header, b"{}") for header in HEADERS])
    inbox, taken = nats_client.new_inbox(), list[Delivery]()
    answers = await nats_client.subscribe(inbox)
    deliver_raw(nats_client, answers, lambda *raw: taken.append(delivery_of(*raw)))
    request = jetstream.pull_request(batch=len(stored), expires_s=5)
    await jetstream.pull(nats_client, "pulled", inbox, request)
    async with asyncio.timeout(5):
        while len(taken) < len(stored):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert [delivery.stored.sequence for delivery in taken] == list(stored)
    assert answers.pending_msgs == 0


async def test_a_run_with_any_header_is_read(
    nats_server: servers.NatsServer, nats_client: Client, event_log: EventLog
) -> None:
    async with stranger(nats_server.port) as by:
        stored = await store(by, [(b"jobs.trigger.X.crm", header, b'{"a":1}') for header in HEADERS])
    for sequence in stored:
        found = await event_log.read_run(sequence)
        assert found is not None
        run = found[0]
        assert run.params == {"a": 1} or str(run.problem).startswith("specversion")
    last = await event_log.last("jobs.trigger.X.*")
    assert last is not None
    assert last.sequence == max(stored)


async def _store_and_read(messages: list[Message], server: servers.NatsServer, client: Client) -> None:
    async with stranger(server.port) as by:
        if stored := await store(by, messages):
            await assert_read_by_everybody(client, stored)


def test_no_expectation_counts_that_the_server_has_not_compared() -> None:
    """However it is spelt: where the server stores the message all the same, no reader takes it for an event."""
    with servers.nats() as server, asyncio.Runner() as runner:
        client = runner.run(nats_connection.connect(server.url, "reader"))
        runner.run(provision(client, replicas=1))
        subject = b"jobs.run.X.7.failed"
        other = headers(EXPECTED.encode() + b": 0", EXPECTED_FILTER.encode() + b": jobs.run.X.7.>")
        stored = 0

        async def try_all(forged: list[bytes]) -> None:
            nonlocal stored
            async with stranger(server.port) as by:
                for header in forged:
                    if sequence := await by.store(subject, header, b"{}"):
                        stored += 1
                        for found in await jetstream.get(client, {"seq": sequence}):
                            assert not found.counts, header

        async def first_of_run() -> None:
            async with stranger(server.port) as by:
                (found,) = await jetstream.get(client, {"seq": await by.store(subject, other, b"{}")})
                assert found.counts

        @settings(max_examples=40, phases=[Phase.generate], deadline=None)
        @given(st.lists(strangers.false_expectations, min_size=10, max_size=10))
        def holds(forged: list[bytes]) -> None:
            runner.run(try_all(forged))

        runner.run(first_of_run())
        holds()
        assert stored > 50, "these are stored, and have to be looked at"
        runner.run(nats_connection.close(client))


async def test_a_mirror_does_not_answer_for_the_stream(nats_client: Client, event_log: EventLog) -> None:
    """nats-server leaves the expectations out of mirrors, and lets them answer reads of their origin."""
    mirror = {"name": "MIRROR", "mirror": {"name": "JOBS"}, "storage": "file", "allow_direct": True}
    await nats_client.request("$JS.API.STREAM.CREATE.MIRROR", json.dumps(mirror).encode(), timeout=5)
    run_id = (await nats_client.jetstream().publish("jobs.trigger.X.crm", b"{}")).seq
    await append_next(event_log, f"jobs.run.X.{run_id}.started", Started(attempt=1, incarnation="a", timeout_ms=1))
    while (await nats_client.jetstream().stream_info("MIRROR")).state.last_seq <= run_id:
        pass
    for _ in range(30):
        found = await event_log.read_run(run_id)
        assert found is not None
        assert found[0].phase == "executing"


def test_whatever_is_stored_is_read_by_everybody() -> None:
    """One server and one loop for all examples: what was stored before stays, and is no reason to stumble."""
    with servers.nats() as server, asyncio.Runner() as runner:
        client = runner.run(nats_connection.connect(server.url, "reader"))
        runner.run(provision(client, replicas=1))

        @settings(max_examples=60, phases=[Phase.generate])
        @given(st.lists(st.tuples(strangers.subjects, strangers.blocks, strangers.bodies), min_size=1, max_size=12))
        def holds(messages: list[Message]) -> None:
            runner.run(_store_and_read(messages, server, client))

        try:
            holds()
        finally:
            runner.run(nats_connection.close(client))
