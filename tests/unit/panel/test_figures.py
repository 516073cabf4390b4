"""What a result says in a line."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kronik.show import Format, Show

from services.words import figures
from services.words.language import language
from tests.unit.panel.runs import BILLING_SHOW, DAILY_SHOW, IMPORT_SHOW

DA, EN = language("da"), language("en")

DAILY = {"consume": {"consumed": 2}, "close": {"closed": 45}, "transact": {"created": 45}, "scaffold": None}
BILLING = {"invoicesGenerated": 35, "totalAmount": 4_750_000}
IMPORT = {"householdsCreated": 2, "inhabitantsCreated": 5, "usersCreated": 3}


@pytest.mark.parametrize(
    ("result", "show", "line"),
    [
        (DAILY, DAILY_SHOW, "Dinners consumed: 2, Orders closed: 45, Transactions: 45"),
        (BILLING, BILLING_SHOW, "Invoices generated: 35, Total amount: 47.500 kr"),
        (IMPORT, IMPORT_SHOW, "Households: +2, Inhabitants: +5, Users: +3"),
    ],
)
def test_the_summaries_read_as_they_were_drawn(result: Any, show: tuple[Show, ...], line: str) -> None:
    assert figures.summary(result, show, DA) == line


@pytest.mark.parametrize(
    ("result", "show", "short"),
    [(DAILY, DAILY_SHOW, "45 trans"), (BILLING, BILLING_SHOW, "35 fakturaer"), (IMPORT, IMPORT_SHOW, "+5 inhab")],
)
def test_the_result_column_has_the_figures_with_a_unit(result: Any, show: tuple[Show, ...], short: str) -> None:
    assert figures.short(result, show, DA) == short


def test_texts_are_in_the_language_asked_for_and_else_in_english() -> None:
    assert figures.short(BILLING, BILLING_SHOW, EN) == "35 invoices"
    assert figures.summary({"a": 1}, (Show("a", {"en": "Apples"}),), DA) == "Apples: 1"


@pytest.mark.parametrize(
    ("ore", "danish", "english"),
    [
        (4_750_000, "47.500 kr", "47,500 kr"),
        (4_750_050, "47.500,50 kr", "47,500.50 kr"),
        (5, "0,05 kr", "0.05 kr"),
        (0, "0 kr", "0 kr"),
        (-120_000, "-1.200 kr", "-1,200 kr"),
    ],
)
def test_money_is_ore_shown_as_kroner_with_ore_only_where_there_are_some(ore: int, danish: str, english: str) -> None:
    assert figures.said(ore, "money", DA) == danish
    assert figures.said(ore, "money", EN) == english


@pytest.mark.parametrize(("value", "text"), [(5, "+5"), (0, "+0"), (-2, "-2"), (1_200, "+1.200")])
def test_plus_puts_the_sign_in_front(value: int, text: str) -> None:
    assert figures.said(value, "plus", DA) == text


@pytest.mark.parametrize("path", ["scaffold.created", "nowhere", "consume.consumed.deeper", "consume"])
def test_a_path_that_leads_to_no_figure_is_left_out(path: str) -> None:
    assert figures.summary(DAILY, (Show(path, {"en": "X"}), DAILY_SHOW[1]), DA) == "Orders closed: 45"


def test_a_job_that_does_not_say_what_to_show_gets_its_plain_values_shown() -> None:
    result = {"rowsDeleted": 12_000, "dry_run": False, "table": "logs", "detail": {"x": 1}}
    assert figures.summary(result, (), DA) == "Rows deleted: 12.000, Dry run: nej, Table: logs"


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.sampled_from("abc"), children, max_size=3),
    max_leaves=8,
)
formats: st.SearchStrategy[Format] = st.sampled_from(["number", "plus", "money"])


@given(json, st.sampled_from(["a", "a.b", "b.c.a"]), formats)
def test_whatever_a_result_holds_can_be_shown(result: Any, path: str, format: Format) -> None:
    show = (Show(path, {"en": "A"}, format=format, short={"en": "a"}),)
    for lang in (DA, EN):
        figures.summary(result, show, lang)
        figures.summary(result, (), lang)
        figures.short(result, show, lang)


@pytest.mark.parametrize(("value", "text"), [(0.0004, "0,0004"), (0.99996, "0,99996"), (1e-9, "0,000000001")])
def test_no_digit_is_rounded_away(value: float, text: str) -> None:
    assert figures.said(value, "number", DA) == text


def test_a_number_of_any_length_is_shown() -> None:
    assert figures.said(10**60, "number", DA).replace(".", "").startswith("1000")
