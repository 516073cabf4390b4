"""The tables of the read model: one declaration, of which DDL, COPY and upsert are made.

The statements name no schema: the search path of the connection does, `history` for what is served and
`history_next` for what a rebuild makes. The one migration that made these tables stays as it was: whatever is
declared otherwise here is a new version of the read model, which the API makes by itself (see `upgrade.py`).
"""

from hashlib import blake2b
from typing import Final

from msgspec import Struct

from services.api.history import columns
from services.api.history.columns import Column
from services.infra import sql

FOLD: Final = 2
"""To be counted up when events become other rows in the same columns: what was projected before is made anew."""


class Table(Struct, frozen=True):
    """key: the columns of the primary key. age: the column with the sequence that a row began with.

    newest: a row that is there already gives way to the new one.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    age: str
    newest: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def ddl(self) -> str:
        return f"CREATE TABLE {self.name} ({', '.join(column.ddl for column in self.columns)});"

    @property
    def key_ddl(self) -> str:
        return f"ALTER TABLE {self.name} ADD CONSTRAINT {self.name}_pkey PRIMARY KEY ({', '.join(self.key)});"

    @property
    def whole(self) -> str:
        return f"SELECT {', '.join(self.names)} FROM {self.name}"

    @property
    def carry_over(self) -> str:
        """What is older than sequence $1 can't be folded any more: it is kept as it was."""
        names = ", ".join(self.names)
        return (
            f"INSERT INTO history_next.{self.name} ({names}) SELECT {names} FROM history.{self.name}"
            f" WHERE {self.age} < $1 ON CONFLICT DO NOTHING"
        )

    @property
    def write(self) -> str:
        """Rows as one array per column."""
        names = ", ".join(self.names)
        arrays = ", ".join(f"${number}::{column.type}[]" for number, column in enumerate(self.columns, 1))
        others = ", ".join(f"{name} = excluded.{name}" for name in self.names if name not in self.key)
        conflict = f"UPDATE SET {others}" if self.newest else "NOTHING"
        return (
            f"INSERT INTO {self.name} ({names}) SELECT * FROM unnest({arrays})"
            f" ON CONFLICT ({', '.join(self.key)}) DO {conflict}"
        )


def _table(name: str, key: str, /, **types: str) -> Table:
    """types: of the columns by name; one that may be null ends with a question mark."""
    declared = tuple(Column(column, type_.rstrip("?"), type_.endswith("?")) for column, type_ in types.items())
    age = "sequence" if "sequence" in types else "run_id"
    return Table(name, declared, tuple(key.split()), age)


RUN: Final = Table("run", columns.COLUMNS, ("id",), "id", newest=True)
PARAM: Final = _table("param", "term run_id", term="bigint", run_id="bigint")
"""Which runs have which value of which param: `term` stands for name and value."""
JOB: Final = _table("job", "job_type sequence", job_type="text", sequence="bigint", definition_json="text")
"""Every definition that was announced; of each job type the newest holds."""
SCHEDULE: Final = _table(
    *("schedule", "job_type sequence"),
    job_type="text",
    sequence="bigint",
    changed_at="timestamptz",
    change_json="text",
)
"""Every change of a schedule by an admin; of each job type the newest holds."""
SLOT: Final = _table(
    *("slot", "sequence"),
    sequence="bigint",
    job_type="text",
    scheduled_for="timestamptz",
    outcome="text",
    reason="text",
    recorded_at="timestamptz",
)
"""Every due slot that did not become a run, and why."""
PARKED: Final = _table(
    *("parked", "sequence"), sequence="bigint", subject="text", time="timestamptz", problem="text", excerpt="text"
)
"""Messages that can't be projected."""
IDEMPOTENCY: Final = _table("idempotency", "event_id", event_id="text", run_id="bigint")
"""Triggers that were sent with an Idempotency-Key: the first run of a key is the key's run."""

EVENTS: Final = (RUN, PARAM, JOB, SCHEDULE, SLOT, PARKED, IDEMPOTENCY)
"""What events are folded into."""
ANALYZE: Final = f"ANALYZE {', '.join(table.name for table in EVENTS)}"


_DIFFERING: Final = tuple(name for name in RUN.names if name not in ("id", "state"))


def _compare() -> str:
    """How runs folded afresh differ from those served, where no event after sequence $1 has touched either."""
    fields = ", ".join(
        f"count(*) FILTER (WHERE paired AND live.{one} IS DISTINCT FROM next.{one}) AS {one}" for one in _DIFFERING
    )
    live, next_ = (", ".join(f"{side}.{one}" for one in _DIFFERING) for side in ("live", "next"))
    return (
        f"SELECT count(*) FILTER (WHERE live.id IS NULL) AS added, count(*) FILTER (WHERE next.id IS NULL) AS removed,"
        f" count(*) FILTER (WHERE paired) AS changed, {fields}"
        f" FROM history.run AS live FULL JOIN history_next.run AS next USING (id)"
        f" CROSS JOIN LATERAL (SELECT live.id = next.id IS TRUE AS paired) AS joined"
        f" WHERE id <= $1 AND coalesce(live.version, 0) <= $1 AND coalesce(next.version, 0) <= $1"
        f" AND row({live}) IS DISTINCT FROM row({next_})"
    )


COMPARE: Final = _compare()


def statement(name: str) -> str:
    return sql.load("services.api.history", f"sql/{name}.sql")


TABLES_DDL: Final = "\n".join([*(table.ddl for table in EVENTS), statement("tables")])
KEYS_DDL: Final = "\n".join([*(table.key_ddl for table in EVENTS), statement("more_keys")])
INDEXES_DDL: Final = statement("indexes")
TALLY_DDL: Final = statement("tally")

VERSION: Final = blake2b(
    "\n".join([TABLES_DDL, KEYS_DDL, INDEXES_DDL, TALLY_DDL, str(FOLD)]).encode(), digest_size=6
).hexdigest()
"""Of the read model: another one wherever anything here is declared otherwise."""
