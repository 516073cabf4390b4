"""There is one way to the terminal: what is written past it is not looked through."""

import ast
import io
from pathlib import Path

import pytest

from services.cli.terminal import Door

ROOT = Path(__file__).parents[3] / "services"
DOOR = ROOT / "cli" / "terminal.py"
FILES = sorted(path for part in ("cli", "stack") for path in (ROOT / part).rglob("*.py") if path != DOOR)


def ways_past(code: str) -> list[str]:
    """Calls and imports that reach a terminal without the door."""
    found = []
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Call(func=ast.Name(id="print" | "input")):
                found.append(f"line {node.lineno}: print")
            case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="stdout" | "stderr"), attr=name)):
                found.append(f"line {node.lineno}: {name}") if name.startswith("write") else None
            case ast.Name(id="Console") | ast.Attribute(attr="Console" | "from_markup"):
                found.append(f"line {node.lineno}: rich without the door")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_nothing_is_printed_past_the_door(path: Path) -> None:
    assert ways_past(path.read_text(encoding="utf-8")) == []


def test_what_the_test_looks_for_is_found() -> None:
    code = "print(1)\nsys.stderr.write('x')\nConsole().print(1)\nrich.console.Console()\nText.from_markup('x')"
    assert len(ways_past(code)) == 5


class Closed(io.StringIO):
    def write(self, text: str, /) -> int:
        raise BrokenPipeError


def test_who_hangs_up_is_for_main_to_handle() -> None:
    """`kronik tail | head`: rich ends the process, from within the task that prints, which was a traceback."""
    with pytest.raises(BrokenPipeError):
        Door(file=Closed()).print("a line")
