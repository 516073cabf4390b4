"""Nobody forges, nobody destroys: every account tries every subject in every way that NATS has, and what then stands
in the streams is what its part allows. What is refused is told, in the error callback."""

import asyncio
import itertools
import json
import socket
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from typing import Any

import nats
import pytest
from kronik import subjects
from kronik.events import SlotFired, Triggered
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError

from services.infra.clock import SystemClock
from services.log import accounts
from services.log import connection as nats_connection
from services.log.accounts import ADMINISTRATOR, API, ARCHIVIST, OPERATOR, PROVISIONER, RUNNER, SCHEDULER, SYSTEM
from services.log.append import Entry, EventLog, Expected
from services.log.presence import Beat, Presence, Served, say
from services.log.provision import provision
from tests import servers
from tests.processes import runner
from tests.runs import finished

CRM, ERP, BILLING = "crm", "erp", "billing"
"""Services; billing is a runner of the job B, too."""
EVERYBODY = (PROVISIONER, API, SCHEDULER, RUNNER, OPERATOR, ARCHIVIST, CRM, ERP, BILLING)

WRITERS = {
    "jobs.trigger.A.cron": {SCHEDULER},
    "jobs.trigger.A.chain": {SCHEDULER},
    "jobs.trigger.A.admin": {API},
    "jobs.trigger.A.crm": {CRM},
    "jobs.trigger.A.erp": {ERP},
    "jobs.trigger.A.billing": {BILLING},
    "jobs.trigger.A.operator": set(),
    "jobs.run.B.1.completed": {RUNNER, BILLING},
    "jobs.run.B.1.failed": {RUNNER, SCHEDULER, BILLING},
    "jobs.run.B.1.cancel_requested": {API},
    "jobs.definition.B": {RUNNER, BILLING},
    "joblog.B.1": {RUNNER, BILLING},
    "jobs.run.A.1.started": {RUNNER},
    "jobs.run.A.1.retrying": {RUNNER},
    "jobs.run.A.1.completed": {RUNNER},
    "jobs.run.A.1.abandoned": {RUNNER, SCHEDULER},
    "jobs.run.A.1.failed": {RUNNER, SCHEDULER},
    "jobs.run.A.1.cancelled": {RUNNER, SCHEDULER},
    "jobs.run.A.1.cancel_requested": {API},
    "jobs.slot.A.missed": {SCHEDULER},
    "jobs.definition.A": {RUNNER},
    "jobs.schedule.A": {API},
    "jobs.service.crm": {PROVISIONER},
    "joblog.A.1": {RUNNER},
    "stored.jobs.run.A.1.completed": set(),
}
DESTRUCTION = (
    *(
        f"$JS.API.STREAM.{verb}.JOBS"
        for verb in ("DELETE", "PURGE", "MSG.DELETE", "SNAPSHOT", "RESTORE", "LEADER.STEPDOWN")
    ),
    "$JS.API.STREAM.PEER.REMOVE.JOBS",
    "$JS.API.CONSUMER.DELETE.JOBS.runner-A",
    "$JS.API.CONSUMER.DELETE.JOBS.history-a",
    "$JS.API.CONSUMER.LEADER.STEPDOWN.JOBS.runner-A",
    "$JS.API.CONSUMER.PAUSE.JOBS.runner-A",
    "$JS.API.CONSUMER.UNPIN.JOBS.runner-A",
    "$JS.API.CONSUMER.RESET.JOBS.runner-A",
    "$JS.API.STREAM.CREATE.MIRROR",
    "$JS.API.STREAM.UPDATE.OTHER",
    "$JS.API.META.LEADER.STEPDOWN",
    "$JS.API.ACCOUNT.PURGE.KRONIK",
    "$JS.ACK.JOBS.runner-A.1.1.1.1.0",
    # What an account makes of a call of its own, said by a client.
    "K.API.runner-.CONSUMER.MSG.NEXT.JOBS.history-a",
    "K.API.history.CONSUMER.DELETE.JOBS.runner-A",
    "K.API.CONSUMER.DELETE.JOBS.runner-A",
)
MAY_ASK = (
    "$JS.API.INFO",
    "$JS.API.STREAM.INFO.JOBS",
    "$JS.API.DIRECT.GET.JOBS",
    "$JS.API.DIRECT.GET.JOBS.jobs.trigger.A.crm",
    "$JS.API.DIRECT.GET.JOBS.jobs.run.A.1.>",
    "$JS.API.CONSUMER.LIST.JOBS",
)
_MARK = "jobs.trigger.MARK.x"
FORBIDDEN = "nobody.may.publish.this"


class User:
    """A connection that keeps what the server refuses, in its order."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.refusals: asyncio.Queue[str] = asyncio.Queue()
        self.connection = Client()

    async def connect(self, url: str) -> None:
        async def refused(error: Exception) -> None:
            self.refusals.put_nowait(str(error))

        await self.connection.connect(**{**nats_connection.options(url, "test"), "error_cb": refused})

    async def settled(self) -> list[str]:
        """What was refused since the last look. That nothing more comes shows in the refusal of FORBIDDEN."""
        await self.connection.publish(FORBIDDEN, b"")
        refused = []
        while FORBIDDEN not in (text := await self.refusals.get()):
            assert "permissions violation" in text
            refused.append(text)
        return refused

    async def call(self, api: str, body: object = None) -> dict[str, Any]:
        """JetStream's answer; its error where there is none is `away`."""
        data, within_s = b"" if body is None else json.dumps(body).encode(), 10 if self.name == ADMINISTRATOR else 1
        try:
            answer = await self.connection.request(f"$JS.API.{api}", data, timeout=within_s)
            return dict(json.loads(answer.data or b"{}"))
        except (NatsError, TimeoutError):
            return {"error": "away"}


class Bus:
    """The streams with their users; the administrator looks at what stands in them."""

    def __init__(self, server: servers.NatsServer) -> None:
        self.server = server
        self.users = {name: User(name) for name in (*EVERYBODY, ADMINISTRATOR)}

    async def connect(self) -> None:
        for name, user in self.users.items():
            await user.connect(self.server.user(name))
        await provision(self.users[PROVISIONER].connection, replicas=1)

    async def close(self) -> None:
        for user in self.users.values():
            await nats_connection.close(user.connection)

    async def stored(self) -> dict[str, int]:
        """Every subject of both streams with its number of messages, all that was sent before among them.

        Raises where a stream is gone.
        """
        counts: dict[str, int] = {}
        administrator = self.users[ADMINISTRATOR].connection.jetstream()
        for subject in (_MARK, f"joblog.{_MARK}"):
            await administrator.publish(subject, b"")
        for stream in (subjects.STREAM, subjects.LOG_STREAM):
            answer = await self.users[ADMINISTRATOR].call(f"STREAM.INFO.{stream}", {"subjects_filter": ">"})
            assert "state" in answer, answer
            counts |= answer["state"].get("subjects") or {}
        return {subject: count for subject, count in counts.items() if _MARK not in subject}

    async def created(self) -> list[str]:
        return [
            (await self.users[ADMINISTRATOR].call(f"STREAM.INFO.{stream}"))["created"]
            for stream in (subjects.STREAM, subjects.LOG_STREAM)
        ]


@pytest.fixture
async def bus() -> AsyncIterator[Bus]:
    with servers.nats(users=True) as server:
        made = Bus(server)
        await made.connect()
        yield made
        await made.close()


async def store_bait(bus: Bus) -> None:
    """On a service's own subject: bodies that would be events, orders to JetStream, or nothing at all."""
    admin = {
        "specversion": "1.0",
        "id": "1",
        "source": "/x",
        "type": "kronik.run.triggered.v1",
        "data": {"userId": "1"},
    }
    for body in (json.dumps(admin).encode(), b"{}", b""):
        await bus.users[CRM].connection.jetstream().publish("jobs.trigger.A.crm", body)


async def told(bus: Bus) -> dict[str, list[str]]:
    return {name: await bus.users[name].settled() for name in EVERYBODY}


def _without(subject: str, refused: Iterable[str]) -> bool:
    return not any(f'"{subject.lower()}"' in text for text in refused)


async def test_a_publish_is_stored_only_where_it_is_the_accounts_own_to_write(bus: Bus) -> None:
    for name in EVERYBODY:
        before = await bus.stored()
        for subject in WRITERS:
            await bus.users[name].connection.publish(subject, b"{}")
            await bus.users[name].connection.publish(subject, b"{}", reply="_INBOX.anybody")
        refused = await bus.users[name].settled()
        allowed = {subject for subject, who in WRITERS.items() if name in who}
        assert {subject for subject in WRITERS if _without(subject, refused)} == allowed, name
        after = await bus.stored()
        assert {subject for subject in after if after[subject] != before.get(subject)} == allowed, name


async def test_a_hostile_reply_writes_nothing_and_destroys_nothing(bus: Bus) -> None:
    """nats-server answers on whatever subject a client names, and asks for no right to it."""
    await store_bait(bus)
    before, created = await bus.stored(), await bus.created()
    replies = (*WRITERS, *DESTRUCTION, "K.API.runner-.CONSUMER.CREATE.JOBS.runner-B.jobs.trigger.B.x")
    for name in EVERYBODY:
        for ask, reply in itertools.product(MAY_ASK, replies):
            if name in WRITERS.get(reply, ()):
                continue  # its own to write, with any body at all
            await bus.users[name].connection.publish(ask, b'{"seq":1}' if ask.endswith("JOBS") else b"", reply=reply)
        await bus.users[name].settled()
    assert await bus.stored() == before
    assert await bus.created() == created


async def test_the_answer_to_an_append_is_nobodys_event(bus: Bus) -> None:
    """An own append with a hostile reply: the PubAck was a run of ADMIN:unknown."""
    await bus.users[CRM].connection.publish("jobs.trigger.A.crm", b"{}", reply="jobs.trigger.A.admin")
    await bus.users[RUNNER].connection.publish("joblog.A.1", b"{}", reply="jobs.trigger.A.cron")
    await told(bus)
    assert await bus.stored() == {"jobs.trigger.A.crm": 1, "joblog.A.1": 1}


async def test_a_push_consumer_delivers_nothing_that_is_stored_or_obeyed(bus: Bus) -> None:
    await store_bait(bus)
    before, created = await bus.stored(), await bus.created()
    heard: list[str] = []

    async def hear(message: Any) -> None:
        heard.append(message.subject)

    await bus.users[CRM].connection.subscribe("stored.jobs.run.>", cb=hear)
    for name in EVERYBODY:
        user = bus.users[name]
        for number, deliver in enumerate((*WRITERS, *DESTRUCTION)):
            await user.connection.subscribe(deliver)  # a consumer wakes where somebody listens to the very subject
            for prefix in ("", "runner-", "history-", "schedul-", "archive-"):
                consumer = f"{prefix}{name}{number}"
                config = {"name": consumer, "deliver_subject": deliver, "ack_policy": "none"}
                body = json.dumps({"stream_name": "JOBS", "config": config}).encode()
                await user.connection.publish(f"$JS.API.CONSUMER.CREATE.JOBS.{consumer}", body, reply="_INBOX.x")
        await user.settled()
    await asyncio.sleep(0.5)  # there is nothing to wait for: nothing is to happen
    assert await bus.stored() == before
    assert await bus.created() == created
    # A live message brings the subject that it was stored under: who listens for `stored.` can tell.
    assert [subject for subject in heard if subject.startswith("stored.")] == []


async def test_where_a_message_is_traced_to_nothing_arrives_that_its_sender_may_not_write(bus: Bus) -> None:
    """nats-server tells of a message's way on whatever subject its header names (`Nats-Trace-Dest`)."""
    asks = [*MAY_ASK, "jobs.trigger.A.crm", "joblog.A.1", "jobs.schedule.A", "jobs.slot.A.missed", "jobs.service.crm"]
    created = await bus.created()
    for name in EVERYBODY:
        before = await bus.stored()
        for ask, traced_to in itertools.product(asks, (*WRITERS, *DESTRUCTION)):
            if name not in WRITERS.get(traced_to, ()):
                headers = {"Nats-Trace-Dest": traced_to}
                await bus.users[name].connection.publish(ask, b"", headers=headers)
                await bus.users[name].connection.publish(ask, b"", headers={**headers, "Nats-Trace-Only": "true"})
        await bus.users[name].settled()
        after = await bus.stored()
        changed = {subject for subject in {*before, *after} if after.get(subject) != before.get(subject)}
        assert all(name in WRITERS[subject] for subject in changed), (name, changed)
    assert await bus.created() == created


async def test_batches_that_nobody_ends_keep_no_slot_from_its_trigger(bus: Bus) -> None:
    """Of nats-server's own fifty at a time a service could hold all."""
    crm, batch = bus.users[CRM].connection, {"Nats-Batch-Sequence": "1"}
    for number in range(60):
        await crm.request("jobs.trigger.A.crm", b"", headers={"Nats-Batch-Id": f"open-{number}", **batch}, timeout=5)
    log = EventLog(bus.users[SCHEDULER].connection, SystemClock(), "/kronik/test")
    at = datetime(2026, 11, 27, tzinfo=UTC)
    slot = Entry("jobs.slot.A.fired", SlotFired(scheduled_for=at), "slot", Expected("jobs.slot.A.*", 0))
    run = Entry("jobs.trigger.A.cron", Triggered(scheduled_for=at), "run")
    assert isinstance(await log.append_unit([slot, run], patience_s=1), tuple)


async def test_a_push_consumer_that_asks_in_a_runners_place_makes_runs_late_and_no_more(bus: Bus) -> None:
    """What an account can't stop: nats-server takes a delivery for a pull, and the answer goes where nobody is."""
    deliver, crm = "$JS.API.CONSUMER.MSG.NEXT.JOBS.runner-NAP", bus.users[CRM].connection
    log = EventLog(bus.users[OPERATOR].connection, SystemClock(), "/kronik/test")
    config = {"name": "thief", "deliver_subject": deliver, "ack_policy": "explicit"}
    await crm.jetstream().publish("jobs.trigger.ELSE.crm", b"1")  # as a pull: of one message
    with runner(bus.server.user(RUNNER)):
        pass  # it has made its consumer, and nobody of its own is there to ask
    made = await bus.users[OPERATOR].call("CONSUMER.CREATE.JOBS.thief", {"stream_name": "JOBS", "config": config})
    assert "error" not in made
    run_id = (await crm.jetstream().publish("jobs.trigger.NAP.crm", b'{"ms": 1}')).seq
    async with asyncio.timeout(10):
        while (await bus.users[ADMINISTRATOR].call("CONSUMER.INFO.JOBS.runner-NAP"))["num_ack_pending"] == 0:
            pass
    assert "error" not in await bus.users[OPERATOR].call("CONSUMER.DELETE.JOBS.thief")  # or it would go on
    with runner(bus.server.user(RUNNER)):
        run = await finished(log, run_id)
    assert (run.status, run.attempt, run.ignored) == ("SUCCESS", 1, 0)


async def test_orders_to_destroy_are_refused(bus: Bus) -> None:
    await store_bait(bus)
    before, created = await bus.stored(), await bus.created()
    for name in EVERYBODY:
        for order in DESTRUCTION:
            if (name, order) == (ARCHIVIST, "$JS.API.STREAM.PURGE.JOBS"):
                continue
            await bus.users[name].connection.publish(order, b"", reply="_INBOX.x")
            refused = await bus.users[name].settled()
            if name != RUNNER or not order.startswith("$JS.ACK"):
                assert refused or "CONSUMER" in order, f"{name} is not told that it may not {order}"
    assert (await bus.stored(), await bus.created()) == (before, created)
    assert (await bus.users[ARCHIVIST].call("STREAM.PURGE.JOBS", {"seq": 2}))["purged"] == 1


async def test_consumers_are_their_makers_alone(bus: Bus) -> None:
    """Nobody pulls a runner's deliveries or changes the projector's consumer, whatever the words of the call."""
    own = {
        RUNNER: "runner-A",
        API: "history-a",
        SCHEDULER: "scheduler-a-runs",
        ARCHIVIST: "archive-a",
        OPERATOR: "watch",
        BILLING: "runner-B",
    }
    for name, consumer in own.items():
        assert "error" not in await bus.users[name].call(*_creation(consumer)[:2]), name
    assert {c["name"] for c in (await bus.users[OPERATOR].call("CONSUMER.LIST.JOBS"))["consumers"]} == set(own.values())
    await bus.users[CRM].connection.jetstream().publish("jobs.trigger.A.crm", b"{}")
    calls = [(name, call) for name in EVERYBODY for consumer in own.values() for call in _tampering(consumer)]
    allowed = {*own.items(), (RUNNER, own[BILLING])}
    hostile = [(name, call) for name, call in calls if not any(name == who and of in str(call) for who, of in allowed)]
    answers = await asyncio.gather(*(bus.users[name].call(*call) for name, call in hostile))
    assert [asked for asked, answer in zip(hostile, answers, strict=True) if "error" not in answer] == []
    for consumer in own.values():
        info = await bus.users[ADMINISTRATOR].call(f"CONSUMER.INFO.JOBS.{consumer}")
        assert (info["config"]["filter_subject"], info["num_ack_pending"]) == (_creation(consumer)[2], 0)


def _tampering(consumer: str) -> list[tuple[str, Any]]:
    config = {"name": consumer, "filter_subject": "jobs.trigger.C.*"}
    body = {"stream_name": "JOBS", "config": config}
    return [
        _creation(consumer, "jobs.trigger.C.*")[:2],
        (f"CONSUMER.CREATE.JOBS.{consumer}", body),
        ("CONSUMER.CREATE.JOBS", body),
        (f"CONSUMER.DURABLE.CREATE.JOBS.{consumer}", body),
        (f"CONSUMER.DELETE.JOBS.{consumer}", None),
        (f"CONSUMER.MSG.NEXT.JOBS.{consumer}", {"batch": 1, "no_wait": True}),
    ]


def _creation(consumer: str, filter: str = "") -> tuple[str, dict[str, Any], str]:
    """The call, its body, and the filter: by default its own job's."""
    filter = filter or f"jobs.trigger.{'B' if consumer == 'runner-B' else 'A'}.*"
    config = {"name": consumer, "durable_name": consumer, "ack_policy": "explicit", "filter_subject": filter}
    return f"CONSUMER.CREATE.JOBS.{consumer}.{filter}", {"stream_name": "JOBS", "config": config}, filter


async def test_a_runner_of_one_job_does_its_runs_and_no_others(bus: Bus) -> None:
    """A stolen password of theirs ends nobody else's run and defines nobody else's job."""
    asked = await bus.users[BILLING].connection.jetstream().publish("jobs.trigger.B.billing", b"{}")
    billing = bus.users[BILLING]
    await billing.call(*_creation("runner-B")[:2])
    pull = await billing.connection.jetstream().pull_subscribe_bind(durable="runner-B", stream="JOBS")
    (delivery,) = await pull.fetch(1)
    assert delivery.metadata.sequence.stream == asked.seq
    await delivery.ack_sync(timeout=5)
    assert "error" in await billing.call("CONSUMER.MSG.NEXT.JOBS.runner-A", {"batch": 1, "no_wait": True})
    assert await billing.settled() == [
        'nats: permissions violation for publish to "$js.api.consumer.msg.next.jobs.runner-a"'
    ]


async def test_a_service_hears_of_runs_and_of_nothing_else(bus: Bus) -> None:
    user = bus.users[CRM]
    heard = await user.connection.subscribe("stored.jobs.run.>")
    for subject in ("jobs.>", "stored.>", "stored.jobs.trigger.>", "joblog.>", "$JS.EVENT.ADVISORY.>", ">"):
        await user.connection.subscribe(subject)
        assert await user.settled(), subject
    ack = await user.connection.jetstream().publish("jobs.trigger.A.crm", b"")
    await bus.users[RUNNER].connection.publish(f"jobs.run.A.{ack.seq}.started", b"{}")
    message = await heard.next_msg(timeout=5)
    assert (message.subject, message.headers["Nats-Sequence"]) == (f"stored.jobs.run.A.{ack.seq}.started", "2")
    last = await user.connection.jetstream().get_last_msg("JOBS", f"jobs.run.A.{ack.seq}.>", direct=True)
    assert last.seq == 2
    with pytest.raises((NatsError, JetStreamError)):
        await user.connection.jetstream(timeout=0.3).get_last_msg("JOBS", "jobs.trigger.A.erp", direct=True)


async def test_only_runners_say_that_they_are_there_and_the_api_and_the_operator_hear_it(bus: Bus) -> None:
    beat = Beat("host-1", "host-1-abc", datetime(2026, 11, 27, tzinfo=UTC), {"A": Served(1, "x")})
    heard = {name: Presence() for name in (API, OPERATOR, RUNNER)}
    for name, presence in heard.items():
        await presence.listen(bus.users[name].connection)
        await bus.users[name].connection.flush()
    for name in {*EVERYBODY} - {RUNNER}:
        await say(bus.users[name].connection, beat)
        assert await bus.users[name].settled()
    assert [presence.living() for presence in heard.values()] == [[], [], []]
    async with asyncio.timeout(10):
        while not all(presence.living() for presence in heard.values()):
            await say(bus.users[RUNNER].connection, beat)
            await asyncio.sleep(0.02)


async def test_the_operator_watches_with_any_nats_client(bus: Bus) -> None:
    await bus.users[CRM].connection.jetstream().publish("jobs.trigger.A.crm", b"{}")
    operator = bus.users[OPERATOR].connection
    stream = operator.jetstream()
    assert (await stream.stream_info("JOBS")).state.messages == 1
    pull = await stream.pull_subscribe("jobs.>", stream="JOBS")
    assert [message.subject for message in await pull.fetch(1)] == ["jobs.trigger.A.crm"]
    log = EventLog(operator, SystemClock(), "/kronik/test")
    last = await log.last("jobs.>")
    assert last is not None
    assert [event.sequence for event in await log.read("jobs.trigger.A.*")] == [last.sequence]
    assert await bus.users[OPERATOR].settled() == []


@pytest.mark.parametrize("name", ["Crm", "cron", "admin", "chain", "a.b", "*", "", "runner", "system"])
def test_a_service_is_not_named_as_kronik_itself(name: str) -> None:
    with pytest.raises(subjects.InvalidName):
        accounts.service_part(name)


async def test_a_service_takes_no_more_connections_than_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(accounts.LIMITS, "max_connections", 2)
    with servers.nats(users=True) as server:
        mine = [await nats.connect(server.user(CRM)) for _ in range(2)]
        hello = b'CONNECT {"user":"crm","pass":"crm-secret","verbose":false}\r\nPING\r\n'
        assert b"maximum account active connections exceeded" in _answers(server.port, hello)
        mine.append(await nats.connect(server.user(ERP)))
        for connection in mine:
            await connection.close()


def _answers(port: int, said: bytes) -> bytes:
    """All that a server answers before it closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(said)
        return b"".join(iter(lambda: connection.recv(4096), b""))


def test_without_credentials_nobody_gets_in(nats_with_users: servers.NatsServer) -> None:
    answers = _answers(nats_with_users.port, b'CONNECT {"verbose":false}\r\nPING\r\n')
    assert b"Authorization Violation" in answers
    assert b"PONG" not in answers


async def test_the_system_user_sees_the_server(nats_with_users: servers.NatsServer) -> None:
    connection = await nats.connect(nats_with_users.user(SYSTEM))
    answer = json.loads((await connection.request("$SYS.REQ.SERVER.PING", b"", timeout=2)).data)
    assert answer["server"]["name"] == "kronik"
    await connection.close()
