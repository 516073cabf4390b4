"""What a job says without knowing of its run: print, logging, warnings. It belongs to the run that says it.

Who is speaking is known by a context variable, which asyncio hands on to a job's tasks and the runner to a job's
thread. What nobody's job says goes where it always went. Nothing here raises into whoever speaks: a stderr that
is full or closed costs the lines, never a run.
"""

import contextvars
import io
import logging
import os
import sys
import threading
from contextvars import ContextVar
from typing import Protocol, TextIO


class Speaker(Protocol):
    """A run that can be given lines; safe to use from any thread, raises nothing."""

    def say(self, level: str, event: str, fields: dict[str, object]) -> None: ...
    def write(self, stream: str, text: str) -> None: ...


speaker: ContextVar[Speaker | None] = ContextVar("speaker", default=None)
_forked = False
_only: Speaker | None = None


def current() -> Speaker | None:
    """Whose code this is; nobody's in a forked child, whose lines could not reach the runner."""
    if _only is not None:
        return _only
    return None if _forked else speaker.get()


def of(run: Speaker) -> contextvars.Context:
    """A context in which this run speaks."""
    context = contextvars.copy_context()
    context.run(speaker.set, run)
    return context


class Voice(io.TextIOBase):
    """Stands for sys.stdout or sys.stderr: a job's writing goes to its run, everybody else's to the stream behind."""

    def __init__(self, name: str, behind: TextIO) -> None:
        self._name = name
        self._behind = behind

    def write(self, text: str) -> int:
        if (speaking := current()) is not None:
            speaking.write(self._name, text)
            return len(text)
        try:
            return self._behind.write(text)
        except (OSError, ValueError):
            return len(text)

    def flush(self) -> None:
        try:
            self._behind.flush()
        except (OSError, ValueError):
            return

    def close(self) -> None:
        """A job that closes it closes nothing: its neighbours go on writing."""

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return current() is None and self._behind.isatty()

    def fileno(self) -> int:
        return self._behind.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"


class RunHandler(logging.Handler):
    """The standard library's log records of a job, as lines of its run."""

    def emit(self, record: logging.LogRecord) -> None:
        if (speaking := current()) is not None:
            try:
                fields: dict[str, object] = {"logger": record.name}
                if record.exc_info:
                    fields["exception"] = logging.Formatter().formatException(record.exc_info)
                speaking.say(_level(record.levelno), record.getMessage(), fields)
            except Exception:
                speaking.say("warning", f"a line of {record.name} that can't be shown", {})


def _level(number: int) -> str:
    if number >= logging.ERROR:
        return "error"
    return "warning" if number >= logging.WARNING else "info"


def listen() -> None:
    """From now on a job's print, logging and warnings belong to its run. Once, behind logs.configure()."""
    sys.stdout, sys.stderr = Voice("stdout", sys.stdout), Voice("stderr", sys.stderr)
    root = logging.getLogger()
    for handler in root.handlers:
        handler.setLevel(max(handler.level, root.level))
        handler.addFilter(lambda record: current() is None)
    root.addHandler(RunHandler())
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    _hand_on_to_threads()
    os.register_at_fork(after_in_child=_in_a_child)


def _hand_on_to_threads() -> None:
    """A thread that a job starts speaks for its run too; Python does it by itself from 3.14 on, where it is told to."""
    start = threading.Thread.start

    def start_speaking(thread: threading.Thread) -> None:
        if current() is not None:
            context, run = contextvars.copy_context(), thread.run
            thread.run = lambda: context.run(run)  # type: ignore[method-assign]
        start(thread)

    threading.Thread.start = start_speaking  # type: ignore[assignment, method-assign]


def speak_in_this_process_for(run: Speaker) -> None:
    """The process is one attempt's: every thread and every forked child of it speaks for the run.

    print goes to the descriptors, which are the run's already.
    """
    global _only
    _only = run
    sys.stdout, sys.stderr = (os.fdopen(number, "w", 1, errors="replace", closefd=False) for number in (1, 2))
    root = logging.getLogger()
    root.handlers[:] = [RunHandler()]
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)


def _in_a_child() -> None:
    global _forked
    _forked = True
