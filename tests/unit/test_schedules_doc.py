"""docs/schedules.md is the dialect: every line of its tables is what happens."""

import re
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from kronik.events import Schedule

from services.infra import slots
from services.infra.schedule_words import in_words

DOC = (Path(__file__).parents[2] / "docs" / "schedules.md").read_text(encoding="utf-8")
TZ = "Europe/Copenhagen"
BEGIN = datetime(2026, 1, 1, tzinfo=ZoneInfo(TZ)).astimezone(UTC)


def _rows(first: str) -> list[list[str]]:
    """The cells of every row of the tables whose first column is called so."""
    tables = re.findall(rf"^\| {first} \|.*?\n\|[-|]+\|\n((?:\|.*\n)+)", DOC, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for table in tables for line in table.splitlines()]


EXPRESSIONS = _rows("expression")


def test_the_document_has_its_tables() -> None:
    assert len(EXPRESSIONS) > 40
    assert len(_rows("zone")) > 5


@pytest.mark.parametrize("row", [row for row in EXPRESSIONS if len(row) == 4], ids=lambda row: row[0])
def test_an_expression_is_said_and_fires_as_written(row: list[str]) -> None:
    expression, english, danish, first = row
    schedule = Schedule(expression=expression.strip("`"), tz=TZ)
    assert (in_words(schedule, "en"), in_words(schedule, "da")) == (english, danish)
    found = [slot.astimezone(ZoneInfo(TZ)) for slot in slots.next_slots(schedule, BEGIN, first.count(",") + 1)]
    assert ", ".join(f"{slot:%a %d %b %H:%M}" for slot in found) == first


@pytest.mark.parametrize("row", [row for row in EXPRESSIONS if len(row) == 2], ids=lambda row: row[0])
def test_an_expression_is_refused_as_written(row: list[str]) -> None:
    with pytest.raises(slots.InvalidSchedule) as refusal:
        slots.check(row[0].strip("`"), TZ)
    assert str(refusal.value) == f"expression: {row[1]}"


@pytest.mark.parametrize("row", _rows("zone"), ids=lambda row: row[0])
def test_a_zone_is_refused_as_written(row: list[str]) -> None:
    with pytest.raises(slots.InvalidSchedule) as refusal:
        slots.check("* * * * *", row[0].strip("`"))
    assert str(refusal.value) == f"tz: {row[1]}"
