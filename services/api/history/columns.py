"""A run's row, declared once: the fields here are the columns, and their order is the order of every row.

DDL, COPY, upsert, row, JSON and what a run was at an earlier moment follow from this. A column is added by adding a
field; `schema.py` then has another version, and the read model is made anew by itself.
"""

import typing
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import islice
from operator import attrgetter
from types import NoneType
from typing import Annotated, Any, Final, Protocol, get_args, get_origin

import msgspec
from kronik.events import Warning
from kronik.run import Phase, Run, Status
from kronik.text import clean
from msgspec import Raw, Struct

from services.api.history.run_filter import State

Row = tuple[Any, ...]

_INT8 = 2**63 - 1
_UNCUT = 2**31
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_LATEST: Final = datetime.max.replace(tzinfo=UTC)
_DEEP: Final = '{"kronik":"nested too deeply to be shown"}'
_encode: Final = msgspec.json.Encoder().encode
_encode_sorted: Final = msgspec.json.Encoder(order="sorted").encode
_params: Final = msgspec.json.Decoder(dict[str, Any])
_warnings: Final = msgspec.json.Decoder(tuple[Warning, ...])
_warning_list: Final = msgspec.json.Decoder(list[Warning])


class NamedRow(Protocol):
    """A row by column name: asyncpg's Record, or a dict."""

    def __getitem__(self, key: str, /) -> Any: ...


class Kept(Struct, frozen=True):
    """How a field is kept, where that does not follow from its name and type.

    of: made of the run. clean: made of the run's field of the same name, where that is not None.
    then: SQL, what it was at a moment when the run had not come to its present event; in it `ended`, `begun` and
    `attempting` tell how far it had come. missing: SQL, what older tables get.
    """

    of: Callable[[Run], Any] | None = None
    clean: Callable[[Any], Any] | None = None
    then: str = ""
    missing: str = ""
    column: str = ""


class Column(Struct, frozen=True):
    """A column of a table. type: as Postgres says it."""

    name: str
    type: str
    null: bool = False
    then: str = ""
    missing: str = ""

    @property
    def ddl(self) -> str:
        return f"{self.name} {self.type}{'' if self.null else ' NOT NULL'}"


def text(value: str | None) -> str | None:
    """Never cut: the fold has cut what is long, and a row that is read and written again must stay what it is."""
    return None if value is None else clean(value, _UNCUT)


def integer(number: int | None) -> int | None:
    if number is None or -_INT8 <= number <= _INT8:
        return number
    return max(-_INT8, min(number, _INT8))


def instant(value: datetime | None) -> datetime | None:
    """In UTC: an offset can push year 1 and year 9999 out of what a datetime holds."""
    if value is None:
        return None
    try:
        return value.astimezone(UTC)
    except OverflowError:
        return _EARLIEST if value.year == 1 else _LATEST


def json(value: object) -> str:
    try:
        return _encode(value).decode()
    except RecursionError:
        return _DEEP


def state_of(run: Run) -> State:
    """As far as the run itself tells it: which failures were made good is told by other runs."""
    if run.phase != "finished":
        return run.phase
    match run.status:
        case "SUCCESS":
            return "succeeded"
        case "PARTIAL":
            return "partial"
    return "failed" if run.cancelled_by is None else "cancelled"


_NO_PARAMS: Final = int.from_bytes(blake2b(b"{}", digest_size=8).digest(), "big", signed=True)


def work_of(run: Run) -> int | None:
    """The same for the same params in any order; None where they could not be read."""
    if run.problem is not None:
        return None
    return hash_of(_sorted(run.params)) if run.params else _NO_PARAMS


def hash_of(text: bytes) -> int:
    """As Postgres holds it: eight bytes with a sign."""
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big", signed=True)


TERMS: Final = 50
"""So many of a run's params can be looked for."""
TERM_LIMIT: Final = 200
"""Characters of a value that can be looked for."""


def term_of(name: str, value: str) -> int:
    """What stands for a param's name and value in the table `param`."""
    return hash_of(f"{name}\0{value}".encode("utf-8", "replace"))


def terms_of(params: dict[str, Any]) -> set[int]:
    """Of the params that can be looked for; those of objects within by a dotted name."""
    return {term_of(name, value) for name, value in islice(_flat("", params), TERMS) if len(value) <= TERM_LIMIT}


def _flat(before: str, params: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in params.items():
        match value:
            case str():
                yield f"{before}{name}", value
            case dict():
                yield from _flat(f"{before}{name}.", value)
            case _:
                yield f"{before}{name}", json(value)


def _sorted(params: dict[str, Any]) -> bytes:
    try:
        return _encode_sorted(params)
    except RecursionError:
        return repr(params).encode("utf-8", "replace")


_ENDED = "CASE WHEN ended THEN {} END"

Finished = Kept(then=_ENDED)


class JobRun(Struct, frozen=True, rename="camel"):
    """A run as the API and the panel show it: the nine fields of the read model, then finer ones.

    started_at: when the first attempt started; when it was triggered, until one has.
    result_summary: JSON text, or None. error_message: of a run that is retrying, the last attempt's.
    traceback: where that error came from. warnings: the first hundred of warning_count.
    ignored: events that came after the end; anything but 0 is a defect.
    """

    id: int
    job_type: str
    status: Annotated[Status, Kept(then="CASE WHEN ended THEN {} ELSE 'RUNNING' END")]
    started_at: Annotated[
        datetime,
        Kept(
            of=lambda run: run.started_at or run.triggered_at,
            then="CASE WHEN begun OR ended THEN {} ELSE triggered_at END",
        ),
    ]
    completed_at: Annotated[datetime | None, Finished]
    duration_ms: Annotated[int | None, Finished]
    result_summary: Annotated[
        str | None, Kept(of=lambda run: None if run.result is None else json(run.result), then=_ENDED)
    ]
    error_message: Annotated[str | None, Kept(of=lambda run: text(run.error or run.problem), then=_ENDED)]
    triggered_by: Annotated[str, Kept(clean=text)]
    phase: Annotated[Phase, Kept(then="CASE WHEN ended THEN {} WHEN begun THEN 'executing' ELSE 'queued' END")]
    attempt: Annotated[
        int,
        Kept(
            of=lambda run: min(run.attempt, _INT8),
            then="CASE WHEN ended OR attempting THEN {} WHEN begun THEN 1 ELSE 0 END",
        ),
    ]
    failures: Annotated[
        int, Kept(then="CASE WHEN ended THEN {} WHEN attempting THEN least({}, greatest(attempt - 1, 0)) ELSE 0 END")
    ]
    triggered_at: datetime
    retry_at: Annotated[datetime | None, Kept(clean=instant, then="NULL")]
    scheduled_for: Annotated[datetime | None, Kept(clean=instant)]
    rerun_of: Annotated[int | None, Kept(clean=integer)]
    params: Annotated[Raw, Kept(of=lambda run: json(run.params) if run.params else "{}", column="params_json")]
    warnings: Annotated[
        list[Warning],
        Kept(
            of=lambda run: json(run.warnings) if run.warnings else "[]",
            column="warnings_json",
            then="CASE WHEN ended THEN {} ELSE '[]' END",
        ),
    ]
    warning_count: Annotated[int, Kept(clean=integer, then="CASE WHEN ended THEN {} ELSE 0 END")]
    cancel_requested_by: Annotated[str | None, Kept(clean=text, then=_ENDED)]
    cancelled_by: Annotated[str | None, Kept(clean=text, then=_ENDED)]
    ignored: Annotated[int, Kept(then="0")]
    traceback: Annotated[str | None, Kept(clean=text, then=_ENDED)]
    correlation_id: Annotated[str | None, Kept(clean=text)]


class RunRow(JobRun, frozen=True):
    """All that a row has: what is shown, and what the fold and the filters need besides.

    work: names the params, so that runs of one job with the same work can be found.
    """

    origin: str
    attempt_at: datetime | None
    problem: Annotated[str | None, Kept(clean=text)]
    version: int
    token: int
    incarnation: Annotated[str | None, Kept(clean=text)]
    timeout_ms: Annotated[int, Kept(clean=integer)]
    work: Annotated[int | None, Kept(of=work_of)]
    state: Annotated[State, Kept(of=state_of, missing="'unsorted'")]


_TYPES: Final[dict[Any, str]] = {int: "bigint", datetime: "timestamptz"}


def _kept(annotation: Any) -> tuple[Any, Kept]:
    if get_origin(annotation) is Annotated:
        kind, *extras = get_args(annotation)
        return kind, next(one for one in extras if isinstance(one, Kept))
    return annotation, Kept()


def _column(name: str, annotation: Any) -> tuple[Column, Kept]:
    kind, kept = _kept(annotation)
    kinds = get_args(kind) if NoneType in get_args(kind) else (kind,)
    type_ = _TYPES.get(kinds[0], "text")
    column = Column(kept.column or name, type_, NoneType in kinds, kept.then, kept.missing)
    return column, kept


_HINTS: Final = typing.get_type_hints(RunRow, include_extras=True)
_DECLARED: Final = [_column(name, _HINTS[name]) for name in RunRow.__struct_fields__]

COLUMNS: Final = tuple(column for column, _ in _DECLARED)
NAMES: Final = tuple(column.name for column in COLUMNS)
SHOWN: Final = NAMES[: len(JobRun.__struct_fields__)]
"""The columns that JobRun has, in its order."""
CALLED: Final = dict(zip(SHOWN, JobRun.__struct_encode_fields__, strict=True))
"""Their names in JSON."""
INDEX: Final = {name: index for index, name in enumerate(NAMES)}

_FROM_RUN: Final = [(index, kept.of) for index, (_, kept) in enumerate(_DECLARED) if kept.of is not None]
_CLEANED: Final = [(index, kept.clean) for index, (_, kept) in enumerate(_DECLARED) if kept.clean is not None]
_same: Final = attrgetter(*(column.name if kept.of is None else "id" for column, kept in _DECLARED))
_SPECIAL: Final = frozenset({"result", "error", "started_at", "params", "warnings"})
_CARRIED: Final = [name for name in Run.__struct_fields__ if name in INDEX and name not in _SPECIAL]
_PARAMS, _WARNINGS = INDEX["params_json"], INDEX["warnings_json"]


def row_of(run: Run) -> Row:
    """The run's row; Postgres accepts every value of it."""
    row = list(_same(run))
    for index, clean_up in _CLEANED:
        if (value := row[index]) is not None:
            row[index] = clean_up(value)
    for index, of in _FROM_RUN:
        row[index] = of(run)
    return tuple(row)


def run_of(row: NamedRow) -> Run:
    """The run that this row was made of, ready to be folded on."""
    error, problem = row["error_message"], row["problem"]
    return Run(
        **{name: row[name] for name in _CARRIED},
        started_at=row["started_at"] if row["attempt_at"] is not None else None,
        params=_params.decode(row["params_json"]),
        result=None if row["result_summary"] is None else _params.decode(row["result_summary"]),
        error=None if problem is not None and error == problem else error,
        warnings=_warnings.decode(row["warnings_json"]),
    )


def shown(row: Iterable[Any]) -> JobRun:
    """The run as it is shown, of a row that begins with the columns SHOWN."""
    values = list(row)
    values[_PARAMS] = Raw(values[_PARAMS].encode())
    values[_WARNINGS] = _warning_list.decode(values[_WARNINGS])
    return JobRun(*values[: len(SHOWN)])
