"""What OpenAPI says of the bodies that requests have, and holds them to it, where Litestar leaves something out."""

import re
from typing import Any

import msgspec
from litestar.openapi.spec import Schema
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition
from msgspec import Struct

from services.api.problems import invalid
from services.infra.misfit_words import in_words

_WHERE = re.compile(r"(?P<problem>.*?) - at `\$\.(?P<field>[^`.\[]+).*`", re.DOTALL)


class ClosedStructs(OpenAPISchemaPlugin):
    """A struct that forbids unknown fields is an object without additional properties."""

    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        if field_definition.is_union or not field_definition.is_subclass_of(Struct):
            return False
        struct: type[Struct] = field_definition.annotation
        return struct.__struct_config__.forbid_unknown_fields

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        others = (one for one in schema_creator.plugins if one is not self)
        told_by = next(one for one in others if schema_creator.plugin_supports_field(one, field_definition))
        schema: Schema = told_by.to_openapi_schema(field_definition, schema_creator)
        schema.additional_properties = False
        return schema


def refuse_lookalikes(body: bytes, request: type[Struct]) -> None:
    """Litestar takes `"1"` for true and `"5"` for five. Raises Problem, by the field's name, where a type is wrong.

    `5.0` is the integer 5, as in JSON Schema.
    """
    try:
        fields = msgspec.json.decode(body, type=dict[str, Any])
        whole = {name: int(one) if isinstance(one, float) and one.is_integer() else one for name, one in fields.items()}
        msgspec.convert(whole, request)
    except msgspec.ValidationError as error:
        found = _WHERE.fullmatch(str(error))
        problem = in_words(found["problem"] if found else str(error))
        raise invalid(found["field"] if found else "body", problem) from error
    except msgspec.MsgspecError:
        return  # no JSON at all: Litestar has said so already, or reads another encoding
