"""What a command would do, for who wants to know before it is done."""

from datetime import datetime
from typing import Any, Literal

from kronik.show import Text
from msgspec import Struct

Verb = Literal["trigger", "rerun", "cancel", "schedule", "pause", "resume", "retire", "empty"]


class Plan(Struct, frozen=True, kw_only=True, rename="camel"):
    """A dry run's answer: nothing was done. What could not be done is refused, dry or not, in the same words.

    does: what would be done, in words. notes: what is worth knowing before. run_id: the run that it is done to.
    confirm: what a person is asked before, per language; programs are not. params: what the job would get.
    next_slots: the next ten that would fire. skips: those that would not any more.
    """

    command: Verb
    does: str
    job_type: str
    run_id: int | None = None
    params: dict[str, Any] | None = None
    next_slots: list[datetime] | None = None
    skips: list[datetime] | None = None
    notes: list[str] = []
    confirm: Text | None = None
