"""Ends the runs that nobody will ever work on, so that none stays RUNNING for ever.

A run normally ends by the hand of its runner, and a run whose runner died is delivered to the next one. What is
left are runs that no delivery will reach. At every look each open run gets a finding, or none
(endings.Finding), from what the stream and the consumers say; a run that keeps its finding for the whole of
`after_s`, as seen by this process, is read afresh and ended with an error that says why. Spans are measured
with the monotonic clock, so that neither a jumping clock nor a restart ends anything early.

An attempt that may still be running is left alone until its timeout and twice `after_s` have passed: a
runner whose consumer was deleted, or whose delivery somebody else acknowledged, still ends its run properly,
and a run whose runner died has had that long to be taken over. A process that dies between giving an
attempt up and ending its run leaves that to the next look.
A run that waits for a runner to start, or for its turn, has no finding, however long it waits.

A run that somebody wants stopped and that nobody works on is cancelled at once.

Every append expects the run to be as it was read. Whoever else wrote meanwhile wins, and the run is looked at again.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from kronik import KronikError, subjects
from kronik.endings import Finding, end_of_cancelled, next_event
from kronik.events import Abandoned, Cancelled, Failed, Recorded
from kronik.run import Run
from msgspec import Struct
from msgspec.structs import replace
from nats.errors import Error as NatsError

from services.infra import logs
from services.infra.clock import monotonic_s
from services.infra.failpoints import failpoint
from services.infra.lifecycle import happens
from services.log import jetstream
from services.log.append import Conflict, EventLog
from services.log.subscription import Subscription
from services.scheduler.open_runs import OpenRuns
from services.scheduler.schedules import Schedules

log = logs.get()

_AT_ONCE: Final = 500
"""Runs of one job that are ended in one pass."""
_SOURCES: Final = "/kronik/scheduler/"
"""What events of reconcilers name as their source."""
_LOOK_EVERY_S: Final = 5.0
_LOOK_MAY_TAKE_S: Final = 10.0


class Ended(Struct, frozen=True):
    """A run that this process ended."""

    run_id: int
    job_type: str
    event: Failed | Cancelled


class _Suspicion(Struct, frozen=True):
    """seen: the run's latest event; a newer one makes a new suspicion. patience_s: None: as for any run so far."""

    finding: Finding
    seen: int
    since_s: float
    patience_s: float | None = None


@dataclass(slots=True)
class Reconciler:
    """run_once() looks at every open run; run() repeats it, and at once when a cancel arrives.

    by: names this process in the ids of what it appends. after_s: how long a finding must last.
    """

    log: EventLog
    schedules: Schedules
    schedules_feed: Subscription
    runs: OpenRuns
    runs_feed: Subscription
    by: str
    after_s: float
    _suspicions: dict[str, dict[int, _Suspicion]] = field(default_factory=dict)
    _looked_s: float = 0.0

    async def run(self) -> None:
        """Until cancelled, which is safe at any point."""
        while True:
            self.runs.cancel_requested.clear()
            await self.run_once()
            await happens(self.runs.cancel_requested, self._pause_s)

    @property
    def _pause_s(self) -> float:
        return min(_LOOK_EVERY_S, self.after_s / 4)

    async def run_once(self) -> list[Ended]:
        """End what has to be ended. One job's trouble is logged and never stops another job."""
        self._forget_after_a_gap()
        if not (self.schedules_feed.current.is_set() and self.runs_feed.current.is_set()):
            return []
        ended: list[Ended] = []
        for job_type in self.runs.job_types():
            try:
                ended += await self._reconcile(job_type)
            except (KronikError, NatsError) as error:
                self._suspicions.pop(job_type, None)
                log.warning("reconciling_delayed", job=job_type, problem=str(error))
        return ended

    def _forget_after_a_gap(self) -> None:
        """A process that was stopped has not seen that anything lasted."""
        now_s = monotonic_s()
        if now_s - self._looked_s > 2 * self._pause_s + _LOOK_MAY_TAKE_S:
            self._suspicions.clear()
        self._looked_s = now_s

    async def _reconcile(self, job_type: str) -> list[Ended]:
        cancelled = [await self._cancel(run_id) for run_id in self.runs.waiting_to_be_cancelled(job_type)]
        self._suspect(job_type, await self._findings(job_type))
        failed = [await self._end(job_type, run_id) for run_id in self._convicted(job_type)[:_AT_ONCE]]
        return [each for each in (*cancelled, *failed) if each is not None]

    async def _findings(self, job_type: str) -> dict[int, Finding]:
        """What can be said against the job's open runs now. Raises LogUnavailable."""
        known = job_type in self.schedules.job_types() or await self.log.read(subjects.definition(job_type), limit=1)
        if not known:
            return dict.fromkeys(self.runs.of(job_type), "unknown")
        info = await jetstream.consumer_info(self.log.connection, subjects.runner_consumer(job_type))
        if info is None:
            return dict.fromkeys(self.runs.of(job_type), "unclaimed")
        findings: dict[int, Finding] = {}
        for run_id in self.runs.of(job_type):
            if info.has_lost(run_id):
                findings[run_id] = "lost"
            elif self.runs.was_executing(job_type, run_id):
                findings[run_id] = "silent"
        return findings

    def _suspect(self, job_type: str, findings: dict[int, Finding]) -> None:
        """Remember since when each run has had its finding."""
        before = self._suspicions.get(job_type, {})
        after: dict[int, _Suspicion] = {}
        for run_id, finding in findings.items():
            seen, old = self.runs.latest_event(job_type, run_id), before.get(run_id)
            same = old is not None and (old.finding, old.seen) == (finding, seen)
            after[run_id] = old if old is not None and same else _Suspicion(finding, seen, monotonic_s())
        self._suspicions[job_type] = after

    def _convicted(self, job_type: str) -> list[int]:
        now_s = monotonic_s()
        return [
            run_id
            for run_id, suspicion in self._suspicions[job_type].items()
            if now_s - suspicion.since_s >= (suspicion.patience_s or self.after_s)
        ]

    async def _end(self, job_type: str, run_id: int) -> Ended | None:
        """Raises LogUnavailable."""
        suspicion = self._suspicions[job_type][run_id]
        found = await self.log.read_run(run_id)
        if found is None:
            self.runs.forget(job_type, run_id)
            return None
        run = found[0]
        if suspicion.patience_s is None and (patience_s := self._patience_s(suspicion.finding, *found)):
            self._suspicions[job_type][run_id] = replace(suspicion, patience_s=patience_s)
            return None
        event = next_event(run, suspicion.finding, self.schedules.job_types())
        if isinstance(event, Abandoned):
            given_up = await self._append(run, event)
            failpoint("after_giving_up")
            event = next_event(given_up, suspicion.finding, ()) if given_up else None
            run = given_up or run
        return await self._append_end(run, event) if isinstance(event, Failed) else None

    def _patience_s(self, finding: Finding, run: Run, events: Sequence[Recorded]) -> float | None:
        """How long to wait with a run that was read; None: no longer."""
        if run.phase == "executing":
            return run.timeout_ms / 1000 + 2 * self.after_s
        if finding == "silent" and not events[-1].source.startswith(_SOURCES):
            # A runner gave the attempt up, and the run waits for its next one.
            return math.inf
        return None

    async def _cancel(self, run_id: int) -> Ended | None:
        found = await self.log.read_run(run_id)
        event = end_of_cancelled(found[0]) if found else None
        return await self._append_end(found[0], event) if found and event else None

    async def _append_end(self, run: Run, event: Failed | Cancelled) -> Ended | None:
        if await self._append(run, event) is None:
            return None
        self.runs.forget(run.job_type, run.id)
        error = event.error if isinstance(event, Failed) else f"cancelled by {event.by}"
        log.warning("run_ended", run_id=run.id, job=run.job_type, error=error)
        return Ended(run.id, run.job_type, event)

    async def _append(self, run: Run, event: Abandoned | Failed | Cancelled) -> Run | None:
        """The run with the event; None where somebody else wrote. Raises LogUnavailable."""
        answer = await self.log.append_to_run(run, event, by=self.by)
        return None if isinstance(answer, Conflict) else answer
