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
_INTEGER_KEYS: Final = {"pattern": "^-?[0-9]+$"}

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


def misfits(schema: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[ValidationError]:
    """What the schema refuses. Raises whatever a schema that is none makes of itself."""
    return Draft202012Validator(schema, registry=_registry, format_checker=_checker).iter_errors(params)


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
            if isinstance(info.key_type, inspect.IntType):
                node.setdefault("propertyNames", _INTEGER_KEYS)
            if isinstance(node.get("additionalProperties"), dict):
                _complete(info.value_type, node["additionalProperties"], schema, seen)
        case inspect.UnionType():
            _complete_union(info, node, schema, seen)
        case _ if (form := _FORMATS.get(type(info))) is not None:
            node.setdefault("format", form)


def _complete_union(info: inspect.UnionType, node: dict[str, Any], schema: dict[str, Any], seen: set[str]) -> None:
    """A type or nothing; of wider unions msgspec's own schema has to do."""
    types = [one for one in info.types if not isinstance(one, inspect.NoneType)]
    nodes = [one for one in node.get("anyOf", ()) if one != {"type": "null"}]
    if len(types) == len(nodes) == 1:
        _complete(types[0], nodes[0], schema, seen)
