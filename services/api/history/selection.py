"""From a filter to the runs it selects, newest first, at any number of runs.

This is the one place where Python puts SQL together: of constant pieces, with every value as an argument. A filter
has thousands of shapes, and each must be answered along an index that yields ids in order:

    nothing, from, to ....... the ids themselves
    job, status, phase, open, unresolved: the groups (job, state) that the tally says there are, merged by id
    triggeredBy ............. the same groups within whoever asked
    correlationId ........... the states within it
    rerunOf, param .......... their own indexes
    text .................... its own index, or the runs that have an error; to count a job's, the job's groups
    id ...................... these runs, and no more

What is left of the filter is looked at row by row along that way, so it costs as much as the narrowest way has rows.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal

from msgspec import Struct

from services.api.history import columns
from services.api.history.columns import term_of
from services.api.history.run_filter import BY_PHASE, BY_STATUS, OPEN, STATES, RunFilter

Direction = Literal["older", "newer"]
Which = Literal["all", "sorted", "unsorted"]
"""Runs by whether their state is known; those of which it is are in one of the states meant."""

UNSORTED: Final = "unsorted"
"""The state of rows that an earlier version of the read model wrote; gone as soon as it is rebuilt."""

_IS_LONG: Final = "run.completed_at - run.triggered_at > interval '1 hour'"
_GROUPED: Final = ("groups", "who", "correlation")
_NEAR: Final = 1_000
"""Clocks of the stream's servers differ a little: the bounds of an interval are looked for among so many neighbours."""


class Moment(Struct, frozen=True):
    """The history as it was after the event at this sequence, which was stored at this time."""

    sequence: int
    time: datetime


class Statement(Struct, frozen=True):
    text: str
    values: tuple[object, ...]


class Place(Struct, frozen=True):
    """Where a page begins: behind this run, towards older or newer ones. end: none so far as this run."""

    id: int
    direction: Direction = "older"
    end: int | None = None


def page(
    wanted: RunFilter,
    limit: int,
    place: Place | None = None,
    moment: Moment | None = None,
    names: Iterable[str] = columns.SHOWN,
) -> Statement:
    """The first `limit` runs from the place on, with these columns of theirs; ordered as the direction says."""
    select = _Select(wanted, moment)
    select.behind(place)
    order = "ASC" if place and place.direction == "newer" else "DESC"
    ids = select.ids(f"ORDER BY run.id {order} LIMIT {limit}", f"ORDER BY id {order} LIMIT {limit}")
    text = (
        f"WITH picked AS MATERIALIZED ({ids}) SELECT {select.shown(names)} FROM picked"
        f" JOIN history.run USING (id) {select.then()} ORDER BY id {order}"
    )
    return select.statement(text)


def ids(wanted: RunFilter, limit: int) -> Statement:
    """The ids of the newest `limit` runs that are selected."""
    select = _Select(wanted, None)
    return select.statement(select.ids(f"ORDER BY run.id DESC LIMIT {limit}", f"ORDER BY id DESC LIMIT {limit}"))


def count(wanted: RunFilter, limit: int, moment: Moment | None = None) -> Statement:
    """How many there are, up to `limit`."""
    select = _Select(wanted, moment, ordered=False)
    ids = select.ids(f"LIMIT {limit}", f"LIMIT {limit}")
    return select.statement(f"SELECT count(*) FROM ({ids}) AS picked")


def everything(
    wanted: RunFilter, cells: dict[str, str], called: dict[str, str], moment: Moment | None = None
) -> Statement:
    """All of them, oldest first, for who reads them one after another.

    cells: columns, with the SQL that makes a cell of {0}. called: what they are called in the answer.
    """
    select = _Select(wanted, moment)
    listed = ", ".join(f'{cell.format(select.column(name))} AS "{called[name]}"' for name, cell in cells.items())
    where = " AND ".join(["true", *select.plain()])
    return select.statement(f"SELECT {listed} FROM history.run {select.then()} WHERE {where} ORDER BY run.id")


def newest_by_job(moment: Moment | None = None, limit: int = 1) -> Statement:
    """The newest `limit` runs of each job type that has any, oldest first."""
    select = _Select(RunFilter(), moment)
    newest = " AND ".join(["run.job_type = job.job_type AND run.state = job.state", *select.bounds()])
    ids = (
        "SELECT newest.id, row_number() OVER (PARTITION BY job.job_type ORDER BY newest.id DESC) AS place"
        " FROM history.tally AS job CROSS JOIN LATERAL (SELECT run.id FROM history.run"
        f" WHERE {newest} ORDER BY run.id DESC LIMIT {limit}) AS newest"
        " WHERE job.quarter = '-infinity' AND job.count > 0"
    )
    return select.statement(
        f"SELECT {select.shown()} FROM ({ids}) AS picked JOIN history.run USING (id) {select.then()}"
        f" WHERE place <= {limit} ORDER BY id"
    )


def tallied(wanted: RunFilter) -> Statement:
    """How many there are, for a filter of which `only_groups` is true; null where some can't be told by their state."""
    select = _Select(wanted, None)
    return select.statement(
        f"SELECT CASE WHEN bool_or(grouped.state = '{UNSORTED}') IS NOT TRUE THEN coalesce(sum(count), 0)::bigint END"
        f" FROM history.tally AS grouped WHERE {select.groups()}"
    )


def estimate(wanted: RunFilter, moment: Moment | None = None) -> Statement:
    """What the planner believes, as its JSON."""
    select = _Select(wanted, moment)
    where = " AND ".join(["true", *select.plain()])
    return select.statement(f"EXPLAIN (FORMAT JSON) SELECT FROM history.run WHERE {where}")


def only_groups(wanted: RunFilter) -> bool:
    """Whether the tally alone can count it."""
    return wanted == RunFilter(
        job_types=wanted.job_types,
        not_job_types=wanted.not_job_types,
        statuses=wanted.statuses,
        phases=wanted.phases,
        open=wanted.open,
        unresolved=wanted.unresolved,
    )


class _Select:
    """One statement in the making."""

    def __init__(self, wanted: RunFilter, moment: Moment | None, *, ordered: bool = True) -> None:
        self._wanted = wanted
        self._ordered = ordered
        self._moment = moment
        self._values: list[object] = []
        self._states = wanted.states()
        self._bounds = [f"run.id <= {self._until}"] if moment else []

    def statement(self, text: str) -> Statement:
        return Statement(text, tuple(self._values))

    def behind(self, place: Place | None) -> None:
        if place is not None:
            signs = (">", "<") if place.direction == "newer" else ("<", ">")
            for sign, id in zip(signs, (place.id, place.end), strict=True):
                if id is not None:
                    self._bounds.append(f"run.id {sign} {self._arg(id, 'bigint')}")

    def bounds(self) -> list[str]:
        return self._bounds

    def _arg(self, value: object, type_: str) -> str:
        self._values.append(value)
        return f"${len(self._values)}::{type_}"

    @property
    def _at(self) -> str:
        assert self._moment is not None
        return self._arg(self._moment.time, "timestamptz")

    @property
    def _until(self) -> str:
        assert self._moment is not None
        return self._arg(self._moment.sequence, "bigint")

    # What a run was at the moment.

    def then(self) -> str:
        """How far a run had come; joined to it."""
        if not self._moment:
            return ""
        return (
            f"CROSS JOIN LATERAL (SELECT run.version <= {self._until} AS same, run.completed_at <= {self._at} IS TRUE"
            f" AS ended, run.attempt_at IS NOT NULL AND run.started_at <= {self._at} AS begun,"
            f" run.attempt_at <= {self._at} IS TRUE AS attempting) AS come"
        )

    def column(self, name: str) -> str:
        declared = columns.COLUMNS[columns.INDEX[name]]
        if not self._moment or not declared.then:
            return f"run.{name}"
        return f"CASE WHEN same THEN run.{name} ELSE {declared.then.replace('{}', f'run.{name}')} END"

    def shown(self, names: Iterable[str] = columns.SHOWN) -> str:
        return ", ".join(f"{self.column(name)} AS {name}" for name in names)

    def _state(self) -> str:
        """The state at the moment; whether a failure was made good is looked up only where it matters."""
        if self._states.isdisjoint({"failed", "mended"}) or self._states >= {"failed", "mended"}:
            ended = "run.state"
        else:
            ended = self._mended()
        return (
            f"CASE WHEN run.completed_at <= {self._at} THEN {ended} WHEN run.version <= {self._until} THEN run.state"
            f" WHEN run.attempt_at IS NOT NULL AND run.started_at <= {self._at} THEN 'executing' ELSE 'queued' END"
        )

    def _mended(self) -> str:
        success = (
            "SELECT FROM history.run AS success WHERE success.job_type = run.job_type AND success.work = run.work"
            f" AND success.state = 'succeeded' AND success.id > run.id AND success.completed_at <= {self._at}"
        )
        return (
            "CASE WHEN run.state NOT IN ('failed', 'mended') THEN run.state"
            f" WHEN EXISTS ({success}) THEN 'mended' ELSE 'failed' END"
        )

    # Conditions.

    def _sorted_out(self) -> str | None:
        """What the states leave over, where the group alone does not tell."""
        if self._states == frozenset(STATES):
            return None
        if self._moment:
            return f"{self._state()} = ANY({self._arg(sorted(self._states), 'text[]')})"
        return f"({self._sorted()} OR {self._unsorted()})"

    def _sorted(self) -> str:
        return f"run.state = ANY({self._arg(sorted(self._states), 'text[]')})"

    def _unsorted(self) -> str:
        statuses = [status for status, states in BY_STATUS.items() if states & self._states]
        phases = [phase for phase, states in BY_PHASE.items() if states & self._states]
        conditions = [
            f"run.state = '{UNSORTED}'",
            f"run.status = ANY({self._arg(statuses, 'text[]')})",
            f"run.phase = ANY({self._arg(phases, 'text[]')})",
            *(["run.cancelled_by IS NULL"] if self._wanted.unresolved else []),
        ]
        return " AND ".join(conditions)

    def _of_jobs(self, alias: str) -> list[str]:
        wanted, found = self._wanted, []
        if wanted.job_types:
            found.append(f"{alias}.job_type = ANY({self._arg(list(wanted.job_types), 'text[]')})")
        if wanted.not_job_types:
            found.append(f"{alias}.job_type <> ALL({self._arg(list(wanted.not_job_types), 'text[]')})")
        return found

    def _when(self) -> list[str]:
        """Instants, and the ids between them, which are what an index can follow."""
        found = []
        for instant, sign, order, extreme in (
            (self._wanted.since, ">=", "ASC", "min"),
            (self._wanted.until, "<", "DESC", "max"),
        ):
            if instant is not None:
                at = self._arg(instant, "timestamptz")
                near = (
                    f"SELECT id FROM history.run AS run WHERE run.triggered_at {sign} {at}"
                    f" ORDER BY run.triggered_at {order}, run.id {order} LIMIT {_NEAR}"
                )
                bound = ">=" if extreme == "min" else "<="
                found.append(f"run.triggered_at {sign} {at}")
                found.append(f"run.id {bound} (SELECT {extreme}(id) FROM ({near}) AS near)")
        return found

    def _rest(self, way: str, which: Which = "all") -> list[str]:
        """The parts that this way does not follow itself."""
        wanted, found = self._wanted, [*self._bounds, *self._when()]
        if wanted.triggered_by and way != "who":
            found.append(f"run.triggered_by = ANY({self._arg(list(wanted.triggered_by), 'text[]')})")
        if wanted.correlation_id is not None and way != "correlation":
            found.append(f"run.correlation_id = {self._arg(wanted.correlation_id, 'text')}")
        if wanted.ids:
            found.append(f"run.id = ANY({self._arg(list(wanted.ids), 'bigint[]')})")
        if wanted.rerun_of is not None:
            found.append(f"run.rerun_of = {self._arg(wanted.rerun_of, 'bigint')}")
        for name, value in wanted.params[1:] if way == "param" else wanted.params:
            term = self._arg(term_of(name, value), "bigint")
            found.append(f"EXISTS (SELECT FROM history.param WHERE param.term = {term} AND param.run_id = run.id)")
        if wanted.text is not None:
            found += [
                "run.error_message IS NOT NULL",
                f"run.error_message ILIKE {self._arg(_like(wanted.text), 'text')}",
            ]
            if self._moment:
                found.append(f"(run.version <= {self._until} OR run.completed_at <= {self._at})")
        if way not in ("who", "groups"):
            found += self._of_jobs("run")
        if which == "unsorted":
            found.append(self._unsorted())
        elif which == "all" and (state := self._sorted_out()) is not None:
            found.append(state)
        elif which == "sorted" and way not in _GROUPED:
            found.append(self._sorted())
        return found

    @property
    def _grouped(self) -> bool:
        wanted = self._wanted
        return bool(wanted.job_types or wanted.not_job_types) or self._states != frozenset(STATES)

    def groups(self) -> str:
        """The groups that are meant, or may be, as a condition on the tally."""
        return self._existing([*sorted(self._states), UNSORTED])

    def plain(self) -> list[str]:
        """Every part as a condition on the run, for who reads all of them."""
        return self._rest("plain")

    # The ways.

    def _way(self) -> str:
        wanted = self._wanted
        if wanted.ids:
            return "ids"
        if wanted.params:
            return "param"
        if wanted.correlation_id is not None:
            return "correlation"
        if wanted.rerun_of is not None:
            return "rerun"
        if wanted.text is not None and (self._ordered or not wanted.job_types):
            return "text"
        if wanted.triggered_by:
            return "who"
        return "groups" if self._grouped else "ids"

    def ids(self, inner: str, outer: str) -> str:
        """SQL for the ids; inner: ends each way, outer: ends all of them together."""
        way, states = self._way(), self._now_states()
        if self._moment or self._states == frozenset(STATES):
            ways = [self._along(way, [*states, UNSORTED], inner)]
        else:  # apart, for one of them follows indexes that the other does not
            ways = [self._along(way, states, inner, "sorted"), self._along(way, [UNSORTED], inner, "unsorted")]
        if self._moment and self._states & OPEN and self._states != frozenset(STATES):
            ways.append(self._open_then(inner))
        union = " UNION ".join(f"(SELECT id FROM ({way}) AS way)" for way in ways)
        return f"SELECT id FROM ({union}) AS ways {outer}"

    def _now_states(self) -> list[str]:
        """The states that runs which are meant can have now."""
        states = set(self._states)
        if self._moment and states != set(STATES):
            states |= {"failed", "mended"} if states & {"failed", "mended"} else set()
        if self._wanted.text is not None:
            states -= {"succeeded", "partial"}
        return sorted(states)

    def _along(self, way: str, states: list[str], end: str, which: Which = "all") -> str:
        rest = " AND ".join(["true", *self._rest(way, which)])
        match way:
            case "param":
                term = self._arg(term_of(*self._wanted.params[0]), "bigint")
                end_ = end.replace("run.id", "param.run_id")
                bounds = " AND ".join(["true", *(one.replace("run.id", "param.run_id") for one in self._bounds)])
                joined = "" if self._is_param_alone() else "JOIN history.run ON run.id = param.run_id"
                return (
                    f"SELECT param.run_id AS id FROM history.param {joined} WHERE param.term = {term} AND {bounds}"
                    f"{f' AND {rest}' if joined else ''} {end_}"
                )
            case "correlation":
                every = self._arg(states, "text[]")
                correlation = self._arg(self._wanted.correlation_id, "text")
                of = f"run.correlation_id = {correlation} AND run.state = grouped.state"
                return self._lateral(f"unnest({every}) AS grouped (state)", of, rest, end, "true")
            case "groups":
                of = "run.job_type = grouped.job_type AND run.state = grouped.state"
                return self._lateral("history.tally AS grouped", of, rest, end, self._existing(states))
            case "who":
                whos = f"unnest({self._arg(list(self._wanted.triggered_by), 'text[]')}) AS who (name)"
                of = "run.triggered_by = who.name AND run.job_type = grouped.job_type AND run.state = grouped.state"
                return self._lateral(f"history.tally AS grouped, {whos}", of, rest, end, self._existing(states))
        return f"SELECT run.id FROM history.run WHERE {rest} {end}"

    def _is_param_alone(self) -> bool:
        return self._wanted == RunFilter(params=self._wanted.params[:1])

    def _existing(self, states: list[str]) -> str:
        """The groups that have runs at all."""
        which = [f"grouped.state = ANY({self._arg(states, 'text[]')})", *self._of_jobs("grouped")]
        return " AND ".join(["grouped.quarter = '-infinity' AND grouped.count > 0", *which])

    @staticmethod
    def _lateral(groups: str, of: str, rest: str, end: str, which: str) -> str:
        found = f"SELECT run.id FROM history.run WHERE {of} AND {rest} {end}"
        return f"SELECT found.id FROM {groups} CROSS JOIN LATERAL ({found}) AS found WHERE {which}"

    def _open_then(self, end: str) -> str:
        """Runs that were open at the moment: open still, or of the hour before it, or long ones."""
        ended = f"run.completed_at > {self._at}"
        hour = f"run.triggered_at BETWEEN {self._at} - interval '1 hour' AND {self._at} + interval '1 minute'"
        lately, long_ = f"{ended} AND {hour}", f"{ended} AND {_IS_LONG}"
        rest = " AND ".join(["true", *self._rest("plain")])
        still = self._along("groups", [*sorted(OPEN), UNSORTED], end)
        # OFFSET 0: by their own indexes, however tempting the order of the ids is.
        ways = (
            f"SELECT run.id FROM (SELECT id FROM history.run WHERE {one} AND {rest} OFFSET 0) AS run {end}"
            for one in (lately, long_)
        )
        return " UNION ".join(f"({way})" for way in (still, *ways))


def _like(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
