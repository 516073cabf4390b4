"""A rebuild and a verify, in words."""

from typing import Any

import msgspec
from msgspec import Raw

from services.api.history.rebuild import Diff, RebuildReport
from services.api.history.verify import Difference, VerifyReport
from services.api.history.work import Work
from services.api.panel.views.proof import proof
from tests.unit.panel.runs import NOW
from tests.unit.panel.test_views import DA, EN

_VERIFIED: dict[str, Any] = {"first": 1, "last": 1200, "runs": 340, "too_old": 0, "seconds": 1.5}
_REBUILT: dict[str, Any] = {
    "first": 1,
    "last": 1200,
    "runs": 340,
    "parked": 1,
    "seconds": 1.5,
    "events_per_s": 800.4,
    "carried_over": 0,
    "added": 2,
    "changed": 3,
    "removed": 0,
    "fields": {"status": 1, "duration_ms": 3},
    "mismatch": None,
}


def a_work(kind: Any, **given: Any) -> Work:
    plain: dict[str, Any] = {
        "kind": kind,
        "id": "a",
        "by": "ADMIN:1",
        "state": "done",
        "begun_at": NOW,
        "ended_at": None,
        "seconds": 1.5,
        "phase": "folding",
        "position": 600,
        "total": 1200,
        "diff": None,
        "report": None,
        "problem": None,
    }
    return Work(**{**plain, **given})


def raw(told: msgspec.Struct) -> Raw:
    return Raw(msgspec.json.encode(told))


def test_while_it_is_at_work_it_says_how_far_it_is() -> None:
    shown = proof("rebuild", a_work("rebuild", state="running"), DA)
    assert (shown.state, shown.progress) == ("i gang", "læser hændelserne · 600 af 1.200 hændelser · 1,5 s")
    assert (shown.to_come, shown.outcome) == (None, None)


def test_before_the_swap_the_difference_is_a_table_in_words() -> None:
    diff = Diff(2, 3, 0, {"status": 1, "duration_ms": 3})
    shown = proof("rebuild", a_work("rebuild", state="waiting", diff=raw(diff)), DA)
    assert shown.to_come
    assert [(one.label, one.text) for one in shown.to_come.changes] == [
        ("Kørsler, der kommer til", "2"),
        ("Kørsler, der ændres", "3"),
        ("Kørsler, der udgår", "0"),
    ]
    assert [(one.label, one.text) for one in shown.to_come.fields] == [
        ("duration_ms", "i 3 kørsler"),
        ("status", "i 1 kørsel"),
    ]


def test_a_swap_that_changes_nothing_says_so_and_so_does_the_first_there_is() -> None:
    def told(diff: Diff) -> str:
        shown = proof("rebuild", a_work("rebuild", state="waiting", diff=raw(diff)), EN)
        return shown.to_come.text if shown.to_come else ""

    assert told(Diff(0, 0, 0)) == "Nothing: the history is what the events tell."
    assert told(Diff()) == "There was no history to compare it with: all of it is new."


def test_what_came_of_a_rebuild_is_a_table() -> None:
    shown = proof("rebuild", a_work("rebuild", report=raw(RebuildReport(**_REBUILT))), EN)
    assert shown.outcome
    said = {one.label: one.text for one in (*shown.outcome.figures, *shown.outcome.changes)}
    assert (said["Events read"], said["Runs that come in"], said["Events a second"]) == ("1 – 1,200", "2", "800")


def test_what_differs_is_listed_row_by_row() -> None:
    differences = [
        Difference("run", "7", "changed", "status", "FAILED", "SUCCESS"),
        Difference("run", "9", "missing"),
        Difference("slot", "11", "surplus"),
    ]
    report = VerifyReport(**_VERIFIED, differing=3, differences=differences)
    shown = proof("verify", a_work("verify", report=raw(report)), DA)
    assert shown.outcome
    assert shown.outcome.text.startswith("3 rækker vises anderledes")
    assert [(one.what, one.run, one.how, one.field, one.served, one.told) for one in shown.outcome.differences] == [
        ("Kørsel 7", "7", "er anderledes", "status", "FAILED", "SUCCESS"),
        ("Kørsel 9", "", "mangler", "", "", ""),
        ("Oversprunget tidspunkt 11", "", "burde ikke være der", "", "", ""),
    ]


def test_of_many_differences_a_hundred_are_shown() -> None:
    differences = [Difference("run", str(id), "missing") for id in range(150)]
    report = VerifyReport(**_VERIFIED, differing=150, differences=differences)
    shown = proof("verify", a_work("verify", report=raw(report)), DA)
    assert shown.outcome
    assert (len(shown.outcome.differences), shown.outcome.more) == (100, 50)


def test_what_an_earlier_version_reported_is_left_out() -> None:
    assert proof("verify", a_work("verify", report=Raw(b'{"ok": true}')), DA).outcome is None
