"""The invariants find what they are there to find."""

import pytest

from tests.invariants import Fact, violations

TRIGGER = Fact(1, "jobs.trigger.NAP.crm")


def event(sequence: int, name: str, attempt: int = 1, **data: object) -> Fact:
    return Fact(sequence, f"jobs.run.NAP.1.{name}", f"e{sequence}", {"attempt": attempt, **data})


GOOD = [TRIGGER, event(2, "started"), event(3, "completed")]


def test_a_good_life_violates_nothing() -> None:
    assert violations(GOOD) == []
    retried = [event(2, "started"), event(3, "retrying"), event(4, "started", 2), event(5, "abandoned", 2)]
    assert violations([TRIGGER, *retried, event(6, "started", 3), event(7, "failed", 3)]) == []


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ([TRIGGER], "has no end"),
        ([TRIGGER, event(2, "started")], "has no end"),
        ([*GOOD, event(4, "failed")], "failed at 4 after its end"),
        ([*GOOD, event(4, "started", 2)], "started at 4 after its end"),
        ([TRIGGER, event(2, "started"), event(3, "started", 2)], "while attempt 1 was under way"),
        ([TRIGGER, event(2, "completed", 0)], "without an attempt under way"),
        ([TRIGGER, event(2, "started", 2)], "attempt 2 follows attempt 0"),
        ([TRIGGER, event(2, "started"), event(3, "completed", 2)], "completed of attempt 2"),
        ([event(2, "started")], "belongs to no trigger"),
        ([Fact(1, "jobs.trigger.NAP.crm", "x"), Fact(2, "jobs.trigger.NAP.crm", "x")], "event id x stands 2 times"),
        (
            [
                Fact(1, "jobs.slot.NAP.fired", "", {"scheduledFor": "t"}),
                Fact(2, "jobs.trigger.NAP.cron", "", {"scheduledFor": "t"}),
                Fact(3, "jobs.slot.NAP.missed", "", {"scheduledFor": "t"}),
            ],
            "accounted for 2 times",
        ),
        ([Fact(1, "jobs.trigger.NAP.cron", "", {"scheduledFor": "t"})], "has no slot beside it"),
        ([Fact(1, "jobs.slot.NAP.fired", "", {"scheduledFor": "t"})], "has no trigger beside it"),
    ],
)
def test_a_broken_promise_is_found(facts: list[Fact], problem: str) -> None:
    assert any(problem in violation for violation in violations(facts))
