"""The RunContext that jobs are given, and how its log lines and progress reach the JOBLOG stream."""

import asyncio
import threading
from collections import deque
from datetime import datetime
from typing import Any

import msgspec
import structlog
from kronik import subjects
from kronik.events import Warning
from kronik.run import Run
from kronik.text import clean
from nats.aio.client import Client
from nats.errors import Error as NatsError

from services.infra import logs
from services.infra.clock import Clock

WARNINGS_KEPT = 100
_WARNING_LIMIT = 1_000
_FLUSH_EVERY_S = 0.3
_LINES_KEPT = 10_000


class Context:
    """One attempt, as its job sees it (kronik.RunContext). Its lists are read when the attempt is over."""

    def __init__(self, run: Run, now: datetime, clock: Clock) -> None:
        self.id = run.id
        self.token = run.token
        self.job_type = run.job_type
        self.attempt = run.attempt
        self.triggered_by = run.triggered_by
        self.scheduled_for = run.scheduled_for
        self.now = now
        self.lines: deque[dict[str, Any]] = deque(maxlen=_LINES_KEPT)
        self.log = RunLog(self, clock)
        self.warnings: list[Warning] = []
        self.warning_count = 0
        self._clock = clock
        self._stop = threading.Event()
        self._progress: dict[str, Any] | None = None

    @property
    def cancelled(self) -> bool:
        return self._stop.is_set()

    def cancel(self) -> None:
        self._stop.set()

    def warn(self, text: str, *, item: str | None = None) -> None:
        self.warning_count += 1
        if len(self.warnings) < WARNINGS_KEPT:
            named = None if item is None else clean(str(item), _WARNING_LIMIT)
            self.warnings.append(Warning(text=clean(str(text), _WARNING_LIMIT), item=named))
        self.log.warning(text, item=item)

    def progress(self, done: int, total: int | None = None, text: str = "") -> None:
        self._progress = {
            "time": self._clock.now(),
            "attempt": self.attempt,
            "progress": {"done": done, "total": total, "text": clean(text, 500)},
        }

    def take_lines(self) -> list[dict[str, Any]]:
        """What was logged since the last call, the newest progress last."""
        taken = [self.lines.popleft() for _ in range(len(self.lines))]
        progress, self._progress = self._progress, None
        return taken if progress is None else [*taken, progress]


class RunLog:
    """Lines go to the service's log at once and wait in the context for the next flush."""

    def __init__(self, context: Context, clock: Clock) -> None:
        self._context = context
        self._clock = clock
        self._logger: structlog.typing.FilteringBoundLogger = logs.get().bind(
            run_id=context.id, job=context.job_type, attempt=context.attempt
        )

    def info(self, event: str, /, **fields: object) -> None:
        self._write("info", event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        self._write("warning", event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, object]) -> None:
        shown = {name: clean(str(value), 2_000) for name, value in fields.items() if value is not None}
        line = {"time": self._clock.now(), "attempt": self._context.attempt, "level": level}
        self._context.lines.append({**line, "event": clean(str(event), 2_000), "fields": shown})
        # The job's fields stay together: a name among them must not take the place of the run's id or of the text.
        getattr(self._logger, level)("job_log", text=event, **({"fields": shown} if shown else {}))


async def publish_lines(connection: Client, context: Context) -> None:
    """Publish what the context gathers until cancelled. Best effort: JOBLOG is not truth."""
    while True:
        await asyncio.sleep(_FLUSH_EVERY_S)
        await flush_lines(connection, context)


async def flush_lines(connection: Client, context: Context) -> None:
    subject = subjects.log_lines(context.job_type, context.id)
    for line in context.take_lines():
        if not connection.is_connected:
            return
        try:
            await connection.publish(subject, msgspec.json.encode(line))
        except NatsError:
            return
