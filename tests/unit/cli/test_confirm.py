"""`kronik trigger` of a job that wants to be confirmed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from services.cli import runs
from services.cli.usage import BadUsage

RUN: dict[str, Any] = {"id": 3, "jobType": "PURGE", "status": "RUNNING", "durationMs": None}


class Calls:
    """The API as far as a trigger needs it."""

    def __init__(self) -> None:
        self.asked: list[bool] = []

    def post(
        self, path: str, body: object, *, query: list[tuple[str, object]], key: str | None = None
    ) -> dict[str, Any]:
        dry = query == [("dryRun", True)]
        self.asked.append(dry)
        return {"jobType": "PURGE", "does": "", "confirm": {"en": "Delete everything?"}} if dry else RUN


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    made = Calls()

    @contextmanager
    def connect(_: object) -> Iterator[Calls]:
        yield made

    monkeypatch.setattr(runs.api, "connect", connect)
    monkeypatch.setattr(runs.target, "find", lambda: None)
    return made


def test_nothing_runs_without_a_yes(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs.terminal, "confirmed", lambda question: question != "Delete everything?")
    with pytest.raises(BadUsage, match=r"PURGE was not run: Delete everything\? Confirm it with --yes"):
        runs.trigger_command("PURGE")
    assert calls.asked == [True]


def test_a_yes_at_the_terminal_or_in_the_command_runs_it(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs.terminal, "confirmed", lambda question: question == "Delete everything?")
    assert runs.trigger_command("PURGE") == 0
    assert calls.asked == [True, False]
    assert runs.trigger_command("PURGE", yes=True) == 0
    assert calls.asked == [True, False, False]
