"""Log lines: constant event names with fields. Colours on a terminal, JSON elsewhere."""

import logging
import os
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, TextIO

import structlog

from services.infra.clock import monotonic_s
from services.infra.printable import printable


class BestEffort:
    """A log file that is full, closed or gone costs its lines, and nobody's work.

    It writes to a descriptor of its own: whoever closes sys.stderr in this process closes another one.
    """

    def __init__(self, stream: TextIO) -> None:
        self._descriptor = _own_descriptor(stream)

    def write(self, text: str) -> int:
        try:
            os.write(self._descriptor, text.encode(errors="backslashreplace"))
        except OSError:
            return 0
        return len(text)

    def flush(self) -> None: ...


def _own_descriptor(stream: TextIO) -> int:
    try:
        return os.dup(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return os.open(os.devnull, os.O_WRONLY)


_NAMES = 1_000


class Calm:
    """Of warnings that come again and again, one name's so many in a while; the next one says how many it stands for.

    What can't be done is tried again by everybody who waits for it: a lost quorum wrote 6,200 lines a minute. Of what
    is only told (info) far more are kept, and not all: ten thousand runs a second stand in the stream, and would take
    half of the runner's time here.
    """

    def __init__(
        self, now_s: Callable[[], float] = monotonic_s, burst: int = 10, told: int = 2_000, every_s: float = 10
    ) -> None:
        self._now_s = now_s
        self._most = {"warning": burst, "info": told}
        self._every_s = every_s
        self._said: dict[str, tuple[float, int]] = {}

    def __call__(self, _logger: object, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Raises structlog.DropEvent for a line that is one too many."""
        most = self._most.get(method)
        if most is None:
            return line
        name = str(line.get("event"))
        if self.leaves_out(method, name):
            raise structlog.DropEvent
        since_s, count = self._said.get(name, (float("-inf"), 0))
        if self._now_s() - since_s >= self._every_s:
            if len(self._said) >= _NAMES:
                self._said.clear()  # whose names are anything: a job's
            self._said[name] = (self._now_s(), 1)
            return line if count <= most else {**line, "left_out": count - most}
        self._said[name] = (since_s, count + 1)
        return line

    def leaves_out(self, method: str, name: str) -> bool:
        """Whether a line of this name is one too many now; then it is counted."""
        since_s, count = self._said.get(name, (0.0, 0))
        if count < self._most.get(method, count + 1) or self._now_s() - since_s >= self._every_s:
            return False
        self._said[name] = (since_s, count + 1)
        return True


def _logger(level: int, calm: Calm) -> type[Any]:
    """Ours asks before anything is made of a line, or those that are left out would cost as much as the others."""
    filtering: Any = structlog.make_filtering_bound_logger(level)

    class Logger(filtering):  # type: ignore[misc]
        def info(self, event: str, *args: Any, **fields: Any) -> Any:
            return None if calm.leaves_out("info", event) else super().info(event, *args, **fields)

    return Logger


def configure(service: str, *, log_format: str = "auto", level: str = "info") -> None:
    """Set logging up for this process; every line carries `service`. log_format: auto, json or console."""
    stderr: TextIO = BestEffort(sys.stderr)  # type: ignore[assignment]
    console = log_format == "console" or (log_format == "auto" and _is_terminal(sys.stderr))
    renderer = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    calm = Calm()
    structlog.configure(
        processors=[
            calm,
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            *([_printable] if console else []),
            renderer,
        ],
        wrapper_class=_logger(logging.getLevelNamesMapping()[level.upper()], calm),
        logger_factory=structlog.WriteLoggerFactory(stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=stderr, force=True)
    structlog.contextvars.bind_contextvars(service=service)


def _printable(_logger: object, _method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """What jobs and strangers say is shown on a terminal, and not obeyed by it."""
    return {printable(key): printable(value) if isinstance(value, str) else value for key, value in entry.items()}


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (OSError, ValueError, AttributeError):
        return False


def get() -> structlog.typing.FilteringBoundLogger:
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger
