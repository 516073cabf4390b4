"""Running a job in a unit test, without a bus: `await perform(greeting, {"name": "Anna"})`.

run = RecordedRun()
assert await perform(greeting, {"name": "Anna"}, run) == {"text": "Hello Anna!"}
assert run.warnings == []
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from kronik.errors import InvalidJob
from kronik.job import job_of


@dataclass
class RecordedLog:
    """Keeps log lines as (event, fields)."""

    lines: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def info(self, event: str, /, **fields: object) -> None:
        self.lines.append((event, fields))

    warning = info
    error = info


@dataclass
class RecordedRun:
    """A `kronik.RunContext` that keeps what the job says: warnings as (item, text), progress as (done, total, text).

    Set `cancelled` to have the job told to stop.
    """

    now: datetime = datetime(2026, 11, 1, 3, 0, tzinfo=UTC)
    id: int = 1
    token: int = 1
    job_type: str = "TEST"
    attempt: int = 1
    triggered_by: str = "CRON"
    scheduled_for: datetime | None = None
    correlation_id: str | None = None
    traceparent: str | None = None
    cancelled: bool = False
    log: RecordedLog = field(default_factory=RecordedLog)
    warnings: list[tuple[str | None, str]] = field(default_factory=list)
    steps: list[tuple[int, int | None, str]] = field(default_factory=list)

    def warn(self, text: str, *, item: str | None = None) -> None:
        self.warnings.append((item, text))

    def progress(self, done: int, total: int | None = None, text: str = "") -> None:
        self.steps.append((done, total, text))


async def perform(
    function: Callable[..., Any], params: Mapping[str, Any] | None = None, run: RecordedRun | None = None
) -> Any:
    """Call a job as a runner does, with params as their JSON has them; what it returns, as its JSON has it.

    Raises what the job raises, msgspec.ValidationError for params that it does not take, and InvalidJob for a
    function without `@job`.
    """
    job = job_of(function)
    if job is None:
        raise InvalidJob(f"{getattr(function, '__name__', function)} has no @job")
    returned = job.function(run or RecordedRun(job_type=job.job_type), msgspec.convert(params or {}, job.params_type))
    result = await returned if inspect.isawaitable(returned) else returned
    return msgspec.json.decode(msgspec.json.encode(result))
