"""What a benchmark answers, and how it is written down."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct


class Figure(Struct, frozen=True):
    """what was measured, the value with its unit, and how."""

    what: str
    value: str
    how: str


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def latency(what: str, seconds: Sequence[float], how: str) -> Figure:
    p50, p99 = (percentile(seconds, percent) * 1000 for percent in (50, 99))
    return Figure(what, f"p50 {p50:.1f} ms, p99 {p99:.1f} ms", how)


def rate(what: str, count: int, seconds: float, unit: str, how: str) -> Figure:
    return Figure(what, f"{count / seconds:,.0f} {unit}/s", f"{count:,} in {seconds:.1f} s; {how}")


def markdown(figures: Sequence[Figure]) -> str:
    rows: list[Any] = [("what", "measured", "how"), ("---", "---", "---")]
    rows += [(figure.what, figure.value, figure.how) for figure in figures]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
