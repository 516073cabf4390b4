"""Protocols that are broken in one place. A model that does not notice them would prove nothing about ours."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kronik import Job
from kronik.events import Cancelled, Completed, Failed, RunEvent
from kronik.run import Run, decide_delivery, evolve, holds
from msgspec.structs import replace

from services.log.append import Appended, Conflict, Entry
from services.log.committer import Stored, Unit
from services.runner.attempt import Attempts, Holding
from services.runner.context import Context
from services.runner.outcome import Outcome
from tests.invariants import TERMINAL
from tests.model.actors import RUN_ID, Leases, WatchedLog
from tests.model.world import Bounds, Mutant

_EXPECTED = "Nats-Expected-Last-Subject-Sequence"


@dataclass(frozen=True, slots=True)
class _WithoutExpectation(WatchedLog):
    async def _commit(self, unit: Unit) -> Stored | None:
        (message,) = unit
        kept = {name: value for name, value in message.headers.items() if not name.startswith(_EXPECTED)}
        return await WatchedLog._commit(self, (replace(message, headers=kept),))


@dataclass(frozen=True, slots=True)
class _OneIdForTheEnd(WatchedLog):
    async def append_unit(
        self, entries: Sequence[Entry], *, patience_s: float = 10.0
    ) -> tuple[Appended, ...] | Conflict:
        (entry,) = entries
        name = entry.subject.rpartition(".")[2]
        if name in TERMINAL:
            entry = replace(entry, id=f"{RUN_ID}.{name}")
        return await WatchedLog.append_unit(self, (entry,), patience_s=patience_s)


@dataclass(frozen=True, slots=True)
class _AcknowledgesFirst(Attempts):
    async def _append(self, holding: Holding, event: RunEvent) -> bool:
        if isinstance(event, Completed | Failed | Cancelled):
            await self._reply(RUN_ID, b"+ACK")
        return await Attempts._append(self, holding, event)


@dataclass(frozen=True, slots=True)
class _AcknowledgesWhenFenced(Attempts):
    async def _conclude(self, job: Job, holding: Holding, context: Context, outcome: Outcome) -> None:
        await Attempts._conclude(self, job, holding, context, outcome)
        await self._reply(RUN_ID, b"+ACK")


@dataclass(frozen=True, slots=True)
class _HandsBackWhatItLost(Attempts):
    async def _hand_back(self, run_id: int, answer: bytes) -> None:
        await self._reply(run_id, answer)


@dataclass(frozen=True, slots=True)
class _BelievesDuplicates(WatchedLog):
    """What our log did at first: an event that is found by reading back is as good as one that was just stored."""

    async def _still(self, run: Run, sequence: int) -> Run | Conflict:
        return evolve(run, self.stream.events[sequence - 1])


@dataclass(frozen=True, slots=True)
class _NamesItsEventsForTheProcess(Attempts):
    """What our runner did at first."""

    async def _append(self, holding: Holding, event: RunEvent) -> bool:
        holding.by = self.incarnation
        return await Attempts._append(self, holding, event)


@dataclass(frozen=True, slots=True)
class _LooksForAnOldToken(Attempts):
    async def look(self, holding: Holding) -> None:
        token = holding.run.token
        found = await self.log.read_run(holding.run.id)
        if found and not holds(found[0], token):
            holding.end("lost")


class _NeverLapses(Leases):
    def lapsed(self, run_id: int) -> bool:
        return False


def _always_holds(run: Run, token: int) -> bool:
    return True


def _starts_beside_an_open_attempt(run: Run, **given: Any) -> object:
    return decide_delivery(replace(run, phase="retrying") if run.phase == "executing" else run, **given)


EXPIRE = Bounds(1, {"expire": 1}, cancels=False)

MUTANTS = {
    "appends without expectation": (Mutant(log=_WithoutExpectation), EXPIRE),
    "one id for the end of a run": (Mutant(log=_OneIdForTheEnd), EXPIRE),
    "acknowledges before it appends": (Mutant(attempts=_AcknowledgesFirst), EXPIRE),
    "acknowledges what it lost": (Mutant(attempts=_AcknowledgesWhenFenced), EXPIRE),
    "hands back what it lost": (Mutant(attempts=_HandsBackWhatItLost), EXPIRE),
    "does not know that its lease lapsed": (Mutant(leases=_NeverLapses), EXPIRE),
    "does not look whether it holds the run": (Mutant(patches={"holds": _always_holds}), EXPIRE),
    "starts beside an open attempt": (Mutant(patches={"decide_delivery": _starts_beside_an_open_attempt}), EXPIRE),
    "believes its own old events": (
        Mutant(attempts=_NamesItsEventsForTheProcess, log=_BelievesDuplicates),
        Bounds(1, {"recreate": 1}, cancels=False),
    ),
    "looks for an old token": (Mutant(attempts=_LooksForAnOldToken), Bounds(0, {}, slow_looks=True)),
}
