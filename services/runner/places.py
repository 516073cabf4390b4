"""How many triggers may be asked for: a place for each, of its job and of the process.

A place is taken when its trigger is asked for, not when it arrives, so that nothing waits here with a lease running
out. Where the process has fewer places than its jobs could use, a job asks for more only while it is given what it asks
for, and leaves one place for every job that has none.
"""

import asyncio
from collections.abc import Mapping


class Places:
    """The places of one process. process: how many there are; jobs: the concurrency of each job type."""

    def __init__(self, process: int, jobs: Mapping[str, int]) -> None:
        self._free = process
        self._limit = dict(jobs)
        self._taken = dict.fromkeys(jobs, 0)
        self._appetite = dict.fromkeys(jobs, 1)
        self.scarce = process < sum(jobs.values())
        self._changed = asyncio.Event()

    async def take(self, job_type: str, at_most: int = 1_000) -> int:
        """All that the job may have now, at least one; waits for it."""
        while (allowed := self._allowed(job_type)) < 1:
            self._changed.clear()
            await self._changed.wait()
        count = min(allowed, at_most)
        self._taken[job_type] += count
        self._free -= count
        return count

    def _allowed(self, job_type: str) -> int:
        own = self._limit[job_type] - self._taken[job_type]
        if not self.scarce:
            return own
        without = sum(taken == 0 for other, taken in self._taken.items() if other != job_type)
        if self._taken[job_type] == 0:
            return min(own, self._free, max(1, min(self._appetite[job_type], self._free - without)))
        return min(own, self._appetite[job_type], self._free - without)

    def free(self, job_type: str, count: int = 1) -> None:
        """Give back: a run is over, or nothing came."""
        if count:
            self._taken[job_type] -= count
            self._free += count
            self._changed.set()

    def fed(self, job_type: str, *, wholly: bool) -> None:
        """What a request brought: all that it asked for, or not."""
        self._appetite[job_type] = min(2 * self._appetite[job_type], self._limit[job_type]) if wholly else 1
