"""The one door to the terminal: tables and colours for people, JSON for scripts.

Results go to stdout, everything else to stderr. What is printed is data as a rule, and data is a stranger's: here it
loses whatever a terminal would obey, and no text is ever read as markup.
"""

import json
import os
import sys
import zoneinfo
from collections.abc import Container, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from services.cli import people
from services.infra.clock import SystemClock
from services.infra.printable import escaped_in_json, one_line, printable

AsJson = Annotated[bool, Parameter(name="--json", negative="", help="JSON on stdout, for scripts.")]

_PIPE_COLUMNS = 200
_BETWEEN = 2
_LEAST = 6
"""What the last column may shrink to."""


class Door(Console):
    """A console that nothing passes which a terminal would obey, but the colours that rich itself adds."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def on_broken_pipe(self) -> None:
        """Rich would end the process, from within whatever task happens to print: main() knows how."""
        raise

    def render_str(self, text: str, **options: Any) -> Text:
        """Before it is laid out, so that columns are as wide as what is seen."""
        return super().render_str(printable(text), **{**options, "markup": False, "emoji": False})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Every segment of whatever is printed comes by here: a Text that was not made with care as well."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


def _pipe_columns() -> int:
    """COLUMNS where it is set, else enough for whole lines."""
    asked = os.environ.get("COLUMNS", "")
    return int(asked) if asked.isdecimal() and int(asked) > 0 else _PIPE_COLUMNS


out = Door(width=None if sys.stdout.isatty() else _pipe_columns())
err = Door(stderr=True)

STATUS_STYLE = {"SUCCESS": "green", "PARTIAL": "yellow", "FAILED": "red", "RUNNING": "cyan"}
STATUS_ICON = {"SUCCESS": "✓", "PARTIAL": "!", "FAILED": "✗", "RUNNING": "…"}


def table(*headings: str, right: Container[str] = ()) -> Table:
    """One line per row; on a narrow terminal the last column gives way: see cut().

    The first column, which says what the row is about, is there on the narrowest.
    """
    made = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        made.add_column(cut(heading), justify="right" if heading in right else "left", no_wrap=heading != headings[-1])
    return made


def show(rows: Table) -> None:
    """Columns that there is no room for are left out, the last first; the last that is shown takes what is left."""
    shown = list(rows.columns)
    while len(shown) > 1 and _taken(shown[:-1]) + _LEAST > out.width:
        shown.pop()
    for column in shown[:-1]:
        column.width = _width(column)
    shown[-1].width = max(1, min(_width(shown[-1]), out.width - _taken(shown[:-1])))
    shown[-1].overflow, shown[-1].no_wrap = "ellipsis", True
    rows.columns[:] = shown
    out.print(rows)


def _taken(columns: Sequence[Column]) -> int:
    return sum(_width(column) + _BETWEEN for column in columns)


def _width(column: Column) -> int:
    """Of its widest cell."""
    return max(out.measure(cell).maximum for cell in (column.header, *column.cells))


def cut(text: str) -> Text:
    """A cell that ends where there is no room for more."""
    return Text(printable(text), no_wrap=True, overflow="ellipsis")


def status_text(status: str) -> Text:
    return Text(f"{STATUS_ICON.get(status, '?')} {status}", style=STATUS_STYLE.get(status, ""))


def print_json(value: object) -> None:
    """Indented on a terminal, one line elsewhere."""
    text = json_line(value)
    print_line(msgspec.json.format(text) if out.is_terminal else text)


def json_line(value: object) -> str:
    """On one line, and every character of the value in it, those that a terminal would obey as escapes."""
    return escaped_in_json(msgspec.json.encode(value).decode())


def print_line(text: str | Text) -> None:
    """As it is, however wide the terminal."""
    out.print(text, soft_wrap=True)


def say(text: str) -> None:
    """To the person at the terminal, not into a pipe."""
    err.print(text, soft_wrap=True)


def instant(value: str | datetime | None) -> str:
    """In this machine's time zone."""
    if value is None:
        return "–"
    when = datetime.fromisoformat(value) if isinstance(value, str) else value
    return when.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def zone() -> str:
    """This machine's time zone, by its place where that is known: Copenhagen."""
    name = os.environ.get("TZ", "").removeprefix(":")
    if not name:
        name = os.path.realpath("/etc/localtime").partition("zoneinfo/")[2]
    known = name in zoneinfo.available_timezones()
    return place(name) if known else SystemClock().now().astimezone().tzname() or "local time"


def place(tz: str) -> str:
    """The last part of a zone's name: Copenhagen, of Europe/Copenhagen."""
    return tz.rpartition("/")[2].replace("_", " ")


def confirmed(question: str) -> bool:
    """Whether the person at the terminal says yes; nobody is asked where there is none."""
    if not sys.stdin.isatty():
        return False
    err.print(f"{question} [y/N] ", end="")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def runs(count: int) -> str:
    """1 run, 2,345 runs."""
    return "1 run" if count == 1 else f"{count:,} runs"


def duration(ms: float | None) -> str:
    if ms is None:
        return "–"
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    return str(timedelta(seconds=round(ms / 1000)))


def summary(run: dict[str, Any], width: int = 70) -> str:
    """A run's result or error on one line."""
    text = people.named(run.get("errorMessage") or "", people.of_run(run)) or _flat(run.get("resultSummary")) or ""
    first = one_line(text.splitlines()[0]) if text else ""
    return first if len(first) <= width else first[: width - 1] + "…"


def _flat(result: str | None) -> str:
    if not result:
        return ""
    try:
        return ", ".join(f"{name} {_value(value)}" for name, value in json.loads(result).items())
    except (ValueError, AttributeError):
        return result


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name} {_value(inner)}" for name, inner in value.items()) + ")"
    return "–" if value is None else str(value)
