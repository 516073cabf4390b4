"""`kronik schemas`: the JSON Schema of every event, the AsyncAPI document of the stream and the OpenAPI document of the
HTTP API, for those who write or read them in another language.

Made from the structs that Kronik itself decodes with, the same bytes every time. An event type never changes
in a way that its readers or its old events would trip over: such a change is a new version (kronik.….v2).
"""

import inspect
import json
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from cyclopts import App, Parameter
from kronik import KronikError
from kronik.envelope import envelope_of
from kronik.events import TYPE_OF, Event

from services.api.app import create_app
from services.cli import terminal
from services.cli.usage import BadUsage
from services.infra import slots
from services.infra.compatibility import breaks, calls_break
from services.infra.settings import ApiSettings
from services.log import asyncapi

DIRECTORY: Final = Path("schemas")
ASYNCAPI: Final = "asyncapi.json"
OPENAPI: Final = "openapi.json"

Check = Annotated[bool, Parameter(negative="", help="Write nothing; exit status 1 where a file is not current.")]


class Incompatible(KronikError):
    """A kept schema would change its meaning; the message lists how."""


def write(directory: Path) -> None:
    """Leave exactly the schemas of today's events in the directory; it is made where it is missing.

    Raises Incompatible where an event type that is kept there would mean something else, and writes nothing.
    """
    if broken := incompatible(directory):
        raise Incompatible("make it a new version instead: " + "; ".join(broken))
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadUsage(f"{directory}: {error.strerror}; expected a directory, or a place for one") from error
    for path in _leftovers(directory):
        path.unlink()
    for name, text in _files().items():
        (directory / name).write_text(text, encoding="utf-8")


def outdated(directory: Path) -> list[str]:
    """The names of the files that are missing, differ, or belong to no event of today.

    The calls of the API may have more than their kept description: whether that still holds is `incompatible`'s to say.
    """
    kept = {name: _text(directory / name) for name in _files()}
    differ = [name for name, text in _files().items() if kept[name] != text and (name != OPENAPI or kept[name] is None)]
    return sorted([*differ, *(path.name for path in _leftovers(directory))])


def incompatible(directory: Path) -> list[str]:
    """What the readers and the old events of the kept schemas would trip over, in words."""
    found = []
    for event, type in TYPE_OF.items():
        kept = _text(directory / f"{type}.json")
        if kept is not None and (before := _schema(kept)) is not None:
            found += [f"{type}{words}" for words in breaks(before, schema_of(event, type))]
    return [*found, *_broken_calls(_text(directory / OPENAPI))]


def _broken_calls(kept: str | None) -> Iterator[str]:
    """What clients would trip over, unless the API has a new version."""
    before, after = _schema(kept or ""), openapi()
    if before is not None and before["info"]["version"] == after["info"]["version"]:
        yield from calls_break(before, after)


@cache
def openapi() -> dict[str, Any]:
    """As the API serves it, but for the names of time zones, of which each machine has its own."""
    home = ApiSettings(nats_url="nats://localhost", database_url="postgres://localhost", instance="schemas")
    document: dict[str, Any] = create_app(home).state.openapi
    zones = sorted(slots.zones())
    _leave_out(document, lambda schema: schema.get("enum") == zones)
    return document


def _leave_out(node: Any, of: Callable[[dict[str, Any]], bool]) -> None:
    """The list of values of these schemas."""
    if isinstance(node, dict):
        if of(node):
            del node["enum"]
        node = list(node.values())
    for one in node if isinstance(node, list) else ():
        _leave_out(one, of)


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


def schemas_command(directory: Path = DIRECTORY, *, check: Check = False, json: terminal.AsJson = False) -> int:
    """Write the JSON Schemas of all events, one file per type, and the AsyncAPI and OpenAPI documents.

    Parameters
    ----------
    directory
        Where to; by default ./schemas.
    """
    if not check:
        write(directory)
    names, broken = outdated(directory), incompatible(directory)
    if json:
        terminal.print_json({"directory": str(directory), "outdated": names, "incompatible": broken})
    elif broken:
        terminal.say(f"needs a new version of the event, or of the API: {'; '.join(broken)}")
    elif names:
        terminal.say(f"not current in {directory}: {', '.join(names)}; run: kronik schemas {directory}")
    return 1 if names or broken else 0


def _files() -> dict[str, str]:
    schemas = {f"{type}.json": _written(schema_of(event, type)) for event, type in TYPE_OF.items()}
    return {**schemas, ASYNCAPI: _written(asyncapi.document()), OPENAPI: _written(openapi())}


def _written(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _schema(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _leftovers(directory: Path) -> list[Path]:
    return [path for path in directory.glob("kronik.*.json") if path.name not in _files()]


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


if __name__ == "__main__":
    app = App(name="schemas", default_command=schemas_command, result_action="return_value")
    sys.exit(app())
