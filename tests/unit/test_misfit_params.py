"""Params that a job does not take are refused with those that it takes."""

import pytest

from services.api.commands.trigger import check_params
from services.api.problems import Problem
from tests.definitions import plain_job


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"month": {"type": "string"}}, "params: there is no 'mnth', 'x'; there is month"),
        ({}, "params: there is no 'mnth', 'x'; there is nothing that can be given"),
    ],
)
def test_a_param_that_there_is_not(properties: dict[str, object], said: str) -> None:
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    with pytest.raises(Problem) as refused:
        check_params(plain_job("A", params_schema=schema), {"mnth": "2026-10", "x": 1})
    assert refused.value.detail == f"A does not take these params: {said}"
