"""The pages of the documentation as their tests read them: commands, files to save, tables.

What a page's source says about a command, in a comment in front of it that its reader does not see:

<!-- not run by the tests: WHY -->          WHY is printed when the test is skipped
<!-- until Ctrl-C: TEXT -->                 it goes on in the background, and the page goes on when it has said TEXT

A `text` block behind a command shows what it prints: these lines, among others; `…` stands for anything.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_COMMAND = re.compile(
    r"(?:^<!-- (?P<says>[^:\n]+): (?P<what>[^\n]*) -->\n)?"
    r"^```sh\n(?P<text>.*?)^```\n"
    r"(?:\n```text\n(?P<shown>.*?)^```\n)?",
    re.DOTALL | re.MULTILINE,
)
_FILE = re.compile(r"[Ss]ave this as `(?P<name>[^`]+)`[^\n]*\n\n```\w+\n(?P<text>.*?)^```\n", re.DOTALL | re.MULTILINE)
_TOOL = re.compile(r"(?:^|[|;&]\s*)(nats|curl|go|docker)\s", re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """A `sh` block. line: where it begins."""

    page: str
    line: int
    text: str
    shown: tuple[str, ...] = ()
    not_run: str | None = None
    until: str | None = None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def tools(self) -> list[str]:
        """What it needs that does not come with Kronik."""
        return sorted(set(_TOOL.findall(self.text)))

    def printed(self, output: str) -> list[str]:
        """The shown lines that the output does not have."""
        return [line for line in self.shown if not re.search(_pattern(line), output, re.MULTILINE)]


def _pattern(line: str) -> str:
    return rf"^{'.*'.join(map(re.escape, line.split('…')))}\s*$"


def pages() -> list[str]:
    return ["README.md", *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").glob("*.md")))]


def source(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def commands(page: str) -> Iterator[Command]:
    text = source(page)
    for found in _COMMAND.finditer(text):
        says = {found["says"]: found["what"]} if found["says"] else {}
        yield Command(
            page=page,
            line=text.count("\n", 0, found.start("text")) + 1,
            text=found["text"],
            shown=tuple((found["shown"] or "").splitlines()),
            not_run=says.get("not run by the tests"),
            until=says.get("until Ctrl-C"),
        )


def files(page: str) -> dict[str, str]:
    """What the page asks its reader to save, by name."""
    return {found["name"]: found["text"] for found in _FILE.finditer(source(page))}


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table behind this heading."""
    section = source(page).partition(f"{heading}\n")[2]
    table = re.search(r"^\|.*?(?=^[^|]|\Z)", section, re.DOTALL | re.MULTILINE)
    assert table, f"{page} has no table behind {heading!r}"
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines()[2:]]


def code(cell: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", cell)
