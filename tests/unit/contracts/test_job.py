from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, TypedDict

import msgspec
import pytest
from kronik import Cron, InvalidJob, Job, NoParams, Params, Retry, RunContext, Show, job, job_of, minutes


class Month(Params, frozen=True):
    month: str
    dry_run: bool = False


class Closed(msgspec.Struct):
    closed: int


class ClosedDict(TypedDict):
    closed: int


@dataclass
class ClosedData:
    closed: int


class ClosedTuple(NamedTuple):
    closed: int


class ClosedArray(msgspec.Struct, array_like=True):
    closed: int


class Custom:
    pass


class OddParams(Params, frozen=True):
    odd: Custom


class ForgedParams(Params, frozen=True):
    triggered_by: str


def declared(function: Any) -> Job:
    found = job_of(function)
    assert found is not None
    return found


def test_a_declaration_attaches_all_there_is_to_know_and_leaves_the_function_alone() -> None:
    schedule, retry, show = Cron("0 2 * * *"), Retry(attempts=5), Show(path="closed", label={"en": "Closed"})

    @job(
        "CLOSE_MONTH",
        title={"da": "Luk måned"},
        schedule=schedule,
        timeout=minutes(5),
        retry=retry,
        concurrency=2,
        show=[show],
    )
    async def close_month(run: RunContext, params: Month) -> Closed:
        """Closes a month.

        For good.
        """
        return Closed(closed=len(params.month))

    assert declared(close_month) == Job(
        job_type="CLOSE_MONTH",
        function=close_month,
        params_type=Month,
        result_type=Closed,
        title={"da": "Luk måned"},
        description="Closes a month.\n\nFor good.",
        schedule=schedule,
        timeout=timedelta(minutes=5),
        retry=retry,
        concurrency=2,
        show=(show,),
    )


def test_most_can_be_left_out() -> None:
    @job("BAKE_BREAD")
    def bake_bread(run, params):  # type: ignore[no-untyped-def]
        return None

    found = declared(bake_bread)
    assert (found.params_type, found.result_type, found.title) == (NoParams, None, {"en": "Bake bread"})
    assert (found.description, found.schedule, found.timeout) == ("", None, timedelta(hours=1))
    assert (found.retry, found.concurrency, found.show) == (Retry(), 1, ())


def test_a_title_may_be_plain_text() -> None:
    @job("BAKE_BREAD", title="Bread")
    def bake_bread(run: RunContext, params: NoParams) -> None: ...

    assert declared(bake_bread).title == {"en": "Bread"}


def test_another_function_is_no_job() -> None:
    def plain() -> None: ...

    assert job_of(plain) is None
    plain.__kronik_job__ = "not a job"  # type: ignore[attr-defined]
    assert job_of(plain) is None


def test_params_refuse_what_they_do_not_know_and_are_camel_case_in_json() -> None:
    assert msgspec.convert({"month": "2026-10", "dryRun": True}, Month) == Month(month="2026-10", dry_run=True)
    with pytest.raises(msgspec.ValidationError, match="monht"):
        msgspec.convert({"month": "2026-10", "monht": 1}, Month)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"month": "2026-10"}, NoParams)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": timedelta(0)},
        {"timeout": timedelta(seconds=-1)},
        {"timeout": timedelta(microseconds=999)},
        {"timeout": timedelta.max},
        {"concurrency": 0},
        {"concurrency": 1001},
        {"confirm": " "},
        {"confirm": {}},
    ],
    ids=str,
)
def test_a_number_out_of_bounds_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidJob, match=f"BAKE_BREAD: {next(iter(options))} must be"):

        @job("BAKE_BREAD", **options)
        def bake_bread(run: RunContext, params: NoParams) -> None: ...


def test_a_job_may_want_to_be_confirmed_in_one_language_or_several() -> None:
    @job("BAKE_BREAD", confirm="Heat the oven?")
    def bake_bread(run: RunContext, params: NoParams) -> None: ...

    @job("BAKE_CAKE", confirm={"da": "Tænd ovnen?"})
    def bake_cake(run: RunContext, params: NoParams) -> None: ...

    assert [declared(one).confirm for one in (bake_bread, bake_cake)] == [
        {"en": "Heat the oven?"},
        {"da": "Tænd ovnen?"},
    ]


def test_a_bad_job_type_is_an_invalid_job() -> None:
    with pytest.raises(InvalidJob, match="must match"):

        @job("bake-bread")
        def bake_bread(run: RunContext, params: NoParams) -> None: ...


def _no_params(run: RunContext) -> None: ...
def _three(run: RunContext, params: NoParams, more: int = 0) -> None: ...
def _keyword(run: RunContext, *, params: NoParams) -> None: ...
def _variadic(run: RunContext, *params: NoParams) -> None: ...
def _yields(run: RunContext, params: NoParams) -> Iterator[None]:
    yield


async def _yields_async(run: RunContext, params: NoParams) -> AsyncIterator[None]:
    yield


def _unresolvable(run: RunContext, params: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821
def _dict_params(run: RunContext, params: dict[str, Any]) -> None: ...
def _int_params(run: RunContext, params: int) -> None: ...
def _odd_params(run: RunContext, params: OddParams) -> None: ...
def _forged_params(run: RunContext, params: ForgedParams) -> None: ...


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (_no_params, "takes (run, params)"),
        (_three, "takes (run, params)"),
        (_keyword, "takes (run, params)"),
        (_variadic, "takes (run, params)"),
        (_yields, "yields"),
        (_yields_async, "yields"),
        (_unresolvable, "Nowhere"),
        (_dict_params, "subclass of kronik.Params"),
        (_int_params, "subclass of kronik.Params"),
        (_odd_params, "no JSON Schema"),
        (_forged_params, "triggeredBy"),
    ],
)
def test_a_function_that_can_not_be_a_job_is_refused_at_import(function: Any, problem: str) -> None:
    with pytest.raises(InvalidJob) as refused:
        job("BAKE_BREAD")(function)
    assert problem in str(refused.value)
    assert job_of(function) is None


@pytest.mark.parametrize(
    "result", [Closed, ClosedDict, ClosedData, dict, dict[str, int], Closed | None, Any, None], ids=str
)
def test_a_result_is_a_json_object_or_none(result: Any) -> None:
    def bake_bread(run: RunContext, params: NoParams) -> None: ...

    bake_bread.__annotations__["return"] = result
    assert declared(job("BAKE_BREAD")(bake_bread)).result_type == (type(None) if result is None else result)


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        (int, "JSON object or None"),
        (list[Closed], "JSON object or None"),
        (Closed | int, "JSON object or None"),
        (ClosedTuple, "JSON object or None"),
        (ClosedArray, "JSON object or None"),
        (Custom, "no JSON Schema"),
    ],
    ids=str,
)
def test_any_other_result_is_refused(result: Any, problem: str) -> None:
    def bake_bread(run: RunContext, params: NoParams) -> None: ...

    bake_bread.__annotations__["return"] = result
    with pytest.raises(InvalidJob, match=problem):
        job("BAKE_BREAD")(bake_bread)
