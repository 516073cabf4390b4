"""Which runs are meant: the options of every command that is about many of them, and their words in a URL."""

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter

from services.cli.api import Query
from services.cli.instants import instant
from services.cli.usage import BadUsage

Status = Literal["RUNNING", "SUCCESS", "PARTIAL", "FAILED"]
Phase = Literal["queued", "executing", "retrying", "finished"]


@Parameter(name="*")
@dataclass(frozen=True)
class Selection:
    """Several of an option: any of them. Different options: all of them.

    Parameters
    ----------
    id
        This run.
    job
        Of this job type; with ! before it, of any other.
    status
        With this status.
    phase
        In this phase.
    by
        Asked for by this one: CRON, ADMIN:1, SERVICE:crm.
    since
        Asked for at this instant or later: 2026-11-27T06:00, in this machine's time zone unless it says another.
    until
        Asked for before this instant.
    rerun_of
        Reruns of this run.
    correlation_id
        Of this correlation id; a bulk's id is one.
    open
        Not finished.
    unresolved
        Failed, and not made good by a later success of the same job with the same params.
    text
        With this text in their error.
    param
        NAME=VALUE: asked for with this param.
    """

    id: Annotated[list[int] | None, Parameter(negative="")] = None
    job: Annotated[list[str] | None, Parameter(negative="")] = None
    status: Annotated[list[Status] | None, Parameter(negative="")] = None
    phase: Annotated[list[Phase] | None, Parameter(negative="")] = None
    by: Annotated[list[str] | None, Parameter(negative="")] = None
    since: Annotated[str | None, Parameter(name=("--from", "--since"))] = None
    until: Annotated[str | None, Parameter(name=("--to", "--until"))] = None
    rerun_of: int | None = None
    correlation_id: str | None = None
    open: bool = False
    unresolved: bool = False
    text: str | None = None
    param: Annotated[list[str] | None, Parameter(name=("--param", "-p"), negative="")] = None

    def query(self) -> Query:
        """Raises BadUsage."""
        several = {"jobType": self.job, "status": self.status, "phase": self.phase, "triggeredBy": self.by}
        return [
            *(("id", one) for one in self.id or ()),
            *((name, value) for name, values in several.items() for value in values or ()),
            ("from", instant(self.since) if self.since else None),
            ("to", instant(self.until) if self.until else None),
            ("rerunOf", self.rerun_of),
            ("correlationId", self.correlation_id),
            ("open", self.open or None),
            ("unresolved", self.unresolved or None),
            ("text", self.text),
            *(_param(each) for each in self.param or ()),
        ]


def _param(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise BadUsage(f"--param {text}: expected NAME=VALUE")
    return f"param.{name}", value


EVERYTHING = Selection()
