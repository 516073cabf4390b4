"""A command as a job, without a runner: what it is given, what becomes of its output, how it ends."""

import sys

import pytest
from kronik import InvalidJob, PermanentError, command_job, job_of
from kronik.errors import CommandFailed
from msgspec.json import decode

from tests.run_context import Run


def perform(script: str, run: Run, **params: object) -> object:
    kinds = {name: type(value) for name, value in params.items()}
    job = job_of(command_job("TRIES", [sys.executable, "-c", script], params=kinds))
    assert job is not None
    return job.function(run, job.params_type(**params))


def test_params_are_on_stdin_and_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRONIK_NATS_URL", "nats://runner:secret@nats")
    script = """
import json, os, sys
print("line")
names = ("KRONIK_PARAM_DRY_RUN", "KRONIK_PARAM_MONTH", "KRONIK_RUN_ID", "KRONIK_TRACEPARENT", "KRONIK_NATS_URL")
print(json.dumps({"stdin": json.load(sys.stdin), "env": [os.environ.get(name) for name in names]}))
"""
    run = Run(id=7, traceparent="00-1")
    result = perform(script, run, dryRun=True, month="2026-10")
    assert result == {"stdin": {"dryRun": True, "month": "2026-10"}, "env": ["true", "2026-10", "7", "00-1", None]}
    assert [event for event, _ in run.log.lines] == ["line"]


def test_large_params_that_nobody_reads_and_much_output_hang_nobody() -> None:
    run = Run()
    assert perform("print('x' * 2_000_000); print('last')", run, text="y" * 200_000) is None
    assert [len(event) for event, _ in run.log.lines] == [1024 * 1024, 4]


def test_a_failure_says_how_and_with_which_last_words() -> None:
    with pytest.raises(CommandFailed, match="exit status 3: no flour"):
        perform("import sys; print('{}'); print('no flour', file=sys.stderr); sys.exit(3)", Run())
    with pytest.raises(CommandFailed, match="killed by signal 9"):
        perform("import os; os.kill(os.getpid(), 9)", Run())


def test_a_cancel_reaches_the_command() -> None:
    with pytest.raises(CommandFailed, match="killed by signal 15"):
        perform("import time; time.sleep(60)", Run(cancelled=True))


@pytest.mark.parametrize(("last", "result"), [("[1]", None), ("{", None), ('{"n": NaN}', None), ('{"n": 1}', {"n": 1})])
def test_only_a_last_line_that_is_a_json_object_is_the_result(last: str, result: object) -> None:
    run = Run()
    assert perform(f"print({last!r})", run) == result
    assert [event for event, _ in run.log.lines] == ([] if result else [last])


@pytest.mark.parametrize(
    ("argv", "options", "problem"),
    [
        ("pg_dump", {}, "must be a list of texts"),
        ([], {}, "must be a list of texts"),
        (["x"], {"params": {"not a name": int}}, "params"),
        (["x"], {"isolation": "thread"}, "must be 'none' or 'process'"),
        (["x"], {"memory_limit": "lots"}, "memory_limit must be bytes"),
        (["x"], {"memory_limit": 1}, "16 MiB or more"),
        (["x"], {"isolation": "none", "memory_limit": "1GB"}, "needs a process of its own"),
    ],
)
def test_a_declaration_that_can_t_work_is_refused(argv: object, options: dict[str, object], problem: str) -> None:
    with pytest.raises(InvalidJob, match=problem):
        command_job("TRIES", argv, **options)  # type: ignore[arg-type]


def test_a_command_that_is_not_there_is_no_reason_to_try_again() -> None:
    job = job_of(command_job("TRIES", ["no-such-program-7"], memory_limit="1.5 GB"))
    assert job is not None
    assert (job.isolation, job.memory_limit) == ("process", 1_500_000_000)
    with pytest.raises(PermanentError, match="no-such-program-7"):
        job.function(Run(), decode(b"{}", type=job.params_type))
