"""Who may have killed a runner: nobody can tell, so all that it held are performed apart for a while.

A process that dies takes its runs' attempts with it, and says nothing. Those runs, and for a quarter of an hour
the others of their jobs, are performed in processes of their own: whoever did it does it to itself alone the
next time, is known, and is stopped by its own retry policy; and who was innocent has lost nothing but milliseconds.
"""

from kronik.run import Run

from services.infra.clock import monotonic_s

_FOR_S = 900.0


class Suspects:
    def __init__(self) -> None:
        self._until_s: dict[str, float] = {}

    def add(self, job_type: str) -> None:
        """An attempt of this job was lost with its runner."""
        self._until_s[job_type] = monotonic_s() + _FOR_S

    def includes(self, run: Run) -> bool:
        return run.lost > 0 or monotonic_s() < self._until_s.get(run.job_type, 0.0)
