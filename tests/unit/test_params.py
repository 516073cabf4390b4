"""One judge of params: what the announced schema accepts, the runner that announced it can read."""

import datetime
import decimal
import enum
import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kronik import Params
from kronik.run import Run

from services.infra import params
from services.runner.attempt import as_params


class Inner(Params, frozen=True):
    at: datetime.datetime
    when: datetime.time | None = None


class Every(Params, frozen=True):
    n: int = 0
    day: datetime.date | None = None
    at: datetime.datetime | None = None
    aware: Annotated[datetime.datetime, msgspec.Meta(tz=True)] | None = None
    time: datetime.time | None = None
    span: datetime.timedelta | None = None
    id: uuid.UUID | None = None
    price: decimal.Decimal | None = None
    raw: bytes | None = None
    by_number: dict[int, Inner] = msgspec.field(default_factory=dict)
    inner: list[Inner] = msgspec.field(default_factory=list)
    kind: Literal["a", 1] = "a"
    code: Annotated[str, msgspec.Meta(pattern="^x", max_length=3)] = "x"
    pair: tuple[int, str] = (1, "a")
    some: set[int] = msgspec.field(default_factory=set)
    ratio: float = 0.5


SCHEMA = params.schema_of(Every)


def read(given: dict[str, Any], kind: type[Params] = Every) -> Params | str:
    run = Run(
        id=1,
        job_type="EVERY",
        origin="crm",
        triggered_by="SERVICE:crm",
        triggered_at=datetime.datetime.now(datetime.UTC),
        params=given,
    )
    return as_params(kind, run)


@pytest.mark.parametrize(
    ("given", "accepted"),
    [
        ({"n": 1.0}, True),
        ({"n": 1.5}, False),
        ({"n": "1"}, False),
        ({"n": True}, False),
        ({"day": "2026-11-27"}, True),
        ({"day": "tomorrow"}, False),
        ({"at": "2026-11-27T10:00:00"}, True),
        ({"at": "noon"}, False),
        ({"aware": "2026-11-27T10:00:00Z"}, True),
        ({"time": "10:00:00"}, True),
        ({"time": "ten"}, False),
        ({"span": "PT5M"}, True),
        ({"span": "5 minutes"}, False),
        ({"id": "no"}, False),
        ({"price": "much"}, False),
        ({"raw": "%%%"}, False),
        ({"byNumber": {"x": {"at": "2026-11-27T10:00:00"}}}, False),
        ({"byNumber": {"1": {"at": "noon"}}}, False),
        ({"inner": [{"at": "noon"}]}, False),
        ({"inner": [{"at": "2026-11-27T10:00:00", "when": "ten"}]}, False),
        ({"code": "yes"}, False),
        ({"kind": 2}, False),
        ({"unknown": 1}, False),
    ],
)
def test_asking_and_performing_judge_alike(given: dict[str, Any], accepted: bool) -> None:
    assert params.accepts(SCHEMA, given) is accepted
    assert isinstance(read(given), Every) is accepted


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
    | st.sampled_from(["2026-11-27", "10:00:00", "2026-11-27T10:00:00Z", "P1D", "1", "x1", "a"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["at", "when", "1", "x"]), inner, max_size=2)
    ),
    max_leaves=4,
)
_NAMES = [field.encode_name for field in msgspec.structs.fields(Every)]


@given(st.dictionaries(st.sampled_from(_NAMES), _JSON, max_size=3))
def test_what_is_accepted_can_be_read(given: Mapping[str, Any]) -> None:
    if params.accepts(SCHEMA, given):
        assert isinstance(read(dict(given)), Every)


def test_a_schema_that_is_none_accepts_nothing() -> None:
    assert not params.accepts({"$ref": "#/nowhere"}, {})


class Letter(enum.Enum):
    A = "a"


class Number(enum.IntEnum):
    ONE = 1


class Tagged(msgspec.Struct, tag=True):
    at: datetime.datetime


class TaggedToo(msgspec.Struct, tag=True):
    n: int


Aware = Annotated[datetime.time, msgspec.Meta(tz=True)]
Naive = Annotated[datetime.datetime, msgspec.Meta(tz=False)]
KINDS: list[Any] = [
    *(int | str, bool | int | str, datetime.datetime | int | None, datetime.date | float, bytes | int),
    *(list[datetime.datetime] | int, dict[str, datetime.datetime] | int, tuple[datetime.datetime, int]),
    *(Tagged | TaggedToo, Tagged | TaggedToo | None, Tagged | int, Letter | int, Number | str | None),
    *(Literal["a", 1, None], Literal["a"] | int, Number, list[dict[str, datetime.time | int]]),
    *(dict[uuid.UUID, int], dict[datetime.date, int], dict[Letter, int], dict[float, int], dict[bytes, int]),
    *(Annotated[int, msgspec.Meta(multiple_of=5)], Aware, Naive, Aware | int, decimal.Decimal | int),
]
TEXTS = ["", "a", "é", "1", "1.5", "1e400", "NaN", "true", "2026-02-30", "2026-02-03", "2026-02-03T04:05:06"]
TEXTS += ["2026-02-03T04:05:06Z", "2026-02-03 04:05", "12:00:00", "12:00:00Z", "PT1H", "AAA=", "AAA", uuid.uuid4().hex]
PLAIN = [None, True, 0, 1, 1.0, 1.5, 5.0, 2**53, 2**63, 2**64, 1e300, *TEXTS]
VALUES = [*PLAIN, *([one] for one in PLAIN), *({"a": one} for one in PLAIN), *({one: 1} for one in TEXTS)]
VALUES += [*({"type": "Tagged", "at": one} for one in TEXTS), *({"type": "TaggedToo", "n": one} for one in PLAIN)]
VALUES += [[{"a": "x"}], [{"a": "12:00:00"}], ["2026-02-03T04:05:06Z", 1.0], {"type": "Nobody"}]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_what_is_accepted_is_read_of_unions_and_names_too(kind: Any) -> None:
    made = msgspec.defstruct("Made", [("it", kind)], bases=(Params,), frozen=True)
    schema = params.schema_of(made)
    accepted = [one for one in VALUES if params.accepts(schema, {"it": one})]
    assert accepted
    assert [one for one in accepted if isinstance(read({"it": one}, made), str)] == []
