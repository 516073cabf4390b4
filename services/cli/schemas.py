"""`kronik schemas`: the JSON Schema of every event, for those who write or read the stream in another language.

Made from the structs that Kronik itself decodes with, one file per event type, the same bytes every time.
"""

import inspect
import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from cyclopts import App, Parameter
from kronik.envelope import envelope_of
from kronik.events import TYPE_OF, Event

from services.cli import terminal

DIRECTORY: Final = Path("schemas")

Check = Annotated[bool, Parameter(negative="", help="Write nothing; exit status 1 where a file is not current.")]


def write(directory: Path) -> None:
    """Leave exactly the schemas of today's events in the directory; it is made where it is missing."""
    directory.mkdir(parents=True, exist_ok=True)
    for path in _leftovers(directory):
        path.unlink()
    for name, text in _files().items():
        (directory / name).write_text(text, encoding="utf-8")


def outdated(directory: Path) -> list[str]:
    """The names of the files that are missing, differ, or belong to no event of today."""
    differ = [name for name, text in _files().items() if _text(directory / name) != text]
    return sorted([*differ, *(path.name for path in _leftovers(directory))])


def schema_of(event: type[Event], type: str) -> dict[str, Any]:
    """JSON Schema 2020-12 of the whole stored body: the envelope with this event as its data."""
    _, components = msgspec.json.schema_components([envelope_of(event, type)], ref_template="#/$defs/{name}")
    envelope = components.pop(f"{event.__name__}Envelope")
    for definition in components.values():
        definition["description"] = inspect.cleandoc(definition.get("description", ""))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:kronik:schema:{type}",
        **envelope,
        "title": type,
        "required": ["specversion", *envelope["required"]],
        "$defs": components,
    }


def schemas_command(directory: Path = DIRECTORY, *, check: Check = False) -> int:
    """Write the JSON Schemas of all events, one file per type.

    Parameters
    ----------
    directory
        Where to; by default ./schemas.
    """
    if not check:
        write(directory)
        return 0
    names = outdated(directory)
    if names:
        terminal.say(f"not current in {directory}: {', '.join(names)}; run: kronik schemas {directory}")
    return 1 if names else 0


def _files() -> dict[str, str]:
    return {
        f"{type}.json": json.dumps(schema_of(event, type), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        for event, type in TYPE_OF.items()
    }


def _leftovers(directory: Path) -> list[Path]:
    return [path for path in directory.glob("kronik.*.json") if path.name not in _files()]


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


if __name__ == "__main__":
    app = App(name="schemas", default_command=schemas_command, result_action="return_value")
    sys.exit(app())
