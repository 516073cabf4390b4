"""One judge of a run's params, for who asks for a run and for who performs it: the schema that the job announced.

A schema made from types says less than the types do: msgspec names no format for a date with a time of day. What
is missing is added here, and every format is checked by msgspec itself, so that what this judge accepts, the runner
that announced the schema can read.
"""

import datetime
import decimal
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from msgspec import inspect
from referencing import Registry

_KINDS: Final[Mapping[str, Any]] = {
    "date": datetime.date,
    "time": datetime.time,
    "date-time": datetime.datetime,
    "duration": datetime.timedelta,
    "uuid": uuid.UUID,
    "decimal": decimal.Decimal,
    "base64": bytes,
}
_FORMATS: Final[Mapping[type[inspect.Type], str]] = {
    inspect.DateTimeType: "date-time",
    inspect.TimeType: "time",
    inspect.BytesType: "base64",
}
_KEYS: Final[Mapping[type[inspect.Type], dict[str, Any]]] = {
    inspect.IntType: {"pattern": "^-?[0-9]+$"},
    inspect.FloatType: {"pattern": r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?$"},
    inspect.UUIDType: {"format": "uuid"},
    inspect.DateType: {"format": "date"},
    inspect.TimeType: {"format": "time"},
    inspect.DateTimeType: {"format": "date-time"},
    inspect.TimeDeltaType: {"format": "duration"},
    inspect.DecimalType: {"format": "decimal"},
    inspect.BytesType: {"format": "base64"},
}
"""What a name of an object must be like, where it is no text to the job."""
_AWARE: Final = "([Zz]|[+-][0-9]{2}:?[0-9]{2})$"
_NAIVE: Final = "(^|[Tt ])[0-9:.]+$"
_LARGEST: Final = 2**63

_checker = FormatChecker(formats=())
_registry: Registry[Any] = Registry()


def _check(kind: Any, value: object) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return not isinstance(value, str)
    return True


for _name, _kind in _KINDS.items():
    _checker.checks(_name)(lambda value, kind=_kind: _check(kind, value))


def _is_integer(_checker: object, value: object) -> bool:
    """1.0 is one, as JSON Schema has it, and 1e300 is none that a job could be given."""
    if isinstance(value, float):
        return value.is_integer() and abs(value) < _LARGEST
    return isinstance(value, int) and not isinstance(value, bool)


def _is_one_of(_: object, allowed: list[Any], value: object, _schema: object) -> Iterator[ValidationError]:
    """Here 1.0 is not 1: nothing reads it as that where one of some values is asked for."""
    if not any(type(one) is type(value) and one == value for one in allowed):
        yield ValidationError(f"{value!r} is not one of {allowed!r}")


_Validator: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    validators={"enum": _is_one_of},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)


def misfits(schema: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[ValidationError]:
    """What the schema refuses. Raises whatever a schema that is none makes of itself."""
    errors: Iterator[ValidationError] = _Validator(schema, registry=_registry, format_checker=_checker).iter_errors(
        params
    )
    return errors


def accepts(schema: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    try:
        return next(misfits(schema, params), None) is None
    except Exception:
        return False


def schema_of(params_type: Any) -> dict[str, Any]:
    """The JSON Schema of a job's params, with all that its types refuse."""
    schema = msgspec.json.schema(params_type)
    _complete(inspect.type_info(params_type), schema, schema, set())
    return schema


def _complete(info: inspect.Type, node: dict[str, Any], schema: dict[str, Any], seen: set[str]) -> None:
    """Add the formats that are missing to this node and to those below it."""
    if (reference := node.get("$ref")) is not None:
        if reference in seen:
            return
        seen.add(reference)
        node = schema["$defs"][reference.rpartition("/")[2]]
    match info:
        case inspect.StructType() | inspect.DataclassType() | inspect.TypedDictType():
            properties = node.get("properties", {})
            for field in info.fields:
                if field.encode_name in properties:
                    _complete(field.type, properties[field.encode_name], schema, seen)
        case inspect.ListType() | inspect.SetType() | inspect.FrozenSetType() | inspect.VarTupleType():
            if isinstance(node.get("items"), dict):
                _complete(info.item_type, node["items"], schema, seen)
        case inspect.DictType():
            if (names := _names(info.key_type)) is not None:
                node.setdefault("propertyNames", names)
            if isinstance(node.get("additionalProperties"), dict):
                _complete(info.value_type, node["additionalProperties"], schema, seen)
        case inspect.UnionType():
            _complete_union(info, node, schema, seen)
        case _ if (form := _FORMATS.get(type(info))) is not None:
            node.setdefault("format", form)
            if isinstance(info, inspect.DateTimeType | inspect.TimeType) and info.tz is not None:
                node.setdefault("pattern", _AWARE if info.tz else _NAIVE)


def _names(key: inspect.Type) -> dict[str, Any] | None:
    match key:
        case inspect.EnumType():
            return {"enum": [one.value for one in key.cls]}
        case inspect.LiteralType():
            return {"enum": list(key.values)}
    return _KEYS.get(type(key))


def _complete_union(info: inspect.UnionType, node: dict[str, Any], schema: dict[str, Any], seen: set[str]) -> None:
    """Types and nodes come in the same order, but that structs which are told apart by a tag are one node together."""
    for kinds in (
        (one for one in info.types if _is_referred(one)),
        (one for one in info.types if not _is_referred(one)),
    ):
        types = list(kinds)
        nodes = _nodes(node, referred=any(map(_is_referred, types)))
        if len(types) == len(nodes):
            for one, its in zip(types, nodes, strict=True):
                _complete(one, its, schema, seen)


_REFERRED: Final = (inspect.StructType, inspect.DataclassType, inspect.TypedDictType, inspect.EnumType)


def _is_referred(info: inspect.Type) -> bool:
    """Whether the schema has it under a name of its own."""
    return isinstance(info, _REFERRED)


def _nodes(node: dict[str, Any], *, referred: bool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for one in node.get("anyOf", ()):
        if "anyOf" in one:
            found += _nodes(one, referred=referred)
        elif ("$ref" in one) == referred:
            found.append(one)
    return found
