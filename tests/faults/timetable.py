"""Schedulers as processes, on a clock that the test turns: it runs through a day of slots in seconds."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kronik.events import Schedule

from tests.faults.slot_ledger import MINUTE, Audit, audit, elapsed
from tests.faults.system import System, system
from tests.scheduling import change, define

WAKE = "WAKE"
"""A job without slots. Announced again, it makes every scheduler look at the clock at once."""


@dataclass
class Job:
    """holds: from when on it has a slot every so many minutes, in order."""

    name: str
    holds: list[tuple[datetime, int]]

    def slots(self, until: datetime) -> list[datetime]:
        found: list[datetime] = []
        for (since, every), end in zip(self.holds, [*(at for at, _ in self.holds[1:]), until], strict=True):
            found += elapsed(lambda minute, n=every: minute.minute % n == 0, "UTC", since, end)  # type: ignore[misc]
        return found


@dataclass
class Timetable:
    """now: what the schedulers' clocks show, give or take what a scheduler's own clock is wrong by; `latest`: at most.

    From there on they run by themselves, a few real seconds.
    """

    system: System
    jobs: list[Job] = field(default_factory=list)
    clocks: dict[Path, timedelta] = field(default_factory=dict)
    shift: timedelta = timedelta(0)

    @property
    def now(self) -> datetime:
        return datetime.now(UTC) + self.shift

    def clock(self, wrong_by: timedelta = timedelta(0)) -> Path:
        """Another clock, for KRONIK_CLOCK_FILE."""
        file = self.system.directory / f"clock{len(self.clocks)}"
        self.clocks[file] = wrong_by
        self._write(file)
        return file

    def set(self, now: datetime) -> None:
        """Turn every clock."""
        self.shift = now - datetime.now(UTC)
        for file in self.clocks:
            self._write(file)

    def _write(self, file: Path) -> None:
        """Whole or not at all: a scheduler may read it at any moment."""
        fresh = file.with_suffix(".new")
        fresh.write_text(str((self.shift + self.clocks[file]).total_seconds()))
        fresh.rename(file)

    async def wake(self) -> None:
        await define(self.system.log, WAKE, None)

    async def announce(self, name: str, every: int = 1, **policies: object) -> Job:
        """A job with a slot every so many minutes (a divisor of 60)."""
        defined = await define(self.system.log, name, each(every, **policies))
        stored = await self.system.connection.jetstream().get_msg("JOBS", defined.sequence)
        assert stored.time is not None
        job = Job(name, [(stored.time, every)])
        self.jobs.append(job)
        return job

    async def reschedule(self, job: Job, every: int, since: datetime) -> None:
        """since: the last slot that was handled before the change."""
        await change(self.system.log, job.name, schedule=each(every, catch_up="all"))
        job.holds.append((since, every))

    async def pause(self, job: str, paused: bool = True) -> None:
        await change(self.system.log, job, paused=paused)

    async def scheduler(self, wrong_by: timedelta = timedelta(0), **settings: str) -> str:
        """Another scheduler, ready."""
        return (await self.system.started("scheduler", clock_file=str(self.clock(wrong_by)), **settings))[0]

    async def audits(self, until: datetime) -> dict[str, Audit]:
        """Each job's slots up to this instant, against the raw stream."""
        facts = (await self.system.stream.anew()).facts
        return {job.name: audit(facts, job.name, job.slots(until)) for job in self.jobs}

    async def settled(self, until: datetime, within_s: float = 30) -> dict[str, Audit]:
        """The audits once no slot lacks its account; as they are when it takes too long."""
        give_up = time.monotonic() + within_s
        while True:
            found = await self.audits(until)
            if not any(job.lost for job in found.values()) or time.monotonic() > give_up:
                return found
            await self.wake()
            await asyncio.sleep(0.2)


@asynccontextmanager
async def timetable(seed: int) -> AsyncIterator[Timetable]:
    async with system(seed) as made:
        yield Timetable(made)


def each(minutes: int, **policies: object) -> Schedule:
    """So many minutes between two slots."""
    expression = "* * * * *" if minutes == 1 else f"*/{minutes} * * * *"
    return Schedule(expression=expression, tz="UTC", **policies)  # type: ignore[arg-type]


def assert_exact(audits: dict[str, Audit]) -> None:
    wrong = {name: found for name, found in audits.items() if not found.exact}
    assert not wrong, "\n".join(f"{name}: {found}" for name, found in wrong.items())


def before(slot: datetime, seconds: float = 0.3) -> datetime:
    return slot - timedelta(seconds=seconds)


def minute_of(instant: datetime) -> datetime:
    return instant.replace(second=0, microsecond=0)


__all__ = ["MINUTE", "Job", "Timetable", "assert_exact", "before", "minute_of", "timetable"]
