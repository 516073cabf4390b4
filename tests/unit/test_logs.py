"""Warnings that come again and again are cut short, and it is said how many."""

import structlog

from services.infra.logs import Calm


def lines(calm: Calm, name: str, count: int, method: str = "warning") -> list[object]:
    """What is left of so many lines: how many each of them says that it stands for besides itself."""
    kept: list[object] = []
    for _ in range(count):
        try:
            kept.append(calm(None, method, {"event": name}).get("left_out"))
        except structlog.DropEvent:
            continue
    return kept


def test_a_flood_is_cut_to_its_begin_and_a_count() -> None:
    now = [0.0]
    calm = Calm(lambda: now[0], burst=3, every_s=10)
    assert lines(calm, "pull_failed", 1000) == [None] * 3
    now[0] = 9.9
    assert lines(calm, "pull_failed", 5) == []
    now[0] = 10
    assert lines(calm, "pull_failed", 5) == [1002, None, None]


def test_what_comes_seldom_and_what_has_another_name_is_said() -> None:
    now = [0.0]
    calm = Calm(lambda: now[0], burst=3, every_s=10)
    lines(calm, "pull_failed", 10)
    assert lines(calm, "nats_disconnected", 2) == [None, None]
    now[0] = 30
    assert lines(calm, "nats_disconnected", 1) == [None]


def test_what_is_only_told_has_an_end_further_away_and_an_error_has_none() -> None:
    calm = Calm(lambda: 0.0, burst=3, told=20)
    assert lines(calm, "attempt_started", 50, "info") == [None] * 20
    assert lines(calm, "job_failed", 50, "error") == [None] * 50
