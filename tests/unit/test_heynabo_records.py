"""Reading Heynabo's records: whatever they are, nothing raises, and nobody who is present is lost."""

import json
from datetime import date
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dining.heynabo import records

TODAY = date(2026, 11, 12)
USER = {"id": 5, "firstName": "Ida", "lastName": "Holm", "email": "ida@x.dk", "role": "full", "locationId": 1}

surrogates = st.text(st.characters(min_codepoint=0, max_codepoint=0x10FFFF, exclude_categories=()), max_size=20)
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | surrogates | st.sampled_from(["5", "a@b.dk", "admin"])
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(surrogates, inner, max_size=3)
)
FIELDS = [*USER, "dateOfBirth", "avatar", "phone", "alias", "address", "street", "streetNumber", "zipCode", "city"]
anything = st.lists(st.dictionaries(st.sampled_from(FIELDS), values) | values, max_size=8)


def user(**changes: object) -> records.Decoded[records.User]:
    return records.users([USER | changes], TODAY)


def location(**fields: object) -> records.Location:
    [record] = records.locations([{"id": 1, **fields}]).records
    return record


@given(anything)
def test_whatever_the_answer_holds_it_is_read_and_can_be_stored(raw: list[Any]) -> None:
    for decoded in (records.locations(raw), records.users(raw, TODAY)):
        text = msgspec.json.encode(decoded.records).decode()  # fails on half a surrogate pair
        assert "\\u0000" not in text
        assert {record.heynabo_id for record in decoded.records} <= decoded.present
        assert len({record.heynabo_id for record in decoded.records}) == len(decoded.records)


@given(anything)
def test_a_record_is_used_or_named(raw: list[Any]) -> None:
    decoded = records.users(raw, TODAY)
    assert len(decoded.records) + len(decoded.flaws) >= len(raw)
    assert decoded.complete == (not any("at place" in flaw.item for flaw in decoded.flaws))


@given(anything)
def test_warnings_can_be_written_as_json(raw: list[Any]) -> None:
    msgspec.json.encode([*records.locations(raw).flaws, *records.users(raw, TODAY).flaws])


@pytest.mark.parametrize(
    ("value", "expected"),
    [(7, 7), ("7", 7), (" 7 ", 7), (7.0, 7), (2**31 - 1, 2**31 - 1)]
    + [
        (bad, None) for bad in (0, -7, 2**31, 7.5, True, None, "", "7a", "٧", "1" * 11, [7], float("nan"), float("inf"))
    ],
)
def test_identifiers(value: object, expected: int | None) -> None:
    assert records.identifier(value) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1990-05-06", date(1990, 5, 6)),
        ("1990-05-05T22:00:00.000Z", date(1990, 5, 6)),  # midnight in Danish summer time
        ("1990-12-05T23:00:00Z", date(1990, 12, 6)),
        ("1990-05-06T00:00:00", date(1990, 5, 6)),
        ("1990-05-06 12:00:00+02:00", date(1990, 5, 6)),
        ("2026-11-12", TODAY),
        ("1900-01-01", date(1900, 1, 1)),
    ],
)
def test_birthdays(text: str, expected: date) -> None:
    decoded = user(dateOfBirth=text)
    assert decoded.records[0].birth_date == expected
    assert decoded.flaws == []


@pytest.mark.parametrize(
    "text",
    ["2026-11-13", "1899-12-31", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "6/5 1990", "1990-02-30", 7],
)
def test_impossible_birthdays_are_flaws(text: object) -> None:
    decoded = user(dateOfBirth=text)
    assert decoded.records[0].birth_date is None
    assert [flaw.item for flaw in decoded.flaws] == ["user 5"]
    assert "dateOfBirth" in decoded.flaws[0].text


def test_all_flaws_of_a_record_are_one_warning() -> None:
    decoded = user(dateOfBirth="?", role="king", avatar=[], lastName="Ho\x00lm")
    [flaw] = decoded.flaws
    for part in ("dateOfBirth", "role", "avatar", "lastName"):
        assert part in flaw.text


def test_the_lowest_id_has_the_account_in_whatever_order_they_come() -> None:
    pair = [USER | {"id": 9}, USER | {"id": 5, "email": "IDA@X.DK"}]
    for raw in (pair, pair[::-1]):
        decoded = records.users(raw, TODAY)
        by_id = {record.heynabo_id: record for record in decoded.records}
        assert (by_id[5].email, by_id[9].email) == ("ida@x.dk", None)
        assert (by_id[5].email_unclear, by_id[9].email_unclear) == (False, True)


@pytest.mark.parametrize(
    ("fields", "name", "address"),
    [
        ({"address": "Skrænten 1"}, "Skrænten 1", "Skrænten 1"),
        ({"street": "Skrænten", "streetNumber": 12}, "Skrænten 12", "Skrænten 12"),
        ({"street": "Skrænten", "streetNumber": None}, "Skrænten", "Skrænten"),
        ({"street": "Sti", "streetNumber": "12A", "address": "Sti 12A, st."}, "Sti 12A", "Sti 12A, st."),
        ({"address": "S 1", "zipCode": 4999, "city": "Bakkerup"}, "S 1", "S 1, 4999 Bakkerup"),
        ({"address": "S 1, 4999 By", "zipCode": "4999", "city": "By"}, "S 1, 4999 By", "S 1, 4999 By"),
        ({"address": "Over værkstedet", "streetNumber": "7"}, "Over værkstedet", "Over værkstedet"),
    ],
)
def test_names_and_addresses(fields: dict[str, object], name: str, address: str) -> None:
    assert location(**fields) == records.Location(1, name, address)


def test_depth_beyond_reason_is_a_wrong_field() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert [flaw.item for flaw in user(locationId=deep, firstName=deep, role=deep).flaws] == ["user 5"]


def test_a_house_number_alone_is_no_address() -> None:
    assert records.locations([{"id": 1, "streetNumber": "7"}]).records == []


def test_numbers_as_json_brings_them_are_text() -> None:
    raw = json.loads('[{"id": 5, "firstName": 7, "lastName": 1e3, "locationId": 1, "role": "full", "phone": 12345678}]')
    [record] = records.users(raw, TODAY).records
    assert (record.first_name, record.last_name, record.phone) == ("7", "1000.0", "12345678")
