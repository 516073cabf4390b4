"""What does not fit is said in words of ours, whatever msgspec would say of it."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Struct

from services.infra.misfit_words import in_words


class Wanted(Struct):
    month: int | None = None
    places: Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(max_length=2)] = []


@pytest.mark.parametrize(
    ("value", "kind", "said"),
    [
        (0, Annotated[int, Meta(ge=1)], "must be at least 1"),
        (101, Annotated[int, Meta(le=100)], "must be at most 100"),
        (0.0, Annotated[float, Meta(gt=0)], "must be more than 0.0"),
        ("", Annotated[str, Meta(min_length=1)], "must not be empty"),
        ("abc", Annotated[str, Meta(max_length=2)], "must have at most 2 characters"),
        ("x\n", Annotated[str, Meta(pattern="^[a-z\n]*y$")], "does not have the form that is allowed"),
        ("x", Literal["a", "b"], "'x' is not one of those that are allowed"),
        (5, Literal["a", "b"], "must be text, not a whole number"),
        ("x", datetime, "is no instant"),
        ("2026-11-27T06:00:00", Annotated[datetime, Meta(tz=True)], "has no offset from UTC"),
        ({"month": "x"}, Wanted, "month must be a whole number or null, not text"),
        ({"places": ["a", ""]}, Wanted, "places[1] must not be empty"),
        ({"places": [*"abc"]}, Wanted, "places must have at most 2 items"),
        (True, str, "must be text, not true or false"),
    ],
)
def test_msgspec_is_not_heard(value: Any, kind: Any, said: str) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert(value, kind)
    assert in_words(str(refused.value)) == said


def test_words_that_are_ours_already_stay() -> None:
    assert in_words("is given more than once") == "is given more than once"
