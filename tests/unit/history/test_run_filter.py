"""A filter is the query of a URL: what it says, what it refuses, and which runs' states it leaves over."""

from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.history import run_filter
from services.api.history.run_filter import InvalidFilter, RunFilter

_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=20)
_INSTANTS = st.none() | st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
_UNIQUE = {"unique": True, "max_size": 3}
_FILTERS = st.builds(
    RunFilter,
    ids=st.lists(st.integers(1, 2**53 - 1), **_UNIQUE).map(tuple),
    job_types=st.lists(st.sampled_from(["A", "B_1", "C"]), **_UNIQUE).map(tuple),
    not_job_types=st.lists(st.sampled_from(["A", "D"]), **_UNIQUE).map(tuple),
    statuses=st.lists(st.sampled_from(["RUNNING", "SUCCESS", "PARTIAL", "FAILED"]), **_UNIQUE).map(tuple),
    phases=st.lists(st.sampled_from(["queued", "executing", "retrying", "finished"]), **_UNIQUE).map(tuple),
    triggered_by=st.lists(st.just("CRON") | _TEXT.map("SERVICE:{}".format), **_UNIQUE).map(tuple),
    since=_INSTANTS,
    until=_INSTANTS,
    rerun_of=st.none() | st.integers(1, 2**53 - 1),
    correlation_id=st.none() | _TEXT,
    open=st.none() | st.booleans(),
    unresolved=st.none() | st.booleans(),
    text=st.none() | _TEXT,
    params=st.lists(st.tuples(_TEXT, _TEXT), max_size=3).map(tuple),
)


@given(_FILTERS)
def test_what_is_written_is_read_back(wanted: RunFilter) -> None:
    query = parse_qsl(urlencode(run_filter.write(wanted)), keep_blank_values=True)
    read = run_filter.read([*query, ("limit", "nothing of a filter")])
    assert sorted(read.params) == sorted(wanted.params)
    assert (
        run_filter.write(read)[: -len(wanted.params) or None] == run_filter.write(wanted)[: -len(wanted.params) or None]
    )


@pytest.mark.parametrize(
    ("query", "states"),
    [
        ("", set(run_filter.STATES)),
        ("status=RUNNING", {"queued", "executing", "retrying"}),
        ("status=FAILED&status=PARTIAL", {"failed", "mended", "cancelled", "partial"}),
        ("status=RUNNING&phase=retrying", {"retrying"}),
        ("phase=finished&open=1", set()),
        ("open=false", {"succeeded", "partial", "failed", "mended", "cancelled"}),
        ("unresolved=true", {"failed"}),
        ("status=FAILED&unresolved=false", {"mended", "cancelled"}),
    ],
)
def test_the_parts_combine(query: str, states: set[str]) -> None:
    assert run_filter.read(parse_qsl(query)).states() == states


def test_every_part_that_is_wrong_is_named() -> None:
    query = (
        "status=DONE&status=FAILED&from=2026-01-01&to=2026-01-01T00:00:00Z&to=x&open=maybe&rerunOf=0&jobType="
        "&param.=1&param.a=%00&text=ok"
    )
    with pytest.raises(InvalidFilter) as refused:
        run_filter.read(parse_qsl(query, keep_blank_values=True))
    assert [part.field for part in refused.value.parts] == [
        *("status", "from", "to", "open", "rerunOf", "jobType", "param.", "param.a")
    ]
    assert all(part.allowed for part in refused.value.parts)


def test_the_plus_of_an_offset_may_come_as_a_blank() -> None:
    assert run_filter.read(parse_qsl("from=2026-01-01T00:00:00+01:00")).since == datetime(2025, 12, 31, 23, tzinfo=UTC)
