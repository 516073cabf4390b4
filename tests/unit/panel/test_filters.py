"""The history's filter as a form, as chips, and what of an address it can't be."""

from datetime import UTC, datetime

import msgspec

from services.api.history.run_filter import RunFilter
from services.api.panel.views import filters, run
from tests.unit.panel.runs import a_run, definition
from tests.unit.panel.test_views import ALONE, DA

JOBS = {"A": definition("A", title={"da": "Oprydning"})}
SINCE = datetime(2025, 12, 9, 13, 30, tzinfo=UTC)


def chosen(form: filters.Form) -> dict[str, str]:
    return {
        one.name: text for one in (*form.choices, *form.more) for value, text, is_chosen in one.options if is_chosen
    }


def test_the_form_has_what_is_looked_for_and_keeps_what_it_has_no_field_for() -> None:
    wanted = RunFilter(
        job_types=("A",), statuses=("FAILED",), triggered_by=("ADMIN:1",), since=SINCE, rerun_of=7, unresolved=True
    )
    form = filters.form(wanted, JOBS, ["CRON", "ADMIN:1", "SERVICE:ops"], DA)
    assert chosen(form) == {"job": "Oprydning", "status": "Fejlet", "by": "Birgitte"}
    assert (form.since, form.until, form.unresolved, form.is_open) == ("2025-12-09T14:30", "", True, True)
    assert form.kept == (("rerunOf", "7"),)


def test_several_values_of_a_part_are_kept_though_a_list_shows_one() -> None:
    form = filters.form(
        RunFilter(statuses=("FAILED", "PARTIAL"), not_job_types=("B",)), JOBS, ["CRON", "ADMIN:1", "SERVICE:ops"], DA
    )
    assert chosen(form) == {}
    assert set(form.kept) == {("status", "FAILED"), ("status", "PARTIAL"), ("job", "!B")}
    assert not form.is_open


def test_what_is_no_part_of_a_filter_is_said() -> None:
    query = [("statuss", "FAILED"), ("status", "FAILED"), ("before", "4"), ("param.month", "2026-10")]
    assert filters.strange(query, DA) == ["“statuss” er ikke noget, man kan søge efter."]


def test_chips_say_instants_as_people_do() -> None:
    (chip,) = filters.chips("/h", RunFilter(since=SINCE), JOBS, DA)
    assert (chip.text, chip.without) == ("fra I går 14:30", "/h")


def test_a_run_leads_to_those_that_had_the_same_params() -> None:
    params = msgspec.Raw(b'{"month":"2026-10","deep":{"x":1},"dry":true,"long":"' + b"x" * 90 + b'"}')
    view = run.run_view(a_run(params=params), None, None, ALONE, None, "", DA)
    assert view.alike == (
        ("month = 2026-10", "/admin/system/history?job=DAILY_MAINTENANCE&param.month=2026-10"),
        ("dry = true", "/admin/system/history?job=DAILY_MAINTENANCE&param.dry=true"),
    )
