"""What a job takes, for people."""

from typing import Annotated, Any, Literal

import msgspec
import pytest
from kronik import NoParams, Params

from services.api.panel.params import Param, example, params


class Billing(Params, frozen=True):
    month: Annotated[str, msgspec.Meta(description="The first one")]
    limit: int | None = None
    mode: Literal["dry", "real"] = "real"


def test_the_fields_of_a_jobs_params() -> None:
    found = params(msgspec.json.schema(Billing))
    assert found == (
        Param("month", "string", True, "The first one"),
        Param("limit", "integer | null", False, ""),
        Param("mode", '"dry" | "real"', False, ""),
    )
    assert example(found) == '{"month": …}'


def test_a_job_without_params_has_none() -> None:
    assert params(msgspec.json.schema(NoParams)) == ()


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"$ref": "#/$defs/Nowhere"},
        {"$ref": "https://elsewhere.example/schema"},
        {"properties": ["a"]},
        {"properties": {"a": True}},
        {"type": "object", "additionalProperties": True},
    ],
)
def test_a_schema_that_says_nothing_of_fields(schema: dict[str, Any]) -> None:
    assert params(schema) == ()


def test_a_schema_written_by_hand() -> None:
    found = params({"properties": {"a": {"type": ["string", "null"]}, "b": {}}})
    assert [one.kind for one in found] == ["string | null", ""]
    assert example(found) == '{"a": …}'
