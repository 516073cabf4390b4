"""Which modules a runner starts with, and which it refuses, saying why."""

import itertools
from pathlib import Path

import pytest
from kronik import InvalidJob

from services.runner import registry

HEAD = """
import functools, sys
from kronik import Cron, NoParams, Params, RunContext, command_job, job

class Wanted(Params, frozen=True):
    month: str
"""
WRAPPED = """
def wrapper(inner):
    @functools.wraps(inner)
    async def outer(run, params): return await inner(run, params)
    return outer
@wrapper
@job("WRAPPED")
async def wrapped(run: RunContext, params: NoParams) -> None: ...
"""
SCHEDULED = """
@job("SCHEDULED", schedule=Cron("0 3 * * *"))
async def scheduled(run: RunContext, params: Wanted) -> None: ...
"""
BY_SETTING = """
import os
@job("BY_SETTING", schedule=Cron(os.environ["KRONIK_OF_THE_TEST"].strip()))
async def by_setting(run: RunContext, params: NoParams) -> None: ...
"""
_numbers = itertools.count()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.syspath_prepend(tmp_path)

    def write(body: str) -> str:
        name = f"jobs_of_a_test_{next(_numbers)}"
        (tmp_path / f"{name}.py").write_text(HEAD + body)
        return name

    return write


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("sys.exit(0)", r"importing 'jobs_of_a_test_\d+' raised SystemExit: 0"),
        ("raise ValueError('no lamp')", "raised ValueError: no lamp"),
        ("import no_such_module", "can't import"),
        (WRAPPED, "wrapped wraps the job WRAPPED.*put @job above"),
        (SCHEDULED, "SCHEDULED: it has a schedule, and slots give no params, but month must be given"),
        ("", "declares no @job"),
        (BY_SETTING, "KRONIK_OF_THE_TEST=' 61 3 \\* \\* \\*': BY_SETTING: .*0 to 59"),
    ],
)
def test_what_can_t_work_is_refused_at_start_and_says_why(  # type: ignore[no-untyped-def]
    module, body: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KRONIK_OF_THE_TEST", " 61 3 * * *")
    with pytest.raises(InvalidJob, match=problem):
        registry.load(module(body))


def test_commands_and_jobs_with_params_are_found(module) -> None:  # type: ignore[no-untyped-def]
    found = registry.load(module("backup = command_job('BACKUP', ['true'], schedule=Cron('0 3 * * *'))"))
    assert list(found) == ["BACKUP"]
