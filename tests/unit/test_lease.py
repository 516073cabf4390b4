"""What a runner knows of its own leases, without a server."""

import asyncio
import threading

import pytest
from nats.aio.client import Client

from services.infra.clock import monotonic_s
from services.runner import lease
from services.runner.lease import LeaseKeeper

ACK_WAIT_S = 30.0


def keeper() -> LeaseKeeper:
    return LeaseKeeper("nats://nowhere", "test", ACK_WAIT_S)


def test_a_lease_counts_from_when_its_delivery_was_asked_for() -> None:
    leases, now = keeper(), monotonic_s()
    leases.hold(1, "fresh", since_s=now, for_s=60)
    leases.hold(2, "lay in a socket while the process was stopped", since_s=now - ACK_WAIT_S, for_s=60)
    assert not leases.lapsed(1)
    assert leases.lapsed(2)


def test_a_lapsed_lease_beats_again_once_the_stream_says_whose_the_run_is() -> None:
    leases = keeper()
    leases.hold(1, "reply", since_s=monotonic_s() - ACK_WAIT_S, for_s=60)
    assert leases._due(monotonic_s()) == {}
    leases.confirm(1)
    leases.confirm(2)  # released meanwhile
    assert leases._due(monotonic_s()) == {1: "reply"}


def test_a_run_delivered_again_to_its_holder_is_answered_on_the_new_delivery() -> None:
    leases = keeper()
    leases.hold(1, "first", since_s=monotonic_s() - ACK_WAIT_S, for_s=60)
    assert leases.adopt(1, "second")
    assert (leases.reply(1), leases.lapsed(1)) == ("second", False)
    assert not leases.adopt(2, "nobody's")


async def test_after_an_outage_the_silence_of_others_proves_nothing_for_a_while() -> None:
    leases = keeper()
    assert leases.truce_s() == 0
    assert await leases.run_once(Client()) == 0
    assert ACK_WAIT_S < leases.truce_s() < 2 * ACK_WAIT_S


@pytest.mark.parametrize("ends", [RuntimeError, asyncio.CancelledError, SystemExit])
def test_whatever_ends_the_beating_it_begins_again(ends: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    tries, third = iter(range(10)), threading.Event()

    async def connect(*_: object) -> Client:
        if next(tries) == 2:
            third.set()
        raise ends

    monkeypatch.setattr(lease.nats_connection, "connect", connect)
    monkeypatch.setattr(lease, "_AGAIN_AFTER_S", 0)
    leases = keeper()
    leases.start()
    try:
        assert third.wait(10)
    finally:
        leases.stop()
