"""What cards, rows and a run's page say."""

import msgspec
import pytest
from kronik.events import Pause, ScheduleChanged, Warning

from services.api.history.queries import Slot
from services.api.job_log import Line, Progress
from services.api.panel import presentation
from services.api.panel.presentation import LastRun
from services.words.language import language
from tests.unit.panel.runs import DAILY_SHOW, IMPORT_SHOW, NIGHTLY, NOW, a_run, copenhagen, definition, job

DA, EN = language("da"), language("en")


def last(**fields: object) -> LastRun:
    return presentation.last_run(a_run(**fields), definition(show=DAILY_SHOW), None, NOW, DA)


def test_a_success_is_its_date_and_its_figures() -> None:
    shown = last(result_summary='{"consume":{"consumed":2},"close":{"closed":45},"transact":{"created":45}}')
    assert (shown.icon.sign, shown.icon.tone, shown.when.text) == ("✅", "success", "I går 02:00")
    assert shown.summary == "Dinners consumed: 2, Orders closed: 45, Transactions: 45"
    assert (shown.note, shown.trouble) == ("", "")


def test_a_single_warning_is_shown_itself() -> None:
    shown = last(status="PARTIAL", warnings=[Warning("1 household kunne ikke opdateres")], warning_count=1)
    assert (shown.icon.sign, shown.icon.tone, shown.note) == ("⚠️", "warning", "Delvis fejl")
    assert shown.trouble == "1 household kunne ikke opdateres"


def test_a_warning_names_its_item() -> None:
    assert last(status="PARTIAL", warnings=[Warning("has no id", item="user 7")], warning_count=1).trouble == (
        "user 7: has no id"
    )


def test_several_warnings_are_counted() -> None:
    assert last(status="PARTIAL", warnings=[Warning("a"), Warning("b")], warning_count=3).trouble == "3 advarsler"


def test_a_failure_shows_the_first_line_of_its_error() -> None:
    shown = last(status="FAILED", error_message="\nHeynabo answered 503\nTraceback ...")
    assert (shown.icon.sign, shown.icon.tone, shown.note) == ("❌", "error", "Fejlet")
    assert shown.trouble == "Heynabo answered 503"


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        ({"phase": "queued"}, "I kø"),
        ({"phase": "executing"}, "Kører"),
        ({"phase": "retrying"}, "Venter på næste forsøg"),
        ({"phase": "executing", "cancel_requested_by": "ADMIN:1"}, "Bliver annulleret"),
    ],
)
def test_a_run_that_is_not_finished_says_how_far_it_is(fields: dict[str, str], note: str) -> None:
    shown = last(status="RUNNING", completed_at=None, duration_ms=None, **fields)
    assert (shown.icon.sign, shown.icon.tone, shown.note) == ("🔄", "info", note)


def test_a_cancelled_run_is_not_called_failed() -> None:
    assert last(status="FAILED", cancelled_by="ADMIN:1", error_message="Cancelled by ADMIN:1").note == "Annulleret"


def test_cards_come_scheduled_first_and_by_hand_last() -> None:
    jobs = [job("A_BY_HAND"), job("B_NIGHTLY", schedule=NIGHTLY), job("C_NIGHTLY", schedule=NIGHTLY)]
    shown = presentation.cards(jobs, {}, {}, NOW, DA)
    assert [card.job_type for card in shown] == ["B_NIGHTLY", "C_NIGHTLY", "A_BY_HAND"]
    assert [card.schedule for card in shown] == ["Kl. 02:00", "Kl. 02:00", "Manuel"]
    assert [card.last for card in shown] == [None, None, None]


def test_a_card_has_the_run_of_its_own_job() -> None:
    runs = {"A": a_run(id=1, job_type="A"), "B": a_run(id=2, job_type="B")}
    shown = presentation.cards([job("A"), job("B")], runs, {}, NOW, DA)
    assert [card.last.id for card in shown if card.last] == [1, 2]


def test_an_admins_schedule_holds_instead_of_the_jobs_own() -> None:
    change = ScheduleChanged(by="ADMIN:1", expression="30 3 * * *")
    (card,) = presentation.cards([job("A", change, schedule=NIGHTLY)], {}, {}, NOW, DA)
    assert card.schedule == "Kl. 03:30"
    assert card.schedule_exactly == "30 3 * * * Europe/Copenhagen"


def test_a_paused_schedule_says_so() -> None:
    change = ScheduleChanged(by="ADMIN:1", pause=Pause(by="ADMIN:1"))
    (card,) = presentation.cards([job("A", change, schedule=NIGHTLY)], {}, {}, NOW, DA)
    assert card.schedule == "Kl. 02:00 · sat på pause"


def test_a_row_of_the_history() -> None:
    imported = a_run(
        job_type="HEYNABO_IMPORT",
        status="PARTIAL",
        started_at=copenhagen(2025, 12, 10, 14, 30),
        result_summary='{"inhabitantsCreated":5}',
    )
    known = definition("HEYNABO_IMPORT", title={"da": "Heynabo Import"}, show=IMPORT_SHOW)
    (row,) = presentation.history([imported], {"HEYNABO_IMPORT": known}, NOW, DA)
    assert (row.when.text, row.title, row.icon.sign, row.duration, row.result) == (
        "I dag 14:30",
        "Heynabo Import",
        "⚠️",
        "2.3s",
        "+5 inhab",
    )


@pytest.mark.parametrize(
    ("outcome", "why"),
    [
        ("paused", "The schedule was paused"),
        ("missed", "It was too late for it"),
        ("coalesced", "A later run did it as well"),
        ("overlapped", "An earlier run was not finished"),
        ("of a later version", "its reason"),
    ],
)
def test_a_skipped_slot_says_why(outcome: str, why: str) -> None:
    slot = Slot(7, "NIGHTLY", NOW, outcome, "its reason", NOW)
    (skipped,) = presentation.skipped([slot], {}, NOW, EN)
    assert (skipped.title, skipped.why, skipped.reason) == (presentation.title("NIGHTLY", None, EN), why, "its reason")


@pytest.mark.parametrize(
    ("fields", "result"),
    [
        ({"result_summary": '{"steps":20,"by":{"hand":1}}'}, "Steps: 20"),
        ({"status": "FAILED", "error_message": "ValueError: no luck\nand more"}, "ValueError: no luck"),
        ({"status": "FAILED", "error_message": "x" * 100}, "x" * 59 + "…"),
        ({}, ""),
    ],
)
def test_a_row_without_figures_of_its_own_says_what_there_is(fields: dict[str, object], result: str) -> None:
    (row,) = presentation.history([a_run(**fields)], {}, NOW, EN)
    assert row.result == result


def test_a_run_of_a_job_nobody_announced_is_shown_by_its_type() -> None:
    (row,) = presentation.history([a_run(job_type="CLEAN_UP_LOGS", result_summary='{"rows":1}')], {}, NOW, EN)
    assert (row.title, row.result) == ("Clean up logs", "Rows: 1")


@pytest.mark.parametrize("text", ["not json", "[" * 5_000, "", None, "3", "[]"])
def test_a_result_that_is_no_object_is_no_reason_to_fail(text: str | None) -> None:
    run = a_run(result_summary=text)
    presentation.history([run], {"DAILY_MAINTENANCE": definition(show=DAILY_SHOW)}, NOW, DA)
    presentation.run_view(run, definition(show=DAILY_SHOW), NOW, DA)


def test_the_page_of_a_run_has_all_its_warnings_and_says_how_many_are_missing() -> None:
    run = a_run(status="PARTIAL", warnings=[Warning("a"), Warning("b", item="x")], warning_count=5)
    view = presentation.run_view(run, None, NOW, DA)
    assert (view.warnings, view.warnings_left_out) == (("a", "x: b"), 3)


@pytest.mark.parametrize(
    ("fields", "can_cancel", "finished"),
    [
        ({"status": "RUNNING", "phase": "executing"}, True, False),
        ({"status": "RUNNING", "phase": "executing", "cancel_requested_by": "ADMIN:1"}, False, False),
        ({"status": "FAILED"}, False, True),
    ],
)
def test_what_can_be_done_with_a_run(fields: dict[str, str], can_cancel: bool, finished: bool) -> None:
    view = presentation.run_view(a_run(**fields), None, NOW, DA)
    assert (view.can_cancel, view.finished) == (can_cancel, finished)


@pytest.mark.parametrize(
    ("triggered_by", "danish"),
    [("CRON", "Tidsplanen"), ("ADMIN:1", "Administrator 1"), ("SERVICE:ops", "Tjenesten ops")],
)
def test_who_triggered_a_run(triggered_by: str, danish: str) -> None:
    assert presentation.who(triggered_by, DA) == danish


def test_params_are_shown_where_there_are_some() -> None:
    with_params = a_run(params=msgspec.Raw(b'{"month":"2026-10"}'))
    assert presentation.run_view(with_params, None, NOW, DA).params == '{\n  "month": "2026-10"\n}'
    assert presentation.run_view(a_run(), None, NOW, DA).params == ""


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (Progress(3, 4, "scaffold"), "3 / 4 scaffold"),
        (Progress(1_200, 4_000), "1.200 / 4.000"),
        (Progress(17, None, "pages"), "17 pages"),
    ],
)
def test_how_far_a_run_is(progress: Progress, text: str) -> None:
    assert presentation.progress_bar(progress, DA).text == text


def test_a_card_shows_the_progress_of_its_own_run() -> None:
    run = a_run(id=7, job_type="A", status="RUNNING", phase="executing")
    (card,) = presentation.cards([job("A")], {"A": run}, {7: Progress(1, 2), 8: Progress(2, 2)}, NOW, DA)
    assert card.last is not None
    assert card.last.progress is not None
    assert card.last.progress.text == "1 / 2"


def test_a_line_of_a_jobs_log() -> None:
    line = Line(copenhagen(2025, 12, 10, 2, 0), "warning", "no answer", 1, {"url": "http://x", "status": 503})
    (shown,) = presentation.log_lines([line], NOW, DA)
    assert (shown.clock, shown.text, shown.tone) == ("02:00:00", "no answer url=http://x status=503", "warning")


def test_a_long_error_is_cut_on_the_card() -> None:
    shown = last(status="FAILED", error_message="x" * 500)
    assert shown.trouble == "x" * 199 + "…"
