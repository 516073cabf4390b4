"""How often a run is tried again, and how long it waits before that."""

from dataclasses import dataclass
from datetime import timedelta

from kronik.errors import InvalidJob

LONGEST = timedelta(days=30)
"""For a timeout or a pause: far beyond use, and far from where adding it to a date overflows."""


@dataclass(frozen=True, slots=True)
class Retry:
    """A job's retry policy.

    attempts: tries in all, the first one included; 1 means no retry. Attempts that a deploy cut short don't
        count, nor do the first ten whose process died or was cut off: whose doing that was can't be told, so such a
        run goes on in a process of its own, where it can.
    wait, max_wait: the pause before the second attempt and the longest pause; it doubles with
        every attempt, and up to a quarter is added at random so that failed runs don't return in step.
    never: exception classes that end the run at once, besides `PermanentError`.
    """

    attempts: int = 3
    wait: timedelta = timedelta(seconds=5)
    max_wait: timedelta = timedelta(minutes=5)
    never: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= 100:
            raise InvalidJob(f"Retry(attempts={self.attempts}): must be 1 to 100")
        if not timedelta(0) <= self.wait <= self.max_wait <= LONGEST:
            raise InvalidJob(
                f"Retry(wait={self.wait}, max_wait={self.max_wait}): need 0 <= wait <= max_wait <= 30 days"
            )
