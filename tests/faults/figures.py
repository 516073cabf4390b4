"""What a scenario is, and what it reports: the rows of the table in docs/reliability.md."""

import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import quantiles

from tests.faults.raw_stream import Verdict


@dataclass(frozen=True)
class Report:
    """One scenario that held. done: what was inflicted, `200 kills`; figures: what was measured beside the counts.

    divergent: rows in which the read model differed from the stream; None where no read model was there.
    """

    done: str
    runs: int = 0
    events: int = 0
    lost: int = 0
    doubled: int = 0
    divergent: int | None = None
    figures: str = ""
    fault: str = ""
    seed: int = 0
    took_s: float = 0.0


def report(done: str, *verdicts: Verdict, figures: str = "") -> Report:
    """The report of streams that were judged."""
    return Report(
        done=done,
        runs=sum(verdict.runs for verdict in verdicts),
        events=sum(verdict.events for verdict in verdicts),
        lost=sum(verdict.lost for verdict in verdicts),
        doubled=sum(verdict.doubled for verdict in verdicts),
        figures=figures,
    )


@dataclass(frozen=True)
class Scenario:
    """A fault and the promise that must survive it. few, full: rounds in the tests, and for the figures."""

    fault: str
    play: Callable[[int, int], Awaitable[Report]]
    few: int
    full: int

    async def __call__(self, rounds: int | None = None, seed: int | None = None) -> Report:
        """Raises AssertionError where a promise was broken; the error says the seed."""
        rounds = self.few if rounds is None else rounds
        seed = random.randrange(10**6) if seed is None else seed
        begin = time.monotonic()
        try:
            found = await self.play(rounds, seed)
        except BaseException as error:
            error.add_note(f"scenario: {self.fault}, rounds {rounds}, seed {seed}")
            raise
        return replace(found, fault=self.fault, seed=seed, took_s=time.monotonic() - begin)


SCENARIOS: dict[str, Scenario] = {}
"""By the name of the function that plays it, in the order of the table."""


def scenario(fault: str, *, few: int, full: int) -> Callable[[Callable[[int, int], Awaitable[Report]]], Scenario]:
    """Make `async def name(rounds, seed) -> Report` a scenario that the table knows."""

    def make(play: Callable[[int, int], Awaitable[Report]]) -> Scenario:
        made = SCENARIOS[play.__name__] = Scenario(fault, play, few, full)
        return made

    return make


def spread(seconds: Sequence[float]) -> str:
    """`p50 0.12 s, p99 0.34 s, max 0.40 s`."""
    if not seconds:
        return "none"
    return f"p50 {percentile(seconds, 50):.2f} s, p99 {percentile(seconds, 99):.2f} s, max {max(seconds):.2f} s"


def percentile(values: Sequence[float], percent: int) -> float:
    if len(values) < 2:
        return max(values)
    return quantiles(values, n=100, method="inclusive")[percent - 1]


_HEADINGS = ("fault", "done", "runs", "events", "lost", "doubled", "divergent", "measured", "seed", "took")


def markdown(reports: Iterable[Report]) -> str:
    """The table."""
    rows = [_HEADINGS, tuple("---" for _ in _HEADINGS), *(_row(each) for each in reports)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(found: Report) -> tuple[str, ...]:
    return (
        found.fault,
        found.done,
        f"{found.runs:,}",
        f"{found.events:,}",
        str(found.lost),
        str(found.doubled),
        "–" if found.divergent is None else str(found.divergent),
        found.figures,
        str(found.seed),
        f"{found.took_s:.0f} s",
    )
