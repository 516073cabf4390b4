"""Which runs are meant: one filter for the history, its counts, its export and for what is done to many runs at once.

It is written as the query of a URL, and read from one: `jobType=A&jobType=!B&status=FAILED&param.month=2026-10`.
All parts combine: a run is selected when each part that is given selects it.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeAlias, get_args

import msgspec
from kronik import KronikError
from kronik.run import Phase, Status
from msgspec import Meta, Struct

from services.infra.misfit_words import in_words

State: TypeAlias = Literal["queued", "executing", "retrying", "succeeded", "partial", "failed", "mended", "cancelled"]
"""Phase, status and what became of a failure in one word: every run is in exactly one state.

mended: failed, and made good by a later success of the same job with the same params.
"""

STATES: Final[tuple[State, ...]] = get_args(State)
OPEN: Final[frozenset[State]] = frozenset({"queued", "executing", "retrying"})
BY_STATUS: Final[dict[Status, frozenset[State]]] = {
    "RUNNING": OPEN,
    "SUCCESS": frozenset({"succeeded"}),
    "PARTIAL": frozenset({"partial"}),
    "FAILED": frozenset({"failed", "mended", "cancelled"}),
}
BY_PHASE: Final[dict[Phase, frozenset[State]]] = {
    "queued": frozenset({"queued"}),
    "executing": frozenset({"executing"}),
    "retrying": frozenset({"retrying"}),
    "finished": frozenset(STATES) - OPEN,
}

PARAM: Final = "param."
"""How the names of query parameters begin that ask for a param: `param.month=2026-10`."""


class RunFilter(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run must be to be selected; empty parts select every run.

    since, until: when it was asked for; since belongs to it, until does not.
    triggered_by: CRON, ADMIN:<userId>, SERVICE:<name>, any of these. open: not finished.
    unresolved: failed, not cancelled, and not made good by a later success of the same job with the same params.
    text: in its error. params: name and value; a number, true, false or null as JSON writes it.
    """

    ids: tuple[int, ...] = ()
    job_types: tuple[str, ...] = ()
    not_job_types: tuple[str, ...] = ()
    statuses: tuple[Status, ...] = ()
    phases: tuple[Phase, ...] = ()
    triggered_by: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    rerun_of: int | None = None
    correlation_id: str | None = None
    open: bool | None = None
    unresolved: bool | None = None
    text: str | None = None
    params: tuple[tuple[str, str], ...] = ()

    def states(self) -> frozenset[State]:
        """Those that status, phase, open and unresolved leave over; all of them where none is given."""
        left = frozenset(STATES)
        if self.statuses:
            left &= frozenset().union(*(BY_STATUS[status] for status in self.statuses))
        if self.phases:
            left &= frozenset().union(*(BY_PHASE[phase] for phase in self.phases))
        if self.open is not None:
            left &= OPEN if self.open else BY_PHASE["finished"]
        if self.unresolved is not None:
            left = left & {"failed"} if self.unresolved else left - {"failed"}
        return left


ALL: Final = RunFilter()


class BadPart(Struct, frozen=True):
    """A part of a filter that is wrong. allowed: what it may be."""

    field: str
    problem: str
    allowed: str


class InvalidFilter(KronikError):
    """Parts that can't be read, all of them."""

    def __init__(self, parts: list[BadPart]) -> None:
        super().__init__("; ".join(f"{part.field}: {part.problem}" for part in parts))
        self.parts = parts


class _Part(Struct, frozen=True):
    """How one query parameter is read into a field. several: given more than once, any of the values is meant."""

    field: str
    type: Any
    allowed: str
    several: bool = False


_Text = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
_Who = Annotated[str, Meta(max_length=200, pattern=r"^(CRON|(ADMIN|SERVICE):[^\x00]+)$")]
_Instant = Annotated[datetime, Meta(tz=True)]
_RunId = Annotated[int, Meta(ge=1, le=2**53 - 1)]
_INSTANT = "an instant with its offset, like 2026-11-27T06:00:00Z"
_TRUTH = "true or false"

PARTS: Final[dict[str, _Part]] = {
    "id": _Part("ids", _RunId, "a run's id, from 1 to 9007199254740991", True),
    "jobType": _Part("job_types", _Text, "a job type, like DAILY_MAINTENANCE, or with ! before it: not that one", True),
    "status": _Part("statuses", Status, "RUNNING, SUCCESS, PARTIAL or FAILED", True),
    "phase": _Part("phases", Phase, "queued, executing, retrying or finished", True),
    "triggeredBy": _Part("triggered_by", _Who, "CRON, ADMIN:<userId> or SERVICE:<name>, 1 to 200 characters", True),
    "from": _Part("since", _Instant, _INSTANT),
    "to": _Part("until", _Instant, _INSTANT),
    "rerunOf": _Part("rerun_of", _RunId, "a run's id, from 1 to 9007199254740991"),
    "correlationId": _Part("correlation_id", _Text, "1 to 200 characters"),
    "open": _Part("open", bool, _TRUTH),
    "unresolved": _Part("unresolved", bool, _TRUTH),
    "text": _Part("text", _Text, "1 to 200 characters"),
}
"""Every query parameter of a filter, except those that begin with `param.`."""

_NAMED_PARAM = re.compile(r"param\.[^\x00]{1,200}")
_PARAM_LIMIT = 200
_TRUTHS: Final = {"true": True, "1": True, "false": False, "0": False}
_PARAM_ALLOWED = "param.NAME=value, each of 1 to 200 characters"


def is_part(name: str) -> bool:
    """Whether a query parameter of this name belongs to a filter."""
    return name in PARTS or name.startswith(PARAM)


def read(query: Iterable[tuple[str, str]]) -> RunFilter:
    """The filter that these query parameters say; others are left alone. Raises InvalidFilter."""
    given: dict[str, list[str]] = {}
    for name, value in query:
        if is_part(name):
            given.setdefault(name, []).append(value)
    bad: list[BadPart] = []
    fields: dict[str, Any] = {"params": ()}
    for name, values in given.items():
        try:
            if name in PARTS:
                fields[PARTS[name].field] = _read(PARTS[name], values)
            else:
                fields["params"] += tuple(_param(name, value) for value in values)
        except (msgspec.ValidationError, ValueError, OverflowError) as error:
            bad.append(
                BadPart(name[:200], in_words(str(error)), PARTS[name].allowed if name in PARTS else _PARAM_ALLOWED)
            )
    if bad:
        raise InvalidFilter(bad)
    chosen: tuple[str, ...] = fields.pop("job_types", ())
    return RunFilter(
        **fields,
        job_types=tuple(one for one in chosen if not one.startswith("!")),
        not_job_types=tuple(one[1:] for one in chosen if one.startswith("!")),
    )


def write(wanted: RunFilter) -> list[tuple[str, str]]:
    """The query parameters that `read` makes this filter of."""
    query: list[tuple[str, str]] = [("jobType", f"!{one}") for one in wanted.not_job_types]
    for name, part in PARTS.items():
        value = getattr(wanted, part.field)
        if value is not None:
            query += [(name, _written(one)) for one in (value if part.several else [value])]
    return query + [(f"{PARAM}{name}", value) for name, value in wanted.params]


def _read(part: _Part, values: list[str]) -> Any:
    if part.several:
        return tuple(dict.fromkeys(_convert(value, part.type) for value in values))
    if len(values) > 1:
        raise ValueError("is given more than once")
    return _convert(values[0], part.type)


def _convert(value: str, kind: Any) -> Any:
    if kind is bool:
        return _truth(value)
    if kind is _Instant:
        value = value.replace(" ", "+")  # what a URL makes of the + of an offset that nobody encoded
    read = msgspec.convert(value, kind, strict=kind is not _RunId)
    return read.astimezone(UTC) if isinstance(read, datetime) else read


def _truth(value: str) -> bool:
    if value not in _TRUTHS:
        raise ValueError(f"{value[:80]!r} is neither true nor false")
    return _TRUTHS[value]


def _param(name: str, value: str) -> tuple[str, str]:
    if not _NAMED_PARAM.fullmatch(name) or "\0" in value or len(value) > _PARAM_LIMIT:
        raise ValueError("can't be looked for")
    return name.removeprefix(PARAM), value


def _written(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value)
