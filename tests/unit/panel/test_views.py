"""What the pages say: data in, data for the templates out."""

from datetime import timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec
import pytest
from kronik import NoParams, Params
from kronik.events import (
    Completed,
    Failed,
    Pause,
    Recorded,
    Retrying,
    ScheduleChanged,
    Started,
    Triggered,
    Warning,
)
from msgspec import Meta

from services.api.history import overview
from services.api.history.overview import Bar, Failure, Neighbours
from services.api.history.queries import JobRun, Slot
from services.api.job_log import Line, Progress
from services.api.panel.views import charts, fields, jobs, rows, signs, verdict
from services.api.panel.views import run as run_views
from services.api.panel.views.fields import Misfit
from services.api.panel.views.frame import frame
from services.api.panel.views.jobs import LastRun
from services.api.problems import nul_in
from services.api.pulse import Beat
from services.words.language import language
from services.words.voice import Voice
from tests.unit.panel.runs import DAILY_SHOW, IMPORT_SHOW, NIGHTLY, NOW, a_run, copenhagen, definition, job

HOME = ZoneInfo("Europe/Copenhagen")
DA = Voice(language=language("da"), zone=HOME, now=NOW, names={"1": "Birgitte"})
EN = Voice(language=language("en"), zone=HOME, now=NOW, names={"1": "Birgitte"})
ALONE = Neighbours(None, None, ())


def last(**given: Any) -> LastRun:
    return jobs.last_run(a_run(**given), definition(show=DAILY_SHOW), None, DA)


def open_run(**given: Any) -> JobRun:
    return a_run(status="RUNNING", completed_at=None, duration_ms=None, **given)


def bar(id: int, minutes_ago: float, **given: Any) -> Bar:
    plain = Bar(id, "A", "SUCCESS", "finished", NOW - timedelta(minutes=minutes_ago), None, 1_000, None)
    return msgspec.structs.replace(plain, **given)


def test_a_success_is_its_date_and_its_figures() -> None:
    shown = last(result_summary='{"consume":{"consumed":2},"close":{"closed":45},"transact":{"created":45}}')
    assert (shown.sign.emoji, shown.sign.tone, shown.when.text) == ("✅", "success", "I går 02:00")
    assert shown.summary == "Dinners consumed: 2, Orders closed: 45, Transactions: 45"
    assert (shown.note, shown.trouble) == ("", "")


@pytest.mark.parametrize(
    ("given", "trouble"),
    [
        ({"status": "PARTIAL", "warnings": [Warning("a")], "warning_count": 1}, "a"),
        ({"status": "PARTIAL", "warnings": [Warning("a", item="b")], "warning_count": 1}, "b: a"),
        ({"status": "PARTIAL", "warnings": [Warning("a"), Warning("b")], "warning_count": 3}, "a og 2 til"),
        ({"status": "FAILED", "error_message": "\nHeynabo answered 503\nTraceback ..."}, "Heynabo answered 503"),
        ({"status": "FAILED", "error_message": "x" * 500}, "x" * 199 + "…"),
        (
            {"status": "FAILED", "cancelled_by": "ADMIN:1", "error_message": "Cancelled by ADMIN:1"},
            "Annulleret af Birgitte",
        ),
        ({"status": "FAILED", "cancelled_by": "ADMIN:9"}, "Annulleret af konto 9"),
    ],
)
def test_trouble_is_said_in_a_line_and_in_the_readers_language(given: dict[str, Any], trouble: str) -> None:
    assert last(**given).trouble == trouble


@pytest.mark.parametrize(
    ("given", "kind", "text"),
    [
        ({"phase": "queued"}, "queued", "I kø"),
        ({"phase": "executing"}, "executing", "Kører"),
        ({"phase": "retrying"}, "retrying", "Venter på næste forsøg"),
        ({"phase": "executing", "cancel_requested_by": "ADMIN:1"}, "executing", "Bliver annulleret"),
    ],
)
def test_open_runs_look_different_from_each_other(given: dict[str, str], kind: str, text: str) -> None:
    shown = signs.sign(open_run(**given), DA)
    assert (shown.kind, shown.text) == (kind, text)


def test_up_to_five_jobs_come_scheduled_first_and_more_of_them_worst_first() -> None:
    few = [job("A_BY_HAND"), job("B", schedule=NIGHTLY), job("C", schedule=NIGHTLY)]
    shown = jobs.cards(few, {}, [], {}, {}, DA)
    assert [(card.job_type, card.timing.words) for card in shown] == [
        ("B", "Kl. 02:00"),
        ("C", "Kl. 02:00"),
        ("A_BY_HAND", "Manuel"),
    ]
    many = [job(f"J{n}", schedule=NIGHTLY if n == 4 else None) for n in range(6)]
    bars = {"J5": [bar(1, 5), bar(2, 1, status="FAILED"), bar(3, 0, status="RUNNING", phase="executing")]}
    bars["J3"] = [bar(4, 1, status="PARTIAL")]
    assert [card.job_type for card in jobs.cards(many, {}, [], bars, {}, DA)] == ["J5", "J3", "J4", "J0", "J1", "J2"]


def test_every_open_run_of_a_job_is_on_its_card() -> None:
    older, newer = open_run(id=7, job_type="A", phase="executing"), open_run(id=9, job_type="A", phase="queued")
    (card,) = jobs.cards([job("A")], {"A": newer}, [older, newer], {}, {7: Progress(1_200, 4_000, "rows")}, DA)
    assert card.last is not None
    assert (card.last.id, [one.id for one in card.open], card.queued) == (9, [7], 1)
    assert card.open[0].progress is not None
    assert card.open[0].progress.text == "1.200 / 4.000 rows"


def test_an_admins_schedule_and_pause_are_said_with_who_and_until_when() -> None:
    pause = Pause(by="ADMIN:1", reason="flytning", until=copenhagen(2025, 12, 11, 6))
    change = ScheduleChanged(by="ADMIN:1", expression="30 3 * * *", pause=pause)
    (card,) = jobs.cards([job("A", change, schedule=NIGHTLY)], {}, [], {}, {}, DA)
    assert (card.timing.words, card.timing.cron) == ("Kl. 03:30", "30 3 * * *")
    assert card.timing.paused == "sat på pause af Birgitte indtil I morgen 06:00: flytning"
    assert card.timing.next == ()


def test_rows_say_seconds_only_where_two_would_read_the_same() -> None:
    at = copenhagen(2025, 12, 10, 14, 30)
    shown = rows.rows([a_run(id=1, started_at=at), a_run(id=2, started_at=at), a_run(id=3)], {}, DA)
    assert [row.when.text for row in shown] == ["I dag 14:30:00", "I dag 14:30:00", "I går 02:00"]


def test_a_row_of_the_history() -> None:
    imported = a_run(job_type="HEYNABO_IMPORT", status="PARTIAL", result_summary='{"inhabitantsCreated":5}')
    known = definition("HEYNABO_IMPORT", title={"da": "Heynabo Import"}, show=IMPORT_SHOW)
    (row,) = rows.rows([imported], {"HEYNABO_IMPORT": known}, DA)
    assert (row.title, row.sign.emoji, row.duration, row.result) == ("Heynabo Import", "⚠️", "2,3 s", "+5 inhab")


@pytest.mark.parametrize("text", ["not json", "[" * 5_000, "", None, "3", "[]"])
def test_a_result_that_is_no_object_is_no_reason_to_fail(text: str | None) -> None:
    run = a_run(result_summary=text)
    rows.rows([run], {"DAILY_MAINTENANCE": definition(show=DAILY_SHOW)}, DA)
    run_views.run_view(run, job("DAILY_MAINTENANCE", show=DAILY_SHOW), None, ALONE, None, "", DA)


def test_a_skipped_slot_says_why() -> None:
    slots = [Slot(7, "NIGHTLY", NOW, outcome, "its reason", NOW) for outcome in ("paused", "of a later version")]
    assert [one.why for one in rows.skipped(slots, {}, DA)] == ["Tidsplanen var sat på pause", "of a later version"]


def test_the_night_begins_at_five_on_the_last_working_day() -> None:
    monday = Voice(language=language("da"), zone=HOME, now=copenhagen(2026, 3, 30, 8))
    assert verdict.since("night", monday) == copenhagen(2026, 3, 27, 17)  # a weekend in which the clocks change
    assert verdict.since("night", DA) == copenhagen(2025, 12, 9, 17)


def test_failures_are_grouped_by_job_and_what_does_not_vary_and_the_mended_are_apart() -> None:
    failures = [
        Failure(9, "A", NOW, "timeout after 31 s on 0xdeadbeef", made_good=False),
        Failure(8, "A", NOW, "timeout after 30.5 s on 0xfeed", made_good=False),
        Failure(7, "B", NOW, "no luck", made_good=False),
        Failure(6, "B", NOW, "no luck", made_good=True),
    ]
    start = verdict.since("night", DA)
    said = verdict.verdict("night", start, {"succeeded": 95, "partial": 1, "failed": 4}, failures, 1, {}, DA)
    assert said.heading == "Siden i går 17:00: 3 fejl i 2 jobs, 96 fuldført, 1 tidspunkt sprunget over"
    assert [(group.count, group.newest) for group in said.groups] == [(2, 9), (1, 7)]
    assert [group.again.count("id=") for group in said.groups] == [2, 1]
    assert said.notes[0] == "1 fejl er rettet op af en senere kørsel"
    some = verdict.verdict("night", start, {"failed": 4}, failures, 0, {}, DA, left=[9, 7])
    assert (some.failed, some.eligible) == (3, 1)
    assert [(group.count, group.eligible, group.again.count("id=")) for group in some.groups] == [(2, 1, 1), (1, 0, 0)]
    well = verdict.verdict("night", start, {"succeeded": 1}, failures[3:], 0, {}, DA)
    assert (well.well, well.heading) == (True, "Alt er vel: 1 kørsel fuldført siden i går 17:00.")


def test_a_strip_says_outcome_by_shape_and_duration_by_height() -> None:
    bars = [
        bar(1, 9),
        bar(2, 8, status="FAILED"),
        bar(3, 7, duration_ms=2_000),
        bar(4, 1, status="RUNNING", phase="queued"),
    ]
    chart = charts.strip(bars, "A", DA)
    ok, failed, slow, queued = chart.columns
    assert failed.y > chart.base > ok.y > slow.y
    assert slow.height == pytest.approx(2 * ok.height, abs=0.02)
    assert queued.kind == "queued"
    assert chart.label == "A: 4 kørsler, 1 fejlet"
    assert chart.usual_y is not None
    assert charts.strip(bars, "A", DA) == chart


def test_a_lane_holds_what_ran_what_did_not_and_what_will() -> None:
    over = charts.span(NOW - timedelta(hours=6), NOW)
    slot = Slot(1, "A", NOW - timedelta(hours=3), "missed", "", NOW)
    made = charts.lane("A", "A", [bar(1, 60)], [slot], [NOW + timedelta(minutes=30), NOW + timedelta(days=9)], over, DA)
    assert made.blocks[0].x == pytest.approx(over.at(NOW - timedelta(hours=1)))
    assert made.rings[0][0] < made.blocks[0].x < over.at(NOW) < made.dots[0]
    assert len(made.dots) == 1
    assert len(charts.ticks(over, DA)) >= 3


def test_a_lane_says_from_when_on_its_runs_are_drawn() -> None:
    over = charts.span(NOW - timedelta(days=1), NOW)
    few = charts.lane("A", "A", [bar(n, 60) for n in range(overview.WINDOW - 1)], [], [], over, DA)
    many = charts.lane("A", "A", [bar(n, 60) for n in range(overview.WINDOW)], [], [], over, DA)
    assert few.earlier == 0
    assert many.earlier == many.blocks[0].x > 0
    assert "tidligere er ikke tegnet" in many.label


def test_a_runs_time_is_told_in_stretches() -> None:
    def at(second: int, sequence: int, data: Any) -> Recorded:
        return Recorded(sequence, "jobs.run.A.1.x", NOW + timedelta(seconds=second), str(sequence), data)

    recorded = [
        at(0, 1, Triggered()),
        at(1, 2, Started(attempt=1, incarnation="r", timeout_ms=1)),
        at(3, 3, Retrying(attempt=1, error="no", error_type="E", retry_at=NOW)),
        at(7, 4, Started(attempt=2, incarnation="r", timeout_ms=1)),
        at(10, 5, Completed(attempt=2, result=None)),
    ]
    shown = run_views.stretches(recorded, DA)
    assert [(one.kind, one.x, one.width) for one in shown] == [
        ("queued", 0, 10),
        ("failed", 10, 20),
        ("retrying", 30, 40),
        ("success", 70, 30),
    ]
    assert [one.passed for one in run_views.timeline(recorded, DA)] == ["", "+1,0 s", "+2,0 s", "+4,0 s", "+3,0 s"]
    failed = [*recorded[:2], at(2, 3, Failed(attempt=1, error="no", error_type="E"))]
    assert run_views.stretches(failed, DA)[-1].kind == "failed"


def test_a_queued_run_says_what_it_waits_for() -> None:
    waits = open_run(id=9, phase="queued")
    runs = open_run(id=7, phase="executing", started_at=NOW - timedelta(minutes=1))
    said = run_views.why_queued(waits, definition(), [runs, open_run(id=8, phase="queued")], 300_000, DA)
    assert said == "1 af 1 kører: kørsel 7, cirka 4 min endnu. 1 kørsel venter foran den."
    assert "runner" in run_views.why_queued(waits, definition(), [], None, DA)


def test_a_line_of_a_jobs_log() -> None:
    line = Line(copenhagen(2025, 12, 10, 2, 0), "warning", "no answer", 1, {"url": "http://x", "status": 503})
    (shown,) = run_views.log_lines([(3, line)], DA)
    assert (shown.id, shown.when.clock, shown.text) == (3, "02:00:00", "no answer url=http://x status=503")


@pytest.mark.parametrize(
    ("beat", "short"),
    [
        (Beat(None, "", 7, 0, 0), ""),
        (Beat("nats", "", 7, 0, 0), "NATS er væk"),
        (Beat("postgres", "", 7, 0, 0), "Postgres er væk"),
        (Beat("projector", "x", 7, 0, 0), "Historikken står stille"),
        (Beat("behind", "", 7, 1_200, 65_000), "Historikken er bagud"),
        (Beat("runner", "", 7, 0, 0, ("A", "B", "C", "D")), "Ingen runner"),
    ],
)
def test_what_is_out_of_reach_is_said_above_the_page_and_in_its_title(beat: Beat, short: str) -> None:
    shown = frame(beat, {}, DA, "system")
    assert (shown.short, bool(shown.banner), shown.trouble) == (short, bool(short), beat.trouble or "")


def test_jobs_without_a_runner_are_named_by_their_titles() -> None:
    beat, titles = Beat("runner", "", 7, 0, 0, ("A", "FEED")), {"A": {"da": "Månedsrapport"}}
    assert "Månedsrapport, Feed" in frame(beat, titles, DA, "system").banner


class Inner(Params, frozen=True):
    a: int


class Everything(Params, frozen=True):
    month: Annotated[str, Meta(description="The first one")]
    limit: Annotated[int, Meta(ge=1, le=9)] | None = None
    mode: Literal["dry", "real"] = "real"
    size: Literal[1, 2, 3, 4, 5] = 1
    names: tuple[str, ...] = ()
    inner: Inner | None = None
    really: bool = False


ASKS = definition(params_schema=msgspec.json.schema(Everything))


def test_a_form_is_made_of_the_schema() -> None:
    found = {one.path: one for one in fields.form(ASKS, {"names": ["a", "b"]}, None, [], DA)}
    kinds = {name: one.kind for name, one in found.items()}
    assert kinds == {
        "month": "text",
        "limit": "number",
        "mode": "radio",
        "size": "list",
        "names": "lines",
        "inner": "json",
        "really": "flag",
    }
    assert (found["month"].required, found["month"].hint, found["limit"].maximum) == (True, "The first one", "9")
    assert found["names"].value == "a\nb"
    assert [option.text for option in found["mode"].options if option.chosen] == ["real"]
    assert not fields.takes_params(definition(params_schema=msgspec.json.schema(NoParams)))


def test_what_was_typed_becomes_params_and_what_cant_be_read_is_said() -> None:
    typed = {
        "p.month": ["2026-10"],
        "p.limit": ["3"],
        "p.mode": ['"dry"'],
        "p.names": ["Ada\n\nBo "],
        "p.inner": ['{"a":1}'],
        "p.really": ["true"],
    }
    params, wrong = fields.params_of(ASKS, typed)
    assert (wrong, params) == (
        [],
        {"month": "2026-10", "limit": 3, "mode": "dry", "names": ["Ada", "Bo"], "inner": {"a": 1}, "really": True},
    )
    _, wrong = fields.params_of(ASKS, {"p.limit": ["three"], "p.inner": ["{"]})
    assert [one.path for one in wrong] == ["limit", "inner"]
    assert fields.said(wrong[0], DA) == "Det er ikke et tal."


class Numbers(Params, frozen=True):
    one: float = 0
    many: tuple[float, ...] = ()
    inner: dict[str, float] | None = None


@pytest.mark.parametrize("written", ["1e999", "-1e999", "nan", "NaN", "inf", "-Infinity", "abc"])
def test_what_json_has_no_number_for_is_none(written: str) -> None:
    asks = definition(params_schema=msgspec.json.schema(Numbers))
    typed = {"p.one": [written], "p.many": [f"1\n{written}"], "p.inner": [f'{{"a": {written}}}']}
    _, wrong = fields.params_of(asks, typed)
    said = {one.path: fields.said(one, DA) for one in wrong}
    assert said == {"one": "Det er ikke et tal.", "many.1": "Det er ikke et tal.", "inner": "Det er ikke JSON."}


def test_a_character_that_cant_be_stored_is_told_of() -> None:
    (wrong,) = nul_in("params.month", "a\0")
    assert "NUL" in fields.said(Misfit("month", wrong.problem, wrong.allowed), DA)


@pytest.mark.parametrize(
    ("problem", "allowed", "danish"),
    [
        ("'month' is a required property", "required: ['month']", "Det skal udfyldes."),
        ("11 is greater than the maximum of 10", "maximum: 10", "Det må højst være 10."),
        ("'x' is not one of ['a', 'b']", ["a", "b"], "Det kan være et af: a, b."),
        ("'x' is not of type 'integer'", "integer", "Det skal være et helt tal."),
        ("what a later validator says", "someRule: 7", "Det er ikke, hvad jobbet tager imod."),
    ],
)
def test_what_is_wrong_is_said_in_the_readers_language(problem: str, allowed: Any, danish: str) -> None:
    assert fields.said(Misfit("x", problem, allowed), DA) == danish


@pytest.mark.parametrize(
    ("then", "now", "said"),
    [
        (None, None, "Kl. 02:00 (0 2 * * * Europe/Copenhagen)"),
        ("30 3 * * *", "30 3 * * *", "Kl. 03:30 (30 3 * * * Europe/Copenhagen), sat af Birgitte"),
        (None, "30 3 * * *", "Kl. 02:00 (0 2 * * * Europe/Copenhagen); den er en anden nu"),
    ],
)
def test_a_run_of_a_slot_says_which_schedule_held_for_it(then: str | None, now: str | None, said: str) -> None:
    was, is_ = (
        job("A", ScheduleChanged(by="ADMIN:1", expression=one) if one else None, schedule=NIGHTLY)
        for one in (then, now)
    )
    run = a_run(scheduled_for=NOW)
    view = run_views.run_view(run, is_, was, ALONE, None, "", DA)
    assert [fact.text for fact in view.facts if fact.label == "Efter tidsplanen"] == [said]
    assert not [one for one in run_views.run_view(a_run(), is_, None, ALONE, None, "", DA).facts if "plan" in one.label]


def test_what_is_wrong_in_a_list_names_the_line_as_it_was_typed() -> None:
    asks = definition(
        params_schema={"type": "object", "properties": {"sizes": {"type": "array", "items": {"type": "integer"}}}}
    )
    typed = {"p.sizes": ["1\n\nx\n3\ny"]}
    _, wrong = fields.params_of(asks, typed)
    (field,) = fields.form(asks, {}, typed, wrong, DA)
    assert field.wrong == "linje 3: Det er ikke et tal.; linje 5: Det er ikke et tal."


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (Misfit("names.1", "'x' is not of type 'integer'", "integer"), "linje 2: Det skal være et helt tal."),
        (Misfit("names", "[] is too short", "minItems: 1"), "Der skal være 1 eller flere."),
        (Misfit("names", "[1, 1] has non-unique elements", "uniqueItems: True"), "Ingen må være der to gange."),
        (
            Misfit("names", "{} is not valid under any of the given schemas", "anyOf: []"),
            "Det er ikke, hvad jobbet tager imod.",
        ),
        (Misfit("names.a.b", "'month' is a required property", None), "a.b: Det skal udfyldes."),
    ],
)
def test_no_english_sentence_of_a_library_stands_at_a_field(wrong: Misfit, words: str) -> None:
    schema = {"type": "object", "properties": {"names": {"type": "array", "items": {"type": "integer"}}}}
    (field,) = fields.form(definition(params_schema=schema), {}, None, [wrong], DA)
    assert field.wrong == words
