"""What readiness says of the others, from what the consumers say."""

from datetime import UTC, datetime

from services.api.surroundings import troubles
from services.log.jetstream import ConsumerInfo, Sequences, StreamInfo, StreamState

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def consumer(name: str, *, waiting: int = 1, pending: int = 0, paused: bool = False) -> ConsumerInfo:
    at = Sequences(0)
    return ConsumerInfo(name, {}, at, at, 0, pending, waiting, paused)


FEEDS = [consumer("scheduler-one-schedules"), consumer("scheduler-one-runs")]


def test_all_is_well() -> None:
    assert troubles(["A"], [], [consumer("runner-A"), *FEEDS]) == []
    assert troubles([], [], []) == []


def test_each_trouble_is_said_with_its_name() -> None:
    (said,) = troubles(["A", "B"], ["B"], FEEDS)
    assert "no runner serves B" in said
    (said,) = troubles(["A"], [], [consumer("runner-A", paused=True), *FEEDS])
    assert "runner-A is paused" in said
    (said,) = troubles(["A"], [], FEEDS[:1])
    assert "no scheduler follows the stream (runs)" in said
    assert len(troubles(["A"], [], [consumer("scheduler-one-runs", waiting=0), FEEDS[0]])) == 1
    assert troubles(["A"], [], [consumer("scheduler-one-runs", waiting=0, pending=9), FEEDS[0]]) == []


def test_a_stream_is_full_when_nothing_more_fits() -> None:
    def full(messages: int, size: int, **limits: int) -> bool:
        return StreamInfo(NOON, dict(limits), "", StreamState(messages, 1, messages, size)).full

    assert not full(10**9, 10**12, max_bytes=-1, max_msgs=-1)
    assert full(5, 100, max_msgs=5)
    assert not full(4, 100, max_msgs=5)
    assert full(5, 950_000, max_bytes=1_000_000)
    assert not full(5, 900_000, max_bytes=1_000_000)
