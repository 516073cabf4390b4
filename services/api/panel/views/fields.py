"""A form made of a JSON Schema, and what was typed into it read back as params. Pure.

enum becomes radio buttons, up to four of them, else a list; an array of plain values has one of them a line; what
can't be asked for in another way is asked for as JSON.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from kronik.events import JobDefined
from msgspec import Struct

from services.api.problems import NUL_FREE
from services.words.voice import Voice

Kind = Literal["text", "number", "flag", "radio", "list", "lines", "json", "date", "instant", "secret"]
RADIO: Final = 4
PREFIX: Final = "p."
"""How the names of the form's fields begin: those of the params can be anything."""

Schema = dict[str, Any]


class Option(Struct, frozen=True):
    """value: as JSON, what the form sends."""

    value: str
    text: str
    chosen: bool


class Field(Struct, frozen=True, kw_only=True):
    """One field. name: in the form; path: in the params. value: what stands in it. wrong: what is wrong with it."""

    name: str
    path: str
    label: str
    hint: str
    kind: Kind
    value: str
    options: tuple[Option, ...] = ()
    required: bool
    minimum: str = ""
    maximum: str = ""
    step: str = ""
    most: int | None = None
    wrong: str = ""


class Misfit(Struct, frozen=True):
    """What the API says of a field: see FieldError. path: of the field in the params; "" for the whole."""

    path: str
    problem: str
    allowed: Any


def schema_of(definition: JobDefined) -> Schema:
    return resolved(definition.params_schema, definition.params_schema)


def resolved(part: Schema, whole: Schema) -> Schema:
    """The definition that a `$ref` of msgspec's kind, `#/$defs/Name`, names; else the part itself."""
    name = str(part.get("$ref", "")).removeprefix("#/$defs/")
    found = whole.get("$defs", {}).get(name) if name else None
    return (
        {**found, **{key: value for key, value in part.items() if key != "$ref"}} if isinstance(found, dict) else part
    )


def takes_params(definition: JobDefined) -> bool:
    """Whether there is anything to ask for."""
    schema = schema_of(definition)
    return bool(schema.get("properties")) or schema.get("additionalProperties") not in (False, None)


def asks(definition: JobDefined) -> bool:
    """Whether running it by hand needs a form: because of its params, or because it wants to be confirmed."""
    return bool(schema_of(definition).get("required")) or definition.confirm is not None


def form(
    definition: JobDefined,
    given: Mapping[str, Any],
    typed: Mapping[str, Sequence[str]] | None,
    wrong: Sequence[Misfit],
    voice: Voice,
) -> list[Field]:
    """given: params to begin with. typed: what was sent, which then stands in the fields instead."""
    whole, schema = definition.params_schema, schema_of(definition)
    properties = schema.get("properties")
    required = schema.get("required", [])
    if not isinstance(properties, dict) or not properties:
        return []
    return [
        _field(name, resolved(part, whole), whole, name in required, given, typed, wrong, voice)
        for name, part in properties.items()
        if isinstance(part, dict)
    ]


def _field(
    name: str,
    part: Schema,
    whole: Schema,
    required: bool,
    given: Mapping[str, Any],
    typed: Mapping[str, Sequence[str]] | None,
    wrong: Sequence[Misfit],
    voice: Voice,
) -> Field:
    kind, inner = kind_of(part, whole)
    value = given.get(name, part.get("default"))
    shown = "" if value is None else _shown(value, kind)
    if typed is not None:
        shown = next(iter(typed.get(PREFIX + name, [])), "")
    if kind == "secret":
        shown = ""
    return Field(
        name=PREFIX + name,
        path=name,
        label=_in_language(part, "title", voice) or _words(name),
        hint=_in_language(part, "description", voice),
        kind=kind,
        value=shown,
        options=_options(inner, shown, required),
        required=required,
        minimum=_bound(inner, "minimum"),
        maximum=_bound(inner, "maximum"),
        step="1" if inner.get("type") == "integer" else "any",
        most=inner.get("maxLength") if isinstance(inner.get("maxLength"), int) else None,
        wrong="; ".join(_said_within(one, shown, voice) for one in wrong if one.path.split(".")[0] == name),
    )


def kind_of(part: Schema, whole: Schema) -> tuple[Kind, Schema]:
    """How to ask for it, and the schema without its `null`."""
    inner = _without_null(part, whole)
    if part.get("writeOnly") or part.get("format") == "password" or inner.get("format") == "password":
        return "secret", inner
    if isinstance(inner.get("enum"), list) and inner["enum"]:
        return ("radio" if len(inner["enum"]) <= RADIO else "list"), inner
    match inner.get("type"):
        case "boolean":
            return "flag", inner
        case "integer" | "number":
            return "number", inner
        case "string":
            return {"date": "date", "date-time": "instant"}.get(str(inner.get("format")), "text"), inner  # type: ignore[return-value]
        case "array":
            items = resolved(inner.get("items", {}), whole) if isinstance(inner.get("items", {}), dict) else {}
            plain = items.get("type") in ("string", "integer", "number") or "enum" in items
            return ("lines" if plain else "json"), inner
    return "json", inner


def _without_null(part: Schema, whole: Schema) -> Schema:
    choices = part.get("anyOf")
    if isinstance(choices, list):
        left = [resolved(one, whole) for one in choices if isinstance(one, dict) and one.get("type") != "null"]
        return left[0] if len(left) == 1 else {}
    kind = part.get("type")
    if isinstance(kind, list):
        left_types = [one for one in kind if one != "null"]
        return {**part, "type": left_types[0]} if len(left_types) == 1 else {}
    return part


def _in_language(part: Schema, key: str, voice: Voice) -> str:
    """`title` and `description` may be texts, and may have texts per language beside them, as `x-title`."""
    texts = part.get(f"x-{key}")
    if isinstance(texts, dict):
        return voice.pick({str(code): str(text) for code, text in texts.items()})
    return str(part.get(key, ""))


def _words(name: str) -> str:
    from_camel = "".join(f" {char.lower()}" if char.isupper() else char for char in name).replace("_", " ")
    return from_camel.strip().capitalize() or name


def _shown(value: Any, kind: Kind) -> str:
    match kind:
        case "lines" if isinstance(value, list):
            return "\n".join(one if isinstance(one, str) else _json(one) for one in value)
        case "flag":
            return "true" if value is True else ""
        case "radio" | "list" | "json":
            return _json(value)
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _options(inner: Schema, shown: str, required: bool) -> tuple[Option, ...]:
    values = inner.get("enum")
    if not isinstance(values, list):
        return ()
    return tuple(Option(_json(one), one if isinstance(one, str) else _json(one), _json(one) == shown) for one in values)


def _bound(inner: Schema, name: str) -> str:
    bound = inner.get(name, inner.get(f"exclusive{name.capitalize()}"))
    return str(bound) if isinstance(bound, int | float) else ""


def params_of(definition: JobDefined, typed: Mapping[str, Sequence[str]]) -> tuple[dict[str, Any], list[Misfit]]:
    """The params that were typed, and what of it can't be read. Empty fields are left out."""
    whole, params, wrong = definition.params_schema, dict[str, Any](), list[Misfit]()
    properties = schema_of(definition).get("properties")
    for name, part in (properties if isinstance(properties, dict) else {}).items():
        if not isinstance(part, dict):
            continue
        text = next(iter(typed.get(PREFIX + name, [])), "")
        kind, inner = kind_of(resolved(part, whole), whole)
        if kind == "flag":
            params[name] = text == "true"
            continue
        if not text.strip():
            continue
        try:
            params[name] = _value(text, kind, inner, whole)
        except (ValueError, msgspec.MsgspecError, RecursionError) as error:
            if kind == "lines":
                wrong += [Misfit(f"{name}.{place}", "unreadable", "number") for place in _no_numbers(text)]
            else:
                wrong.append(Misfit(name, "unreadable", "number" if kind == "number" else f"json: {str(error)[:200]}"))
            params[name] = text
    return params, wrong


def _no_numbers(text: str) -> list[int]:
    """The places of those items of a list that are none."""

    def is_number(line: str) -> bool:
        try:
            return bool(_number(line) is not None)
        except ValueError:
            return False

    items = [line for line in text.splitlines() if line.strip()]
    return [place for place, line in enumerate(items) if not is_number(line)]


def _value(text: str, kind: Kind, inner: Schema, whole: Schema) -> Any:
    match kind:
        case "number":
            return _number(text)
        case "radio" | "list" | "json":
            return msgspec.json.decode(text)
        case "lines":
            items = resolved(inner.get("items", {}), whole)
            plain = items.get("type") in ("integer", "number")
            return [_number(one) if plain else one.strip() for one in text.splitlines() if one.strip()]
        case "instant":
            return text if text.endswith("Z") or "+" in text else f"{text}:00Z" if len(text) == 16 else f"{text}Z"
    return text


def _number(text: str) -> int | float:
    """`1000`, `0.5`, and `0,5` as a Dane types it. JSON has no infinity and no NaN: written, they would be null."""
    plain = text.strip().replace(",", ".")
    if not math.isfinite(float(plain)):
        raise ValueError(f"{plain[:80]} is no number that JSON has")
    try:
        return int(plain)
    except ValueError:
        return float(plain)


def _said_within(wrong: Misfit, shown: str, voice: Voice) -> str:
    """With the place in the field, where it is not about all of it: `line 2: …`. shown: what stands in the field."""
    place = wrong.path.partition(".")[2]
    if not place:
        return said(wrong, voice)
    named = voice.text("line %(n)d", n=_line(int(place), shown)) if place.isdigit() else place
    return f"{named}: {said(wrong, voice)}"


def _line(place: int, shown: str) -> int:
    """Of the item at this place, as a person counts them: empty lines are no items, and are lines all the same."""
    filled = [number for number, line in enumerate(shown.splitlines(), 1) if line.strip()]
    return filled[place] if place < len(filled) else place + 1


def said(wrong: Misfit, voice: Voice) -> str:
    """What is wrong with a field, in the page's language."""
    allowed = wrong.allowed
    if wrong.problem == "unreadable":
        return voice.text("This is not a number.") if allowed == "number" else voice.text("This is not JSON.")
    if wrong.allowed == NUL_FREE:
        return voice.text("It has a character that can't be stored (NUL): leave it out.")
    if "is a required property" in wrong.problem:
        return voice.text("This has to be filled in.")
    if isinstance(allowed, list):
        return voice.text("It may be one of: %(values)s.", values=", ".join(map(str, allowed)))
    rule, _, bound = str(allowed).partition(": ")
    match rule:
        case "minimum":
            return voice.text("It has to be %(bound)s or more.", bound=bound)
        case "maximum":
            return voice.text("It may be %(bound)s at most.", bound=bound)
        case "exclusiveMinimum":
            return voice.text("It has to be more than %(bound)s.", bound=bound)
        case "exclusiveMaximum":
            return voice.text("It has to be less than %(bound)s.", bound=bound)
        case "minLength":
            return voice.text("It has to be %(bound)s characters or more.", bound=bound)
        case "maxLength":
            return voice.text("It may be %(bound)s characters at most.", bound=bound)
        case "pattern" | "format":
            return voice.text("It does not have the form %(pattern)s.", pattern=bound)
        case "integer":
            return voice.text("It has to be a whole number.")
        case "number":
            return voice.text("It has to be a number.")
        case "string" | "object" | "array" | "boolean":
            return voice.text("It has to be of the kind %(kind)s.", kind=rule)
        case "minItems":
            return voice.text("There have to be %(bound)s or more.", bound=bound)
        case "maxItems":
            return voice.text("There may be %(bound)s at most.", bound=bound)
        case "uniqueItems":
            return voice.text("None may be there twice.")
        case "multipleOf":
            return voice.text("It has to be a multiple of %(bound)s.", bound=bound)
    return wrong.problem if voice.language.code == "en" else voice.text("This is not what the job takes.")
