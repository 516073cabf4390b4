"""`kronik export`: every run that a filter selects, through the HTTP API."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from kronik import KronikError

from services.cli import api, target, terminal
from services.cli.instants import moment
from services.cli.runs import RUNS
from services.cli.selecting import EVERYTHING, Selection
from services.cli.usage import BadUsage


class NotWritten(KronikError):
    """The file took some of it, or nothing."""


def export_command(
    file: Path | None = None,
    /,
    *,
    which: Selection = EVERYTHING,
    format: Literal["csv", "jsonl"] = "csv",
    as_of: str | None = None,
) -> int:
    """Write every run that a filter selects, oldest first, to a file or to stdout.

    Parameters
    ----------
    file
        Where to; stdout without it.
    format
        csv, in which no cell is a formula to a spreadsheet, or jsonl: a line of JSON each, as the API answers.
    as_of
        As the history was then: an instant, or an event's sequence.
    """
    query = [*which.query(), ("format", format), ("asOf", moment(as_of))]
    with api.connect(target.find()) as calls, calls.stream(f"{RUNS}/export", query) as answer:
        if file is None:
            for chunk in answer.iter_bytes():
                sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            return 0
        with _writing(file) as out:
            for chunk in answer.iter_bytes():
                out.write(chunk)
    terminal.say(f"wrote {file}")
    return 0


@contextmanager
def _writing(file: Path) -> Iterator[BinaryIO]:
    """Raises BadUsage where there can be no such file, NotWritten for a full disk and the like."""
    try:
        out = file.open("wb")
    except OSError as error:
        raise BadUsage(f"{file}: {error.strerror}; expected a file in a directory that exists") from error
    try:
        with out:
            yield out
    except OSError as error:
        raise NotWritten(f"{file}: {error.strerror}; what stands there is not all of it") from error
