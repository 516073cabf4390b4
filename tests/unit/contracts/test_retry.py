from datetime import timedelta

import pytest
from kronik import InvalidJob, Retry, days, hours, minutes, seconds


@pytest.mark.parametrize("attempts", [0, -1, 101])
def test_attempts_are_1_to_100(attempts: int) -> None:
    with pytest.raises(InvalidJob, match="1 to 100"):
        Retry(attempts=attempts)
    assert Retry(attempts=1).attempts == 1
    assert Retry(attempts=100).attempts == 100


@pytest.mark.parametrize(
    ("wait", "max_wait"), [(seconds(-1), seconds(5)), (seconds(6), seconds(5)), (seconds(1), timedelta.max)]
)
def test_pauses_are_in_order_and_at_most_30_days(wait: timedelta, max_wait: timedelta) -> None:
    with pytest.raises(InvalidJob, match="max_wait"):
        Retry(wait=wait, max_wait=max_wait)
    assert Retry(wait=seconds(0), max_wait=seconds(0)).wait == timedelta(0)
    assert Retry(wait=days(30), max_wait=days(30)).max_wait == hours(720)


def test_durations_read_as_they_are_spoken() -> None:
    assert minutes(1.5) == seconds(90)
    assert days(1) == hours(24)
