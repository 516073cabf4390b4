"""The one place that reads the wall clock."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock(Protocol):
    def now(self) -> datetime:
        """The present instant, UTC."""


class SystemClock:
    """The machine's clock, shifted by the seconds that `offset_file` holds, if it is given and there.

    The file is read at every look, so that a test (or a rehearsal of a clock change) can
    jump a running service's time: `echo 3600 > clock`.
    """

    def __init__(self, offset_file: Path | None = None) -> None:
        self._offset_file = offset_file

    def now(self) -> datetime:
        now = datetime.now(UTC)
        return now if self._offset_file is None else now + self.offset()

    def offset(self) -> timedelta:
        """How far it is from the machine's: the rehearsal's part of it."""
        if self._offset_file is None:
            return timedelta(0)
        try:
            return timedelta(seconds=float(self._offset_file.read_text()))
        except (FileNotFoundError, ValueError):
            return timedelta(0)


def monotonic_s() -> float:
    """Seconds for measuring spans; no jumps, and the time that the machine was suspended counts."""
    return time.clock_gettime(_CLOCK)
