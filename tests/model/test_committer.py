"""Group commit over every company that units can find themselves in, on a stream in memory that answers as NATS does.

What each writer is told must be true of its own unit, whatever became of the others in its batch.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.log.committer import WORTH, Answer, Committer, Message, Refused, Stored, Unit, expecting
from tests.model.memory_log import matches


def run(run_id: int, name: str, expected: int) -> Message:
    """An append to a run: body and subject name it, so that it can be found again."""
    filter = f"jobs.run.A.{run_id}.>"
    return Message(
        f"jobs.run.A.{run_id}.{name}", f"{run_id}.{name}".encode(), expecting(filter, expected), aggregate=filter
    )


def trigger(body: str, id: str = "") -> Message:
    return Message("jobs.trigger.A.ops", body.encode(), {"Nats-Msg-Id": id} if id else {})


@dataclass
class MemoryWire:
    """A stream that looks at expectations as nats-server does: each against the stream, never against the batch.

    fate: for each request, in order: "fine", "lost before" or "lost after", which is stored and not answered.
    """

    fate: Callable[[], str] = lambda: "fine"
    atomic: bool = True
    stored: list[Message] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    batches: list[list[Message]] = field(default_factory=list)
    alone: int = 0

    async def one(self, message: Message) -> Answer:
        self.alone += 1
        return await self._take([message])

    async def many(self, messages: Sequence[Message]) -> Answer:
        self.batches.append(list(messages))
        return await self._take(messages)

    async def _take(self, messages: Sequence[Message]) -> Answer:
        fate = self.fate()
        for _ in range(random.Random(len(self.stored)).randrange(3)):
            await asyncio.sleep(0)
        if fate == "lost before":
            return None
        answer = self._append(messages)
        for _ in range(random.Random(len(self.stored)).randrange(3)):
            await asyncio.sleep(0)
        return None if fate == "lost after" else answer

    def _append(self, messages: Sequence[Message]) -> Answer:
        ids = [id for message in messages if (id := message.headers.get("Nats-Msg-Id"))]
        if len(ids) != len(set(ids)) or self.ids.intersection(ids):
            return Refused(10201, "duplicate message id")
        for message in messages:
            expected = message.headers.get("Nats-Expected-Last-Subject-Sequence")
            if expected is not None and int(expected) != self.last(message.aggregate or ""):
                return Refused(10071, "wrong last sequence")
        first = len(self.stored) + 1
        self.stored += messages
        self.ids.update(ids)
        return Stored(tuple(range(first, len(self.stored) + 1)))

    def last(self, filter: str) -> int:
        return max((n for n, each in enumerate(self.stored, 1) if matches(filter, each.subject)), default=0)


def _told_the_truth(wire: MemoryWire, unit: Unit, answer: Answer) -> None:
    where = [[n for n, each in enumerate(wire.stored, 1) if each is message] for message in unit]
    assert len({bool(found) for found in where}) == 1, "a unit stands or falls together"
    if isinstance(answer, Stored):
        assert where == [[sequence] for sequence in answer.sequences]
    if isinstance(answer, Refused):
        assert not any(where)


RUNS = st.integers(min_value=1, max_value=30)
UNITS = st.one_of(
    st.builds(lambda n: (run(n, "started", 0),), RUNS),
    st.builds(lambda n: (run(n, "completed", 99),), RUNS),
    st.builds(lambda n: (trigger(str(n), f"id-{n}"),), RUNS),
    st.builds(lambda n: (trigger(f"cron {n}"), run(100 + n, "started", 0)), RUNS),
)
FATES = st.lists(st.sampled_from(["fine", "fine", "fine", "lost before", "lost after"]), max_size=40)


@settings(max_examples=150, deadline=None)
@given(st.lists(UNITS, min_size=1, max_size=120), FATES, st.lists(st.integers(0, 3), max_size=120))
def test_each_writer_is_told_what_became_of_its_own_unit(units: list[Unit], fates: list[str], waits: list[int]) -> None:
    wire = MemoryWire(iter([*fates, *["fine"] * 1000]).__next__)

    async def write(committer: Committer, unit: Unit, wait: int) -> Answer:
        for _ in range(wait):
            await asyncio.sleep(0)
        return await committer.commit(unit)

    async def everybody() -> list[Answer]:
        committer = Committer(wire)
        pauses = [*waits, *[0] * len(units)]
        return await asyncio.gather(*(write(committer, unit, wait) for unit, wait in zip(units, pauses, strict=False)))

    for unit, answer in zip(units, asyncio.run(everybody()), strict=True):
        _told_the_truth(wire, unit, answer)
    for batch in wire.batches:
        assert max(Counter(each.aggregate for each in batch if each.aggregate).values(), default=1) == 1
        assert len(batch) <= 250
    started = Counter(each.subject for each in wire.stored if each.aggregate)
    assert not [subject for subject, times in started.items() if times > 1], "who expects nothing there comes once"


async def _commit_all(wire: MemoryWire, units: list[Unit]) -> list[Answer]:
    committer = Committer(wire)
    return await asyncio.gather(*(committer.commit(unit) for unit in units))


async def test_what_waits_at_the_same_moment_goes_in_one_batch() -> None:
    wire = MemoryWire()
    answers = await _commit_all(wire, [(run(n, "started", 0),) for n in range(1, 201)])
    assert [len(batch) for batch in wire.batches] == [200]
    assert answers == [Stored((n,)) for n in range(1, 201)]


@dataclass
class SlowWire(MemoryWire):
    """Its batches are on their way until it is told."""

    arrive: asyncio.Event = field(default_factory=asyncio.Event)

    async def many(self, messages: Sequence[Message]) -> Answer:
        self.batches.append(list(messages))
        await self.arrive.wait()
        return await self._take(messages)


async def test_what_is_little_while_a_batch_is_on_its_way_waits_for_it_and_goes_with_what_comes_meanwhile() -> None:
    wire = SlowWire()
    committer = Committer(wire)
    units = [(run(n, "started", 0),) for n in range(1, 151)]
    writers = []
    for begin, end in ((0, 100), (100, 104), (104, 107)):
        writers += [asyncio.create_task(committer.commit(unit)) for unit in units[begin:end]]
        for _ in range(5):
            await asyncio.sleep(0)
    assert ([len(batch) for batch in wire.batches], wire.alone) == ([100], 0)
    writers += [asyncio.create_task(committer.commit(unit)) for unit in units[107:]]
    for _ in range(5):
        await asyncio.sleep(0)
    assert ([len(batch) for batch in wire.batches], wire.alone) == ([100, 50], 0)
    few = asyncio.create_task(committer.commit((run(200, "started", 0),)))
    wire.arrive.set()
    answers = await asyncio.gather(*writers, few)
    assert (len(wire.batches), wire.alone) == (2, 1)
    assert all(isinstance(answer, Stored) for answer in answers)


async def test_few_go_at_once_and_each_by_itself() -> None:
    wire = MemoryWire()
    await _commit_all(wire, [(run(n, "started", 0),) for n in range(1, WORTH)])
    assert (wire.batches, wire.alone) == ([], WORTH - 1)


@pytest.mark.parametrize("guilty", [0, 250, 499])
async def test_one_conflict_falls_alone(guilty: int) -> None:
    wire = MemoryWire()
    units = [(run(n, "started", 7 if n == guilty else 0),) for n in range(500)]
    answers = await _commit_all(wire, units)
    assert [n for n, answer in enumerate(answers) if isinstance(answer, Refused)] == [guilty]
    assert len(wire.stored) == 499


async def test_two_events_of_one_aggregate_never_share_a_batch() -> None:
    wire = MemoryWire()
    units = [(run(n, name, 0),) for n in range(1, 101) for name in ("completed", "failed")]
    answers = await _commit_all(wire, units)
    assert sum(isinstance(answer, Stored) for answer in answers) == 100
    assert len(wire.stored) == 100


async def test_a_server_without_safe_batches_is_sent_none() -> None:
    wire = MemoryWire(atomic=False)
    answers = await _commit_all(wire, [(run(n, "started", 0),) for n in range(1, 101)])
    assert all(isinstance(answer, Stored) for answer in answers)
    assert wire.batches == []


async def test_a_lost_answer_is_nobodys_success_and_the_next_ones_go_on() -> None:
    wire = MemoryWire(iter(["lost after", *["fine"] * 100]).__next__)
    committer = Committer(wire)
    first = await asyncio.gather(*(committer.commit((run(n, "started", 0),)) for n in range(1, 51)))
    assert first == [None] * 50
    again = await asyncio.gather(*(committer.commit((run(n, "started", 0),)) for n in range(1, 51)))
    assert all(isinstance(answer, Refused) for answer in again)
    assert len(wire.stored) == 50


async def test_who_stopped_waiting_disturbs_nobody() -> None:
    wire = MemoryWire()
    committer = Committer(wire)
    tasks = [asyncio.create_task(committer.commit((run(n, "started", 0),))) for n in range(1, 101)]
    await asyncio.sleep(0)
    tasks[3].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[3], asyncio.CancelledError)
    assert sum(isinstance(answer, Stored) for answer in answers) == 99
