"""One suite for the event log on a real nats-server, on the shipped cluster of three, and on a stream in memory, which
the model (tests/model) relies on.

The log under test is reached through a network that loses answers and goes away; `near` is another writer that is
spared all of that.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import pytest
from kronik import codec, subjects
from kronik.events import (
    AnyEvent,
    CancelRequested,
    Completed,
    Failed,
    SlotFired,
    SlotSkipped,
    Started,
    Triggered,
    Unknown,
)
from kronik.run import Run
from nats.aio.client import Client

from services.infra.clock import SystemClock
from services.log import append as module
from services.log import committer
from services.log import connection as nats_connection
from services.log.accounts import ADMINISTRATOR
from services.log.append import Appended, Conflict, Entry, EventLog, Expected, LogUnavailable, TooLarge
from services.log.committer import expecting
from services.log.provision import provision
from services.log.stored import UNEXPECTED
from tests import servers, shipped
from tests.model.memory_log import Fate, MemoryLog, MemoryStream, Publish, Read
from tests.proxy import Proxy, proxy
from tests.shipped import NODES, Cluster

TRIGGER = "jobs.trigger.NAP.crm"
AT = datetime(2026, 11, 23, 2, tzinfo=UTC)


class Stage(Protocol):
    """A stream with a log on it, and what can be done to the log's network."""

    log: EventLog
    near: EventLog

    async def publish(self, subject: str, body: bytes, id: str = "") -> int: ...

    async def write(self, subject: str, body: bytes, headers: dict[str, str]) -> int: ...

    def lose_answers(self) -> None: ...

    def lose_nothing(self) -> None: ...

    async def lost_one(self) -> None: ...

    async def go_away(self) -> None: ...

    async def come_back(self) -> None: ...


@dataclass
class Real:
    log: EventLog
    near: EventLog
    network: Proxy

    async def publish(self, subject: str, body: bytes, id: str = "") -> int:
        return await self.write(subject, body, {"Nats-Msg-Id": id} if id else {})

    async def write(self, subject: str, body: bytes, headers: dict[str, str]) -> int:
        return (await self.near.connection.jetstream().publish(subject, body, headers=headers)).seq

    def lose_answers(self) -> None:
        self.network.drop_answers()

    def lose_nothing(self) -> None:
        self.network.drop_nothing()

    async def lost_one(self) -> None:
        await self.network.dropped.wait()

    async def go_away(self) -> None:
        await self.network.go_away()

    async def come_back(self) -> None:
        await self.network.come_back()


class InMemory:
    def __init__(self) -> None:
        self.stream = MemoryStream()
        self.log = MemoryLog(None, SystemClock(), "/kronik/test", self.stream, self._gate)  # type: ignore[arg-type]
        self.near = MemoryLog(None, SystemClock(), "/kronik/near", self.stream)  # type: ignore[arg-type]
        self._away = self._losing = False
        self._lost = asyncio.Event()

    async def _gate(self, request: Publish | Read) -> Fate:
        await asyncio.sleep(0)
        if self._away:
            return Fate.AWAY
        if self._losing:
            self._lost.set()
            return Fate.LOST_AFTER if isinstance(request, Publish) else Fate.AWAY
        return Fate.FINE

    async def publish(self, subject: str, body: bytes, id: str = "") -> int:
        return await self.write(subject, body, {"Nats-Msg-Id": id} if id else {})

    async def write(self, subject: str, body: bytes, headers: dict[str, str]) -> int:
        return self.stream.publish(subject, body, headers).sequence  # type: ignore[union-attr]

    def lose_answers(self) -> None:
        self._losing = True

    def lose_nothing(self) -> None:
        self._losing = False
        self._lost.clear()

    async def lost_one(self) -> None:
        await self._lost.wait()

    async def go_away(self) -> None:
        self._away = True

    async def come_back(self) -> None:
        self._away = False


@asynccontextmanager
async def real() -> AsyncIterator[Real]:
    with servers.nats() as server:
        near = await nats_connection.connect(server.url, "near")
        await provision(near, replicas=1)
        async with _on(near, server.port, server.url) as stage:
            yield stage


@asynccontextmanager
async def replicated(cluster: Cluster) -> AsyncIterator[Real]:
    """A new stream in three copies, through the node that leads it: that one answers reads itself, and never lags."""
    admin = await nats_connection.connect(cluster.url(ADMINISTRATOR), "admin")
    await provision(admin, replicas=3)
    await admin.jetstream().delete_stream(subjects.STREAM)
    await provision(admin, replicas=3)
    info = json.loads((await admin.request(f"$JS.API.STREAM.INFO.{subjects.STREAM}", timeout=5)).data)
    await nats_connection.close(admin)
    leader = cluster.servers[NODES.index(info["cluster"]["leader"])]
    url = leader.user(ADMINISTRATOR)
    async with _on(await nats_connection.connect(url, "near"), leader.port, url) as stage:
        yield stage


@asynccontextmanager
async def _on(near: Client, port: int, url: str) -> AsyncIterator[Real]:
    async with proxy(port) as network:
        far = await nats_connection.connect(url.replace(f":{port}", f":{network.port}"), "far")
        try:
            clock = SystemClock()
            yield Real(EventLog(far, clock, "/kronik/test"), EventLog(near, clock, "/kronik/near"), network)
        finally:
            await nats_connection.close(far)
            await nats_connection.close(near)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with shipped.cluster() as made:
        yield made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not come is known soon. Only where answers are lost: a slow disk takes as long now and then."""
    monkeypatch.setattr(module, "_ANSWER_WITHIN_S", 0.5)
    monkeypatch.setattr(committer, "_ANSWER_WITHIN_S", 0.5)


@pytest.fixture(params=["nats-server", "three nodes", "memory"])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    if request.param == "memory":
        yield InMemory()
    elif request.param == "three nodes":
        async with replicated(request.getfixturevalue("cluster")) as made:
            yield made
    else:
        async with real() as made:
            yield made


async def new_run(stage: Stage) -> Run:
    found = await stage.near.read_run(await stage.publish(TRIGGER, b"{}"))
    assert found
    return found[0]


def aggregate(run: Run) -> str:
    return f"jobs.run.NAP.{run.id}.>"


STARTED = Started(attempt=1, incarnation="host-1", timeout_ms=1000)
DONE = Completed(attempt=1, result={"ms": 1})


async def read(log: EventLog, run: Run) -> Run:
    found = await log.read_run(run.id)
    assert found
    return found[0]


async def test_an_append_that_expects_nothing_is_stored(stage: Stage) -> None:
    first = await stage.log.append(TRIGGER, Triggered(), id="a")
    second = await stage.log.append(TRIGGER, Triggered(), id="b")
    assert isinstance(first, Appended)
    assert second == Appended(first.sequence + 1)


async def test_the_same_id_again_is_the_same_event(stage: Stage) -> None:
    first = await stage.log.append(TRIGGER, Triggered(), id="a")
    again = await stage.near.append(TRIGGER, Triggered(params={"ms": 2}), id="a")
    assert isinstance(first, Appended)
    assert again == Appended(first.sequence, duplicate=True)
    last = await stage.log.last("jobs.trigger.>")
    assert last is not None
    assert last.data == Triggered()


async def test_a_run_goes_on_event_by_event(stage: Stage) -> None:
    run = await new_run(stage)
    started = await stage.log.append_to_run(run, STARTED, by="host-1")
    assert isinstance(started, Run)
    assert (started.phase, started.version) == ("executing", started.token)
    run = await read(stage.log, run)
    assert (run.phase, run.version, run.token) == ("executing", started.version, started.version)
    done = await stage.log.append_to_run(run, DONE, by="host-1")
    assert isinstance(done, Run)
    assert (done.status, done.result) == ("SUCCESS", {"ms": 1})
    found = await stage.log.read_run(run.id)
    assert found
    assert (found[0].status, found[0].result, found[0].ignored) == ("SUCCESS", {"ms": 1}, 0)
    assert [type(event.data) for event in found[1]] == [Triggered, Started, Completed]
    assert [event.sequence for event in found[1]] == [run.id, started.version, done.version]


async def test_who_expects_the_past_conflicts(stage: Stage) -> None:
    run = await new_run(stage)
    await stage.near.append_to_run(run, CancelRequested(by="ADMIN:7"), by="near")
    assert await stage.log.append_to_run(run, STARTED, by="host-1") == Conflict()
    assert (await read(stage.log, run)).phase == "queued"


async def test_of_two_who_expect_the_same_one_wins(stage: Stage) -> None:
    for _ in range(20):
        run = await new_run(stage)
        answers = await asyncio.gather(
            stage.log.append_to_run(run, STARTED, by="host-1"), stage.near.append_to_run(run, STARTED, by="host-2")
        )
        assert sorted(type(answer).__name__ for answer in answers) == ["Conflict", "Run"]


async def test_an_expectation_covers_every_subject_of_the_aggregate_and_no_other(stage: Stage) -> None:
    run, other = await new_run(stage), await new_run(stage)
    await stage.near.append_to_run(other, STARTED, by="near")
    assert isinstance(await stage.log.append_to_run(run, STARTED, by="host-1"), Run)
    late = Expected(aggregate(run), 0)
    answer = await stage.log.append(f"jobs.run.NAP.{run.id}.completed", DONE, id="late", expected=late)
    assert answer == Conflict()


async def test_expecting_zero_is_expecting_nothing_there(stage: Stage) -> None:
    run = await new_run(stage)
    none_yet, subject = Expected(aggregate(run), 0), f"jobs.run.NAP.{run.id}.started"
    assert isinstance(await stage.log.append(subject, STARTED, id="a", expected=none_yet), Appended)
    assert await stage.log.append(subject, STARTED, id="b", expected=none_yet) == Conflict()


async def test_an_expected_append_again_is_found(stage: Stage) -> None:
    subject, wanted = f"jobs.run.NAP.{(run := await new_run(stage)).id}.started", Expected(aggregate(run), 0)
    first = await stage.log.append(subject, STARTED, id="a", expected=wanted)
    assert isinstance(first, Appended)
    await stage.near.append_to_run(await read(stage.near, run), DONE, by="near")
    again = await stage.log.append(subject, STARTED, id="a", expected=wanted)
    assert again == Appended(first.sequence, duplicate=True)


async def test_an_id_that_stands_elsewhere_keeps_nothing_out(stage: Stage) -> None:
    """Ids are for everybody to choose: an append that expects something is sent without one."""
    run, other = await new_run(stage), await new_run(stage)
    taken = Expected(aggregate(other), 0)
    await stage.near.append(f"jobs.run.NAP.{other.id}.started", STARTED, id="a", expected=taken)
    await stage.near.append(TRIGGER, Triggered(), id="b")
    for id, run_id, name in (("a", run.id, "started"), ("b", other.id, "retrying")):
        wanted = Expected(f"jobs.run.NAP.{run_id}.{name}", 0)
        assert isinstance(await stage.log.append(wanted.filter, STARTED, id=id, expected=wanted), Appended)


def slot_and_trigger(ledger: int, at: str = "9") -> list[Entry]:
    """As the scheduler appends them: two events that stand or fall together, the second of them guarded."""
    guarded = Expected("jobs.slot.NAP.*", ledger)
    return [
        Entry("jobs.trigger.NAP.cron", Triggered(), f"trigger-{at}"),
        Entry("jobs.slot.NAP.fired", SlotFired(scheduled_for=AT), f"slot-{at}", guarded),
    ]


def body(event: AnyEvent) -> bytes:
    return codec.encode(event, id="forged", source="/forged", time=AT)


async def test_an_event_without_its_expectation_is_none(stage: Stage) -> None:
    """Who has a runner's password and publishes plainly, or expects of something else, ends nobody's run."""
    run = await new_run(stage)
    forged = body(Failed(attempt=0, error="forged", error_type="Forged"))
    subject, slot = f"jobs.run.NAP.{run.id}.failed", body(SlotSkipped(scheduled_for=AT, outcome="missed", reason="x"))
    alone = {"Nats-Batch-Id": "forged", "Nats-Batch-Sequence": "1", "Nats-Batch-Commit": "1"}
    for headers in ({}, expecting(f"jobs.run.NAP.{run.id + 1}.>", 0), alone):
        last = await stage.write(subject, forged, headers)
        assert (event := await stage.log.last(aggregate(run))) is not None
        assert event.data == Unknown("unreadable", f"{subject}: {UNEXPECTED}")
    await stage.write("jobs.slot.NAP.missed", slot, {})
    assert isinstance((await stage.log.read("jobs.slot.>"))[-1].data, Unknown)
    seen = await read(stage.log, run)
    assert (seen.phase, seen.version) == ("queued", last)
    ended = await stage.log.append_to_run(seen, Failed(attempt=0, error="x", error_type="X"), by="us")
    assert isinstance(ended, Run)
    assert ended.finished


async def test_every_slot_of_a_unit_counts(stage: Stage) -> None:
    skipped = [Entry("jobs.slot.NAP.missed", SlotSkipped(scheduled_for=AT, outcome="missed", reason="x"), "a")] * 2
    assert isinstance(await stage.log.append_unit([*slot_and_trigger(0), *skipped]), tuple)
    assert [type(each.data) for each in await stage.log.read("jobs.slot.>")] == [SlotFired, SlotSkipped, SlotSkipped]


async def test_a_unit_stands_as_a_whole_or_falls_as_a_whole(stage: Stage) -> None:
    first = await stage.log.append_unit(slot_and_trigger(0))
    assert isinstance(first, tuple)
    assert [each.sequence for each in first] == [1, 2]
    assert await stage.log.append_unit(slot_and_trigger(0, "10")) == Conflict()
    assert isinstance(await stage.log.append_unit(slot_and_trigger(2, "10")), tuple)
    assert [each.sequence for each in await stage.log.read("jobs.>")] == [1, 2, 3, 4]


async def test_a_unit_whose_answer_was_lost_is_found_whole(stage: Stage, impatient: None) -> None:
    stage.lose_answers()
    append = asyncio.create_task(stage.log.append_unit(slot_and_trigger(0)))
    await stage.lost_one()
    stage.lose_nothing()
    assert await append == (Appended(1, duplicate=True), Appended(2, duplicate=True))
    assert len(await stage.near.read("jobs.>")) == 2


async def test_an_append_again_is_the_run_while_it_has_the_last_word(stage: Stage) -> None:
    run = await new_run(stage)
    started = await stage.log.append_to_run(run, STARTED, by="host-1")
    assert isinstance(started, Run)
    again = await stage.log.append_to_run(run, STARTED, by="host-1")
    assert isinstance(again, Run)
    assert (again.token, again.version) == (started.token, started.version)
    await stage.near.append_to_run(started, CancelRequested(by="ADMIN:7"), by="near")
    still = await stage.log.append_to_run(run, STARTED, by="host-1")
    assert isinstance(still, Run)
    assert (still.token, still.cancel_requested_by) == (started.token, "ADMIN:7")
    await stage.near.append_to_run(still, DONE, by="near")
    assert await stage.log.append_to_run(run, STARTED, by="host-1") == Conflict()


async def test_a_strangers_message_with_the_id_of_an_append_is_not_taken_for_it(stage: Stage) -> None:
    run = await new_run(stage)
    await stage.publish(TRIGGER, b"{}", id=f"{run.id}.0.started.host-1")
    await stage.publish(TRIGGER, b"{}", id="guessed")
    assert isinstance(await stage.log.append_to_run(run, STARTED, by="host-1"), Run)
    ours = await stage.log.append("jobs.trigger.NAP.admin", Triggered(user_id="7"), id="guessed")
    assert isinstance(ours, Appended)
    stored = await stage.near.get(ours.sequence)
    assert stored is not None
    assert (stored.subject, stored.id, stored.data) == ("jobs.trigger.NAP.admin", "guessed", Triggered(user_id="7"))
    again = await stage.log.append("jobs.trigger.NAP.admin", Triggered(user_id="7"), id="guessed")
    assert again == Appended(ours.sequence, duplicate=True)


async def test_correlation_and_trace_go_with_every_event_of_a_run(stage: Stage) -> None:
    trigger = b'{"specversion":"1.0","id":"x","source":"crm","type":"a","correlationid":"order-7","traceparent":"00-1"}'
    found = await stage.near.read_run(await stage.publish(TRIGGER, trigger))
    assert found
    started = await stage.log.append_to_run(found[0], STARTED, by="host-1")
    assert isinstance(started, Run)
    await stage.log.append_to_run(started, DONE, by="host-1")
    found = await stage.near.read_run(started.id)
    assert found
    assert [(each.correlation_id, each.traceparent) for each in found[1]] == [("order-7", "00-1")] * 3
    assert [each.source for each in found[1]] == ["crm", "/kronik/test", "/kronik/test"]


def unit_of(*runs: Run, by: str = "a") -> list[Entry]:
    """A trigger that expects nothing, between the starts of two runs."""
    first, second = (
        Entry(
            subject=f"jobs.run.NAP.{run.id}.started",
            event=STARTED,
            id=f"start-{run.id}-{by}",
            expected=Expected(aggregate(run), run.version),
        )
        for run in runs
    )
    return [first, Entry(subject=TRIGGER, event=Triggered(), id="between"), second]


async def test_a_unit_that_expects_of_two_aggregates_falls_with_either(stage: Stage) -> None:
    run, other = await new_run(stage), await new_run(stage)
    stood = await stage.log.append_unit(unit_of(run, other))
    assert stood == tuple(Appended(other.id + each) for each in (1, 2, 3))
    third, before = await new_run(stage), len(await stage.near.read("jobs.>"))
    assert await stage.log.append_unit(unit_of(third, other, by="b")) == Conflict()
    assert len(await stage.near.read("jobs.>")) == before


async def test_who_appends_at_the_same_moment_gets_each_his_own_answer(stage: Stage) -> None:
    """Enough of them to go out as one batch, with a loser, a repeat, two of one run and a taken id among them."""
    runs = [await new_run(stage) for _ in range(40)]
    await stage.near.append_to_run(runs[7], CancelRequested(by="ADMIN:7"), by="near")
    await stage.near.append_to_run(runs[9], STARTED, by="host-1")
    taken = await stage.near.append(TRIGGER, Triggered(), id="t5")
    assert isinstance(taken, Appended)
    answers = await asyncio.gather(
        *(stage.log.append_to_run(run, STARTED, by="host-1") for run in runs),
        stage.log.append_to_run(runs[11], STARTED, by="host-2"),
        *(stage.log.append(TRIGGER, Triggered(), id=f"t{each}") for each in range(20)),
    )
    lost = [place for place, answer in enumerate(answers) if isinstance(answer, Conflict)]
    assert lost in ([7, 11], [7, 40])
    assert answers[46] == Appended(taken.sequence, duplicate=True)
    started = [await read(stage.near, run) for run in runs]
    assert [place for place, run in enumerate(started) if run.phase == "queued"] == [7]
    for place, run in enumerate(started):
        if place not in lost:
            assert answers[place].token == run.token or place == 11  # type: ignore[union-attr]
    assert len(await stage.near.read("jobs.trigger.>")) == 60


async def test_a_lost_answer_is_found_by_reading_back(stage: Stage, impatient: None) -> None:
    run = await new_run(stage)
    stage.lose_answers()
    append = asyncio.create_task(stage.log.append_to_run(run, STARTED, by="host-1"))
    await stage.lost_one()
    stage.lose_nothing()
    answer = await append
    assert isinstance(answer, Run)
    assert (await read(stage.near, run)).version == answer.version


async def test_a_lost_answer_without_expectation_is_not_stored_twice(stage: Stage, impatient: None) -> None:
    stage.lose_answers()
    append = asyncio.create_task(stage.log.append(TRIGGER, Triggered(), id="a"))
    await stage.lost_one()
    stage.lose_nothing()
    answer = await append
    assert isinstance(answer, Appended)
    assert answer.duplicate
    assert len(await stage.near.read("jobs.trigger.>")) == 1


async def test_while_answers_are_lost_nothing_is_certain_and_afterwards_everything(
    stage: Stage, impatient: None
) -> None:
    run = await new_run(stage)
    stage.lose_answers()
    with pytest.raises(LogUnavailable):
        await stage.log.append_to_run(run, STARTED, by="host-1", patience_s=0.3)
    stage.lose_nothing()
    again = await stage.log.append_to_run(run, STARTED, by="host-1")
    assert isinstance(again, Run)
    assert len(await stage.near.read(aggregate(run))) == 1


async def test_a_server_that_is_away(stage: Stage, impatient: None) -> None:
    run = await new_run(stage)
    await stage.go_away()
    with pytest.raises(LogUnavailable):
        await stage.log.append_to_run(run, STARTED, by="host-1", patience_s=0.3)
    with pytest.raises(LogUnavailable):
        await stage.log.read_run(run.id)
    with pytest.raises(LogUnavailable):
        await stage.log.last(TRIGGER)
    assert await stage.near.read(aggregate(run)) == []


async def test_an_append_outlasts_a_short_absence(stage: Stage, impatient: None) -> None:
    run = await new_run(stage)
    await stage.go_away()
    append = asyncio.create_task(stage.log.append_to_run(run, STARTED, by="host-1"))
    await asyncio.sleep(0)
    await stage.come_back()
    answer = await append
    assert isinstance(answer, Run)
    assert (await read(stage.near, run)).token == answer.token


async def test_who_was_away_meanwhile_conflicts(stage: Stage, impatient: None) -> None:
    run = await new_run(stage)
    await stage.go_away()
    append = asyncio.create_task(stage.log.append_to_run(run, STARTED, by="host-1"))
    await stage.near.append_to_run(run, CancelRequested(by="ADMIN:7"), by="near")
    await stage.come_back()
    assert await append == Conflict()


async def test_reading(stage: Stage) -> None:
    assert await stage.log.last("jobs.trigger.>") is None
    assert await stage.log.get(1) is None
    assert await stage.log.read("jobs.>") == []
    assert await stage.log.read_run(1) is None
    sequences = [await stage.publish(TRIGGER, b"{}") for _ in range(3)]
    last = await stage.log.last("jobs.trigger.*.crm")
    assert last is not None
    assert (last.sequence, last.subject, last.data) == (sequences[-1], TRIGGER, Triggered())
    middle = await stage.log.get(sequences[1])
    assert middle is not None
    assert middle.sequence == sequences[1]
    assert [event.sequence for event in await stage.log.read("jobs.trigger.>", start=2)] == sequences[1:]
    assert [event.sequence for event in await stage.log.read("jobs.trigger.>", limit=2)] == sequences[:2]
    assert await stage.log.read("jobs.slot.>") == []


async def test_what_is_not_a_trigger_is_no_run(stage: Stage) -> None:
    run = await new_run(stage)
    started = await stage.log.append_to_run(run, STARTED, by="host-1")
    assert isinstance(started, Run)
    assert await stage.log.read_run(started.version) is None


async def test_an_event_that_cannot_be_read_is_expected_all_the_same(stage: Stage) -> None:
    run = await new_run(stage)
    garbage = await stage.publish(f"jobs.run.NAP.{run.id}.started", b"not JSON")
    run = await read(stage.log, run)
    assert (run.version, run.phase, run.ignored) == (garbage, "queued", 0)
    (event,) = await stage.log.read(aggregate(run))
    assert isinstance(event.data, Unknown)
    assert isinstance(await stage.log.append_to_run(run, STARTED, by="host-1"), Run)


async def test_a_reading_whose_answer_breaks_off_is_repeated_and_whole() -> None:
    """Half a batch arrives, and nothing says that it was half of one. Of the real one alone: memory has no batches."""
    async with real() as stage:
        run = await new_run(stage)
        started = await stage.log.append_to_run(run, STARTED, by="host-1")
        assert isinstance(started, Run)
        await stage.log.append_to_run(await read(stage.log, run), DONE, by="host-1")
        passed = 0

        def after_one(subject: str) -> bool:
            nonlocal passed
            passed += subject.startswith("_INBOX")
            return passed > 1 and subject.startswith("_INBOX")

        stage.network.drop(after_one)
        reading = asyncio.create_task(stage.log.read(aggregate(run)))
        await stage.lost_one()
        stage.lose_nothing()
        assert [type(event.data) for event in await reading] == [Started, Completed]


async def test_a_late_answer_is_an_answer() -> None:
    async with real() as stage:
        run = await new_run(stage)
        stage.network.delay_s = 0.3
        assert isinstance(await stage.log.append_to_run(run, STARTED, by="host-1"), Run)


async def test_a_partition_that_ends_leaves_one_event(impatient: None) -> None:
    async with real() as stage:
        run = await new_run(stage)
        stage.network.hold()
        with pytest.raises(LogUnavailable):
            await stage.log.append_to_run(run, STARTED, by="host-1", patience_s=0.3)
        stage.network.release()
        answer = await stage.log.append_to_run(run, STARTED, by="host-1")
        assert isinstance(answer, Run)
        assert [event.sequence for event in await stage.near.read(aggregate(run))] == [answer.version]


async def test_a_run_of_more_events_than_one_read_gives_is_read_whole(nats_client: Client, event_log: EventLog) -> None:
    jetstream = nats_client.jetstream()
    run_id = (await jetstream.publish("jobs.trigger.LONG.crm", b"")).seq
    for number in range(1_001):
        await jetstream.publish(f"jobs.run.LONG.{run_id}.started", b"unreadable %d" % number)
    found = await event_log.read_run(run_id)
    assert found is not None
    assert (found[0].version, len(found[1])) == (run_id + 1_001, 1_002)


async def new_run_of(log: EventLog, run_id: int) -> Run:
    found = await log.read_run(run_id)
    assert found
    return found[0]


async def test_what_is_larger_than_the_server_takes_is_refused_at_once_and_alone(
    event_log: EventLog, nats_client: Client
) -> None:
    runs = [await new_run_of(event_log, (await nats_client.jetstream().publish(TRIGGER, b"{}")).seq) for _ in range(20)]
    large = Completed(attempt=1, result={"text": "x" * nats_client.max_payload})
    answers = await asyncio.gather(
        *(event_log.append_to_run(run, STARTED, by="host-1") for run in runs[1:]),
        event_log.append_to_run(runs[0], large, by="host-1"),
        return_exceptions=True,
    )
    assert isinstance(answers[-1], TooLarge)
    assert all(isinstance(answer, Run) for answer in answers[:-1])
