"""Requests are read as OpenAPI tells them, and in no other way."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.front import strict
from services.api.front.strict import Parameter, Rules
from services.api.history import run_filter
from services.api.problems import Problem

ONE = Parameter("string", False)
RULES = Rules(
    query={
        "limit": Parameter("integer", False),
        "dryRun": Parameter("boolean", False),
        "status": Parameter("string", True),
    },
    path={},
)
FILTER = Rules(query={name: Parameter("string", True) for name in run_filter.PARTS}, path={})


def refused(rules: Rules, *given: tuple[str, str]) -> str | None:
    try:
        strict._check_query(rules, list(given))
    except Problem as problem:
        return problem.detail
    return None


@pytest.mark.parametrize("value", ["1", "0", "-3", "100", "9007199254740991"])
def test_an_integer_is_written_as_one(value: str) -> None:
    assert refused(RULES, ("limit", value)) is None


@pytest.mark.parametrize(
    "value", ["", " 5", "5 ", "+5", "05", "1e1", "1.0", "5_0", "٥", "0x5", "true", "5\n", "9" * 400]
)
def test_what_is_not_written_as_an_integer_is_none(value: str) -> None:
    assert "limit" in (refused(RULES, ("limit", value)) or "")


@pytest.mark.parametrize("value", ["1", "on", "True", "yes", ""])
def test_truth_is_true_or_false(value: str) -> None:
    assert "dryRun" in (refused(RULES, ("dryRun", value)) or "")


@pytest.mark.parametrize("name", ["jobtype", "Limit", "limit ", "", "param.month", "limit[]"])
def test_an_unknown_parameter_is_refused_by_name(name: str) -> None:
    said = refused(RULES, (name, "1")) or ""
    assert name in said
    assert "dryRun, limit, status" in said


@pytest.mark.parametrize("name", ["outcome", "to", "text"])
def test_null_is_no_value_but_of_a_filter_which_reads_it_itself(name: str) -> None:
    assert name in (refused(Rules(query={name: ONE}, path={}), (name, "null")) or "")
    assert refused(FILTER, ("text", "null"), ("param.month", "null")) is None


def test_one_is_given_once_and_several_may_be_given() -> None:
    assert "2 times" in (refused(RULES, ("limit", "1"), ("limit", "1")) or "")
    assert refused(RULES, ("status", "FAILED"), ("status", "SUCCESS")) is None


def test_runs_are_filtered_by_any_param() -> None:
    assert refused(FILTER, ("param.month", "2026-10")) is None
    assert refused(FILTER, ("parammonth", "2026-10")) is not None


@pytest.mark.parametrize("body", ['{"a":1,"a":1}', '{"a":{"b":[{"c":1,"d":2,"c":3}]}}', '[{"a":1,"\\u0061":2}]'])
def test_a_field_that_is_there_twice_is_refused_by_name(body: str) -> None:
    with pytest.raises(Problem, match=r"[ac]: is in the body 2 times"):
        strict._check_fields(body.encode())


def test_a_field_that_no_call_has_is_refused_with_those_it_has() -> None:
    with pytest.raises(Problem, match="no field of this call: parms; it takes: jobType, params"):
        strict._check_fields(b'{"jobType":"A","parms":{"anything":1}}', frozenset({"jobType", "params"}))
    strict._check_fields(b'{"jobType":"A","params":{"anything":1}}', frozenset({"jobType", "params"}))


VALUES = st.recursive(st.none() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(VALUES)
def test_every_other_document_passes(value: Any) -> None:
    import json

    strict._check_fields(json.dumps(value).encode())


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"nul"])
def test_what_is_no_document_is_left_to_the_handler(body: bytes) -> None:
    strict._check_fields(body)
