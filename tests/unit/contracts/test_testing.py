"""A job in a unit test, as its author writes it."""

from datetime import date

import msgspec
import pytest
from kronik import InvalidJob, Params, RunContext, job
from kronik.testing import RecordedRun, perform


class When(Params, frozen=True):
    first_day: date


@job("COUNTS")
async def counts(run: RunContext, params: When) -> dict[str, date]:
    run.warn("late", item="household 17")
    run.progress(1, 2, "half")
    run.log.info("counting", day=params.first_day)
    return {"day": params.first_day}


@job("PLAIN")
def plain(run: RunContext, params: When) -> dict[str, bool]:
    return {"cancelled": run.cancelled}


async def test_a_job_is_called_as_a_runner_does() -> None:
    run = RecordedRun(id=7)
    assert await perform(counts, {"firstDay": "2026-11-27"}, run) == {"day": "2026-11-27"}
    assert run.warnings == [("household 17", "late")]
    assert run.steps == [(1, 2, "half")]
    assert run.log.lines == [("counting", {"day": date(2026, 11, 27)})]
    assert await perform(plain, {"firstDay": "2026-11-27"}, RecordedRun(cancelled=True)) == {"cancelled": True}


async def test_params_and_functions_that_a_runner_would_refuse_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="firstDay"):
        await perform(counts, {"firstDay": "tomorrow"})
    with pytest.raises(InvalidJob, match="has no @job"):
        await perform(lambda run, params: None)
