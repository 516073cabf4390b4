"""The context a job is given when a test calls it directly: kronik's own for unit tests, that can also crash."""

from dataclasses import dataclass

from kronik.testing import RecordedRun


@dataclass
class Run(RecordedRun):
    """`crash_at` dies on reaching the progress text it names."""

    crash_at: str | None = None

    def progress(self, done: int, total: int | None = None, text: str = "") -> None:
        super().progress(done, total, text)
        if text == self.crash_at:
            raise SystemExit(f"crashed at {text}")

    def warned_of(self) -> list[str | None]:
        return [item for item, _ in self.warnings]
