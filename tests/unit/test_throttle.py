"""Whoever guesses has to wait; whoever was right before does not, and nobody else."""

import pytest

from services.api.front.throttle import BACK_AFTER_S, TRIES, Throttle, network


def guessed(address: str, times: int, now_s: float = 0.0) -> Throttle:
    throttle = Throttle()
    for number in range(times):
        assert throttle.was_wrong(address, number.to_bytes(2), now_s)
    return throttle


def test_the_tries_of_an_address_come_back_one_by_one() -> None:
    throttle = guessed("192.0.2.1", TRIES)
    assert guessed("192.0.2.1", TRIES - 1).wait_s("192.0.2.1", 0) == 0
    assert throttle.wait_s("192.0.2.1", 0) == BACK_AFTER_S
    assert throttle.wait_s("192.0.2.1", BACK_AFTER_S - 1) == pytest.approx(1)
    assert throttle.wait_s("192.0.2.1", BACK_AFTER_S) == 0
    throttle.was_wrong("192.0.2.1", b"x", BACK_AFTER_S)
    assert throttle.wait_s("192.0.2.1", BACK_AFTER_S) == pytest.approx(BACK_AFTER_S)
    assert throttle.wait_s("192.0.2.2", 0) == 0


def test_a_network_of_ipv6_is_one_address() -> None:
    throttle = guessed("2001:db8::1", TRIES)
    assert throttle.wait_s("2001:db8::ffff:1", 0) > 0
    assert throttle.wait_s("2001:db8:0:1::1", 0) == 0


@pytest.mark.parametrize("address", ["", "?", "testclient", "::ffff:192.0.2.1", "192.0.2.1"])
def test_what_is_no_network_stands_for_itself(address: str) -> None:
    assert network(address) == address


def test_the_same_wrong_secret_again_is_no_guess() -> None:
    throttle = guessed("192.0.2.1", 1)
    assert not any(throttle.was_wrong("192.0.2.1", b"\0\0", 0) for _ in range(100))
    assert throttle.wait_s("192.0.2.1", 0) == 0
    assert throttle.was_wrong("192.0.2.2", b"\0\0", 0)


def test_a_secret_is_known_while_it_is_right() -> None:
    throttle = Throttle()
    throttle.was_right(b"a")
    assert throttle.is_known(b"a")
    throttle.was_wrong("192.0.2.1", b"a", 0)
    assert not throttle.is_known(b"a")


def test_memory_is_bounded() -> None:
    throttle = Throttle()
    for number in range(20_000):
        throttle.was_wrong(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", number.to_bytes(4), 0)
        throttle.was_right(number.to_bytes(4))
    assert len(throttle._used) <= 10_000
    assert len(throttle._right) <= 1_000
    assert len(throttle._wrong) <= 1_000
