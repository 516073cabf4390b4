"""What must hold of any stream Kronik has written, whatever died. Written once, used by the fault tests and the model.

It reads plain facts (sequence, subject, the event's data as a dict) and shares nothing with the code under test:
neither its fold nor its subjects.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

TERMINAL = {"completed", "failed", "cancelled"}
_TRIGGER = re.compile(r"jobs\.trigger\.([A-Z][A-Z0-9_]{0,63})\.([a-z][a-z0-9_-]{0,31})")
_RUN = re.compile(r"jobs\.run\.([A-Z][A-Z0-9_]*)\.(\d+)\.([a-z_]+)")
_SLOT = re.compile(r"jobs\.slot\.([A-Z][A-Z0-9_]*)\.([a-z]+)")


@dataclass(frozen=True)
class Fact:
    """One message of the stream. id: the event's; data: its payload, {} where it has none."""

    sequence: int
    subject: str
    id: str = ""
    data: dict[str, Any] = field(default_factory=dict)


def violations(facts: Iterable[Fact], *, settled: bool = True, put_back: bool = False) -> list[str]:
    """Every broken promise, in words; none is what is wanted.

    settled: everything has had the time to end, so that a run without an end is a violation too.
    put_back: a clock was, so that slots of the future that never came have come again.
    """
    facts = list(facts)
    jobs = {fact.sequence: match[1] for fact in facts if (match := _TRIGGER.fullmatch(fact.subject))}
    runs: dict[int, list[Fact]] = {run_id: [] for run_id in jobs}
    found: list[str] = []
    for fact in facts:
        match = _RUN.fullmatch(fact.subject)
        if match is None:
            continue
        run_id = int(match[2])
        if jobs.get(run_id) != match[1] or fact.sequence <= run_id:
            found.append(f"{fact.subject} at {fact.sequence} belongs to no trigger")
            continue
        runs[run_id].append(fact)
    for run_id, events in runs.items():
        found += [f"run {run_id}: {problem}" for problem in _life(events, settled)]
    slots = [each for each in _slots(facts) if not (put_back and "is accounted for" in each)]
    return found + slots + _ids(facts)


def _life(events: Sequence[Fact], settled: bool) -> list[str]:
    """One run's events, in order: attempts 1, 2, 3… each ended before the next, one end, nothing behind it."""
    found: list[str] = []
    attempt, executing, ended = 0, False, False
    for fact in events:
        name = fact.subject.rsplit(".", 1)[1]
        if ended:
            found.append(f"{name} at {fact.sequence} after its end")
            continue
        said = fact.data.get("attempt", attempt)
        if name == "started":
            if executing:
                found.append(f"attempt {said} started at {fact.sequence} while attempt {attempt} was under way")
            if said != attempt + 1:
                found.append(f"attempt {said} follows attempt {attempt} at {fact.sequence}")
            attempt, executing = said, True
        elif name != "cancel_requested":
            if said != attempt:
                found.append(f"{name} of attempt {said} at {fact.sequence} during attempt {attempt}")
            if name in {"completed", "retrying", "abandoned"} and not executing:
                found.append(f"{name} at {fact.sequence} without an attempt under way")
            executing, ended = False, name in TERMINAL
    if settled and not ended:
        found.append("has no end")
    return found


def _slots(facts: Iterable[Fact]) -> list[str]:
    """A slot has one event in its job's ledger, and one that fired its trigger right beside it: before it since 0.2."""
    accounts: dict[tuple[str, str], list[str]] = defaultdict(list)
    torn: list[str] = []
    waits: _Half | None = None
    for fact in facts:
        if slot := _SLOT.fullmatch(fact.subject):
            accounts[slot[1], fact.data.get("scheduledFor") or ""].append(f"{slot[2]} at {fact.sequence}")
        half = _half(fact)
        if waits is not None and half is not None and waits.is_beside(half):
            waits = None
            continue
        if waits is not None:
            torn.append(str(waits))
        waits = half
    if waits is not None:
        torn.append(str(waits))
    return torn + [
        f"slot {at} of {job} is accounted for {len(ways)} times: {', '.join(ways)}"
        for (job, at), ways in accounts.items()
        if len(ways) != 1
    ]


class _Half(NamedTuple):
    """Of a slot that fired and its trigger."""

    sequence: int
    what: str
    job: str
    at: str

    def is_beside(self, other: "_Half") -> bool:
        return (self.sequence + 1, self.job, self.at) == (other.sequence, *other[2:]) and self.what != other.what

    def __str__(self) -> str:
        other = "trigger" if self.what == "slot" else "slot"
        return f"the {self.what} of {self.at} at {self.sequence} has no {other} beside it"


def _half(fact: Fact) -> _Half | None:
    at = fact.data.get("scheduledFor") or ""
    trigger, slot = _TRIGGER.fullmatch(fact.subject), _SLOT.fullmatch(fact.subject)
    if trigger and trigger[2] == "cron" and at:
        return _Half(fact.sequence, "trigger", trigger[1], at)
    return _Half(fact.sequence, "slot", slot[1], at) if slot and slot[2] == "fired" else None


def _ids(facts: Iterable[Fact]) -> list[str]:
    counts = Counter(fact.id for fact in facts if fact.id)
    return [f"event id {name} stands {count} times" for name, count in counts.items() if count > 1]
