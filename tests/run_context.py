"""The context a job is given when a test calls it directly: it records what the job says."""

from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass
class Log:
    """Keeps log lines as (event, fields)."""

    lines: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def info(self, event: str, /, **fields: object) -> None:
        self.lines.append((event, fields))

    warning = info
    error = info


@dataclass
class Run:
    """A `kronik.RunContext`. `warnings` are (item, text); `crash_at` dies on reaching the progress text it names."""

    now: datetime = datetime(2026, 11, 1, 3, 0, tzinfo=UTC)
    id: int = 1
    token: int = 1
    job_type: str = "TEST"
    attempt: int = 1
    triggered_by: str = "CRON"
    scheduled_for: datetime | None = None
    correlation_id: str | None = None
    cancelled: bool = False
    log: Log = field(default_factory=Log)
    warnings: list[tuple[str | None, str]] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    crash_at: str | None = None

    def warn(self, text: str, *, item: str | None = None) -> None:
        self.warnings.append((item, text))

    def progress(self, done: int, total: int | None = None, text: str = "") -> None:
        self.steps.append(text)
        if text == self.crash_at:
            raise SystemExit(f"crashed at {text}")

    def warned_of(self) -> list[str | None]:
        return [item for item, _ in self.warnings]
