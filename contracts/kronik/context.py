"""What a job is given besides its params."""

from datetime import datetime
from typing import Protocol


class RunLog(Protocol):
    """Log lines of one run. They reach the service's log and, for two weeks, the run's page."""

    def info(self, event: str, /, **fields: object) -> None: ...
    def warning(self, event: str, /, **fields: object) -> None: ...
    def error(self, event: str, /, **fields: object) -> None: ...


class RunContext(Protocol):
    """One attempt at one run, as its job sees it. Safe to use from the loop and from a thread."""

    @property
    def id(self) -> int:
        """The run's id, the same in every attempt: the idempotency key for effects outside."""

    @property
    def token(self) -> int:
        """The fencing token, greater with every attempt: a store that refuses smaller ones is safe from stale ones."""

    @property
    def job_type(self) -> str: ...

    @property
    def attempt(self) -> int:
        """From 1."""

    @property
    def triggered_by(self) -> str:
        """`CRON`, `ADMIN:<userId>` or `SERVICE:<name>`."""

    @property
    def scheduled_for(self) -> datetime | None:
        """The slot this run fills (UTC), or None where it was asked for by hand."""

    @property
    def correlation_id(self) -> str | None:
        """What the run belongs to, as whoever asked for it named it; to be passed on in what the job asks of others."""

    @property
    def traceparent(self) -> str | None:
        """The trace that the run belongs to, as W3C Trace Context writes it; to be passed on likewise."""

    @property
    def now(self) -> datetime:
        """When this attempt started (UTC). Use it instead of reading the clock: one attempt, one time."""

    @property
    def log(self) -> RunLog: ...

    def warn(self, text: str, *, item: str | None = None) -> None:
        """One item failed and the rest went on: the run ends PARTIAL. `item` names it, `text` says what happened."""

    def progress(self, done: int, total: int | None = None, text: str = "") -> None:
        """How far the job is; seen live. Cheap: call it as often as you like."""

    @property
    def cancelled(self) -> bool:
        """Whether to stop: after a cancel, a timeout or a lost lease. For jobs in threads; async ones are cancelled."""
