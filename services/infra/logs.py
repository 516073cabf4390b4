"""Log lines: constant event names with fields. Colours on a terminal, JSON elsewhere."""

import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

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


def configure(service: str, *, log_format: str = "auto", level: str = "info") -> None:
    """Set logging up for this process; every line carries `service`. log_format: auto, json or console."""
    stderr: TextIO = BestEffort(sys.stderr)  # type: ignore[assignment]
    console = log_format == "console" or (log_format == "auto" and _is_terminal(sys.stderr))
    renderer = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            *([_printable] if console else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
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
