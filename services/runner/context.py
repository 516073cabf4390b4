"""The RunContext that jobs are given, and how its log lines and progress reach the JOBLOG stream.

All of it is best effort and bounded: whatever a job says, in whatever type, raises nothing into its attempt, and a
job that says more than anybody will read keeps its beginning and its end; what lies between is counted.
"""

import asyncio
import operator
import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from typing import Any, Final

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

WARNINGS_KEPT: Final = 100
WARNINGS_ROOM: Final = 256 * 1024
"""Bytes of JSON that the kept warnings may have: with the largest result they still fit into one event."""
LINES_AT_ONCE: Final = 4_000
BYTES_AT_ONCE: Final = 4 * 1024 * 1024
"""How much of an attempt's log is published while it is said; past it, of what follows, the last LINES_AT_THE_END."""
LINES_AT_THE_END: Final = 500
LINE_LIMIT: Final = 16 * 1024
"""Bytes of one line."""
_FIELDS_KEPT = 50
_WARNING_LIMIT = 1_000


class Context:
    """One attempt, as its job sees it (kronik.RunContext). Its lists are read when the attempt is over."""

    def __init__(self, run: Run, now: datetime, clock: Clock) -> None:
        self.id = run.id
        self.token = run.token
        self.job_type = run.job_type
        self.attempt = run.attempt
        self.triggered_by = run.triggered_by
        self.scheduled_for = run.scheduled_for
        self.correlation_id = run.correlation_id
        self.traceparent = run.traceparent
        self.now = now
        self.clock = clock
        self.warnings: list[Warning] = []
        self.warning_count = 0
        self.saw_its_end = False
        self.exited: Callable[[SystemExit | KeyboardInterrupt], object] = _nobody_asks
        self._says = False
        self._written: dict[str, str] = {}
        self._room = WARNINGS_ROOM
        self._told_to_stop = False
        self._progress: bytes | None = None

    @property
    def log(self) -> "RunLog":
        """Made when it is asked for: kept here it would be a circle, and every run a case for the garbage collector."""
        return RunLog(self)

    @cached_property
    def _lines(self) -> "Lines":
        """Made with the first of them: most attempts say nothing, and are the half of it without."""
        return Lines()

    @cached_property
    def publishing(self) -> asyncio.Lock:
        return asyncio.Lock()

    @cached_property
    def logger(self) -> structlog.typing.FilteringBoundLogger:
        """The service's, for the lines of this attempt."""
        logger: structlog.typing.FilteringBoundLogger = logs.get().bind(
            run_id=self.id, job=self.job_type, attempt=self.attempt
        )
        return logger

    @property
    def cancelled(self) -> bool:
        if self._told_to_stop:
            self.saw_its_end = True
        return self.saw_its_end

    def cancel(self) -> None:
        self._told_to_stop = True

    def warn(self, text: str, *, item: str | None = None) -> None:
        self.warning_count += 1
        if len(self.warnings) < WARNINGS_KEPT:
            named = None if item is None else text_of(item, _WARNING_LIMIT)
            self._keep(Warning(text=text_of(text, _WARNING_LIMIT), item=named))
        self.log.warning(text, item=item)

    def _keep(self, warning: Warning) -> None:
        self._room -= len(msgspec.json.encode(warning)) + 1
        if self._room >= 0:
            self.warnings.append(warning)

    def progress(self, done: int, total: int | None = None, text: str = "") -> None:
        said = {"done": whole(done), "total": whole(total), "text": text_of(text, 500)}
        if said["done"] is not None:
            self._progress = msgspec.json.encode({**self._origin(), "progress": said})

    def say(self, level: str, event: str, fields: dict[str, object]) -> None:
        """One line of the run's log."""
        shown = {text_of(name, 100): text_of(value, 2_000) for name, value in _first(fields) if value is not None}
        event = text_of(event, 2_000)
        self._says = True
        line = {**self._origin(), "level": level, "event": event, "fields": shown}
        if self._lines.add(_encoded(line)):
            # The job's fields stay together: a name among them must not take the place of the run's id or of the text.
            self.log.pass_on(level, event, shown)

    def write(self, stream: str, text: str) -> None:
        """What was printed; it becomes a line with its line break."""
        *whole, rest = (self._written.get(stream, "") + text_of(text, 1_000_000)).split("\n")
        self._written[stream] = rest[:LINE_LIMIT]
        for line in whole:
            self.say("info" if stream == "stdout" else "warning", line, {"stream": stream})

    def _origin(self) -> dict[str, Any]:
        return {"time": self.clock.now(), "attempt": self.attempt}

    @property
    def is_silent(self) -> bool:
        """Whether nothing waits to be published, nor ever did: as with most."""
        return not (self._says or self._written or self._progress)

    def take_lines(self) -> list[bytes]:
        """What was said since the last call, the newest progress last."""
        progress, self._progress = self._progress, None
        return [*self._lines.take(), *([] if progress is None else [progress])]

    def take_last_lines(self) -> list[bytes]:
        """All that is left, with a word of how much was left out."""
        for stream, rest in list(self._written.items()):
            if rest:
                self.write(stream, "\n")
        left_out = self._lines.left_out()
        note = {**self._origin(), "level": "warning", "event": f"{left_out} lines left out here", "leftOut": left_out}
        return [*self._lines.take(), *([_encoded(note)] if left_out else []), *self._lines.end(), *self.take_lines()]


class Lines:
    """A bounded log: all of the beginning, the last few of the rest, and how many are missing between them."""

    def __init__(self) -> None:
        self._fresh: deque[bytes] = deque()
        self._end: deque[bytes] = deque(maxlen=LINES_AT_THE_END)
        self.count = self._late = self._bytes = 0
        self._guard = threading.Lock()

    def add(self, line: bytes) -> bool:
        """Whether the line belongs to the beginning."""
        with self._guard:
            self.count += 1
            self._bytes += len(line)
            early = self.count <= LINES_AT_ONCE and self._bytes <= BYTES_AT_ONCE
            self._late += not early
            (self._fresh if early else self._end).append(line)
            return early

    def take(self) -> list[bytes]:
        return [self._fresh.popleft() for _ in range(len(self._fresh))]

    def left_out(self) -> int:
        return self._late - len(self._end)

    def end(self) -> list[bytes]:
        return list(self._end)


class RunLog:
    """`run.log`: lines go to the service's log at once and wait in the context for the next flush."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def info(self, event: str, /, **fields: object) -> None:
        self._context.say("info", event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        self._context.say("warning", event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        self._context.say("error", event, fields)

    def pass_on(self, level: str, text: str, fields: dict[str, str]) -> None:
        getattr(self._context.logger, level)("job_log", text=text, **({"fields": fields} if fields else {}))


def _nobody_asks(_: BaseException) -> None:
    """Before and after its job's own time."""


def _first(fields: dict[str, object]) -> list[tuple[str, object]]:
    return list(fields.items())[:_FIELDS_KEPT]


def text_of(value: object, limit: int) -> str:
    """Any object of a job as text that can be stored, whatever its own __str__ does."""
    try:
        return clean(value if type(value) is str else str(value), limit)
    except BaseException:
        return f"(a {type(value).__name__} that can't be shown)"


def whole(number: object) -> int | None:
    """A number of a job, an int by another library's name or a float among them; None for what is none."""
    try:
        try:
            whole = operator.index(number)  # type: ignore[arg-type]
        except TypeError:
            whole = int(number)  # type: ignore[call-overload]
    except BaseException:
        return None
    return max(-(2**53), min(2**53, int(whole)))


def _encoded(line: dict[str, Any]) -> bytes:
    """Never longer than LINE_LIMIT: of a longer one the fields are left out, then its text is cut."""
    encoded = msgspec.json.encode(line)
    if len(encoded) > LINE_LIMIT:
        cut = {"note": f"{len(line.get('fields', {}))} fields left out: together with them it is too long"}
        encoded = msgspec.json.encode({**line, "event": line["event"][:1_500], "fields": cut})
    return encoded


async def publish_lines(connection: Client, context: Context) -> None:
    """Publish what was said since the last time. Best effort: JOBLOG is not truth."""
    if connection.is_connected and not context.is_silent:
        await _publish(connection, context, context.take_lines)


async def publish_last_lines(connection: Client, context: Context) -> None:
    if connection.is_connected and not context.is_silent:
        await _publish(connection, context, context.take_last_lines)


async def _publish(connection: Client, context: Context, take: Callable[[], list[bytes]]) -> None:
    subject = subjects.log_lines(context.job_type, context.id)
    async with context.publishing:
        for line in take():
            try:
                await connection.publish(subject, line)
            except NatsError:
                return
