"""A nats-server of one node that is killed while it stages, stores and clears away batches."""

import asyncio
import itertools
import random
from collections import Counter

from kronik import subjects
from kronik.events import SlotFired, Triggered

from services.infra.clock import SystemClock
from services.infra.lifecycle import end
from services.log import connection as nats_connection
from services.log.append import Entry, EventLog, Expected
from services.log.provision import provision
from tests import servers
from tests.faults.figures import Report, scenario
from tests.faults.raw_stream import RawStream
from tests.scheduling import next_minute

_TOGETHER = 40
_SLOT = next_minute()


@scenario("kill -9 nats-server while it stores batches", few=4, full=50)
async def killed_in_a_batch(rounds: int, seed: int) -> Report:
    """Slots and their triggers, forty at a time: each stands with the other or not at all, and all that was said to."""
    chance = random.Random(seed)
    said: set[int] = set()
    with servers.nats() as server:
        connection = await nats_connection.connect(server.url, "test")
        await provision(connection, replicas=1)
        log = EventLog(connection, SystemClock(), "/kronik/test")
        for number in range(rounds):
            stored = asyncio.Event()
            firing = asyncio.create_task(_fire(log, f"R{number}", said, stored))
            await asyncio.wait_for(stored.wait(), 10)
            await asyncio.sleep(chance.uniform(0, 0.02))
            server.kill()
            await end([firing])
            server.start()
        facts = (await RawStream(connection).refresh()).facts
        await nats_connection.close(connection)
        completed = server.log.read_text().count("Restoring partial batch")
    halves = Counter(fact.subject.split(".")[2] for fact in facts)
    assert set(halves.values()) == {2}, [job for job, count in halves.items() if count != 2]
    assert said <= {fact.sequence for fact in facts}
    return Report(
        f"{rounds} kills, {len(said)} acknowledged",
        events=len(facts),
        figures=f"0 acknowledged lost, 0 torn; {completed} batches completed at a start",
    )


async def _fire(log: EventLog, prefix: str, said: set[int], stored: asyncio.Event) -> None:
    """Until cancelled. said: the sequences that were acknowledged; stored: set with the first of them."""

    async def one(job: str) -> None:
        guard = Expected(subjects.slots_of(job), 0)
        trigger = Entry(subjects.trigger(job, subjects.CRON), Triggered(scheduled_for=_SLOT), f"{job}.run")
        fired = Entry(subjects.slot(job, "fired"), SlotFired(scheduled_for=_SLOT), job, guard)
        answer = await log.append_unit([trigger, fired])
        assert isinstance(answer, tuple)
        said.update(each.sequence for each in answer)
        stored.set()

    for number in itertools.count(step=_TOGETHER):
        await asyncio.gather(*(one(f"{prefix}_{number + each}") for each in range(_TOGETHER)))


async def test_no_batch_is_torn_when_the_server_is_killed() -> None:
    await killed_in_a_batch()
