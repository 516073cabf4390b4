"""What the three jobs declare: the panel and the scheduler know them by this alone."""

import msgspec
import pytest
from kronik import Job, job_of

from services.dining.daily_maintenance import (
    Closed,
    Consumed,
    DailyMaintenanceResult,
    Scaffolded,
    Transacted,
    daily_maintenance,
)
from services.dining.heynabo_import import heynabo_import
from services.dining.monthly_billing import MonthlyBillingResult, monthly_billing


def declared(function: object) -> Job:
    job = job_of(function)
    assert job is not None
    return job


@pytest.mark.parametrize(
    ("function", "job_type", "title", "cron"),
    [
        (daily_maintenance, "DAILY_MAINTENANCE", "Daglig Vedligeholdelse", "0 2 * * *"),
        (monthly_billing, "MONTHLY_BILLING", "Månedlig Fakturering", "0 4 1 * *"),
        (heynabo_import, "HEYNABO_IMPORT", "Heynabo Import", None),
    ],
)
def test_names_and_schedules(function: object, job_type: str, title: str, cron: str | None) -> None:
    job = declared(function)
    assert (job.job_type, job.title["da"]) == (job_type, title)
    assert job.title["en"]
    assert job.description
    assert job.descriptions["da"]
    assert (job.schedule and (job.schedule.expression, job.schedule.tz)) == (cron and (cron, "Europe/Copenhagen"))


@pytest.mark.parametrize(
    ("function", "labels", "short"),
    [
        (daily_maintenance, ["Dinners consumed", "Orders closed", "Transactions"], "trans"),
        (monthly_billing, ["Invoices generated", "Total amount"], "fakturaer"),
        (heynabo_import, ["Households", "Inhabitants", "Users"], "inhab"),
    ],
)
def test_figures_are_labelled_as_the_panel_was_drawn(function: object, labels: list[str], short: str) -> None:
    show = declared(function).show
    assert [figure.label["da"] for figure in show] == labels
    assert [figure.short["da"] for figure in show if figure.short is not msgspec.UNSET] == [short]


@pytest.mark.parametrize("function", [daily_maintenance, monthly_billing, heynabo_import])
def test_every_figure_is_a_number_of_the_result_s_schema(function: object) -> None:
    job = declared(function)
    schema = msgspec.json.schema(job.result_type)
    for figure in job.show:
        node = schema
        for step in figure.path.split("."):
            node = schema["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
            node = node["properties"][step]
        assert node["type"] == "integer", figure.path


def test_the_summaries_are_those_that_were_agreed_upon() -> None:
    daily = DailyMaintenanceResult(Consumed(2), Closed(45), Transacted(45), Scaffolded(1, 120, 5, 200, 35))
    assert msgspec.to_builtins(daily) == {
        "consume": {"consumed": 2},
        "close": {"closed": 45},
        "transact": {"created": 45},
        "scaffold": {
            "seasonId": 1,
            "created": 120,
            "deleted": 5,
            "unchanged": 200,
            "households": 35,
            "unpriced": 0,
        },
    }
    assert msgspec.to_builtins(MonthlyBillingResult(35, 4750000)) == {
        "invoicesGenerated": 35,
        "totalAmount": 4750000,
        "householdsSkipped": 0,
    }
