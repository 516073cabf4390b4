"""Which release of a job is in force while two of them run side by side.

A release is a definition; where it was announced for the first time is its number. In force is the newest release
that a living runner has: a runner announces its own definition when nobody has ever announced it, or when the one
that stands in the stream is another and no living runner has a newer one. So a deploy converges
whoever comes and goes: an old release that starts again beside a new one says nothing, and when the last
runner of the new one is gone, the old one is in force again within seconds.

The runner that leads, with the newest release and started last among those, is the only one that changes
the job's consumer.
"""

import asyncio
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from kronik import Job, in_force, subjects
from kronik.events import JobDefined, Recorded, ScheduleChanged
from nats.aio.client import Client
from nats.errors import Error as NatsError

from services.infra import logs, params
from services.infra.clock import monotonic_s
from services.log import presence
from services.log.append import Appended, EventLog, Expected
from services.log.jetstream import LogUnavailable
from services.log.presence import Beat, Presence, Served, digest
from services.runner import registry

log = logs.get()

_LOOK_EVERY_S = 2.0
_PAGE = 1_000
_ALL_AGAIN_S = 30.0
_BACK_WITHIN = timedelta(minutes=1)
"""Counted from when the other definition came in force. Longer, and what waits would hold up what can be done."""


class Releases:
    """The definitions of one runner's jobs, and those of the runners beside it."""

    def __init__(
        self, event_log: EventLog, jobs: Mapping[str, Job], instance: str, incarnation: str, since: datetime
    ) -> None:
        self._log = event_log
        self._mine = {job_type: registry.definition(job) for job_type, job in jobs.items()}
        self._presence = Presence()
        self._instance = instance
        self._incarnation = incarnation
        self._since = since
        self._numbers: dict[str, int] = {}
        self._unsettled = set(self._mine)
        self._seen: frozenset[str] = frozenset()
        self._left = False
        self._all_again_s = 0.0

    async def begin(self) -> None:
        """Announce what nobody has announced before, and say that we are here. May be repeated.

        Raises LogUnavailable.
        """
        for job_type in self._mine:
            if job_type not in self._numbers:
                await self._begin(job_type)
        await self.say(self._log.connection)

    async def listen(self) -> None:
        await self._presence.listen(self._log.connection)

    async def _begin(self, job_type: str) -> None:
        events = await self._history(job_type)
        number = _first_of(events, self._mine[job_type])
        if number is None or (_is_last(events, self._mine[job_type]) and await self._retired(job_type, events[-1])):
            appended = await self._announce(job_type, events[-1].sequence if events else 0)
            number = number or appended
        if number is not None:
            self._numbers[job_type] = number
        else:
            await self._begin(job_type)

    async def _history(self, job_type: str) -> list[Recorded]:
        found: list[Recorded] = []
        while True:
            page = await self._log.read(subjects.definition(job_type), found[-1].sequence + 1 if found else 1)
            found += page
            if len(page) < _PAGE:
                return found

    async def _retired(self, job_type: str, last: Recorded) -> bool:
        """A job that was taken out of use comes back when a runner starts with it."""
        changed = await self._log.last(subjects.schedule(job_type))
        change = changed.data if changed and isinstance(changed.data, ScheduleChanged) else None
        return in_force.is_retired(last.sequence, changed.sequence if changed else 0, change)

    async def _announce(self, job_type: str, last: int) -> int | None:
        """Where it stands now; None: another one was announced meanwhile."""
        subject = subjects.definition(job_type)
        answer = await self._log.append(
            subject, self._mine[job_type], id=uuid.uuid4().hex, expected=Expected(subject, last), about=job_type
        )
        if not isinstance(answer, Appended):
            return None
        log.info("job_announced", job=job_type)
        return answer.sequence

    async def run(self) -> None:
        """For as long as the runner lives."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                await self.run_once()
            except (LogUnavailable, NatsError, TimeoutError) as error:
                log.warning("definitions_not_compared", error=repr(error))

    async def run_once(self) -> None:
        """Compare our definitions with those in the stream, where somebody came, went, or it is time."""
        if not self._log.connection.is_connected:
            return self._presence.deaf()
        seen = frozenset(beat.incarnation for beat in self._presence.living())
        if seen != self._seen or monotonic_s() > self._all_again_s:
            self._seen, self._all_again_s = seen, monotonic_s() + _ALL_AGAIN_S
            self._unsettled = set(self._mine)
        for job_type in sorted(self._unsettled):
            if await self._settle(job_type):
                self._unsettled.discard(job_type)

    async def _settle(self, job_type: str) -> bool:
        last = await self._log.last(subjects.definition(job_type))
        if (last is not None and last.data == self._mine[job_type]) or self._has_newer(job_type):
            return True
        if not self._presence.certain:
            return False
        log.info("release_in_force_again", job=job_type, release=self._numbers[job_type])
        return await self._announce(job_type, last.sequence if last else 0) is not None

    def _has_newer(self, job_type: str) -> bool:
        mine = self._numbers[job_type]
        return any(beat.jobs[job_type].release > mine for beat in self._presence.living() if job_type in beat.jobs)

    async def say(self, connection: Client) -> None:
        """That we are here, with which jobs; from any thread, so that a job which blocks the loop silences nobody."""
        if not self._left:
            await presence.say(connection, self._beat())

    async def leave(self) -> None:
        """That we take no more."""
        self._left = True
        await presence.say(self._log.connection, Beat(self._instance, self._incarnation, self._since, {}))

    def _beat(self) -> Beat:
        served = {name: Served(number, digest(self._mine[name])) for name, number in self._numbers.items()}
        return Beat(self._instance, self._incarnation, self._since, served)

    def leads(self, job_type: str) -> bool:
        """Whether the job's consumer is ours to change."""
        if job_type not in self._numbers or not self._presence.certain:
            return False
        found = presence.newest([*self._presence.living(), self._beat()], job_type)
        return found is not None and found.incarnation == self._incarnation

    async def others_take(self, job_type: str, given: Mapping[str, Any]) -> bool:
        """Whether another release takes the params that ours refuses: one that is in force, or has a living runner, or
        had one until a moment ago, and may be on its way back: a deploy that is taken back fails no run at once.

        Raises LogUnavailable.
        """
        last = await self._log.last(subjects.definition(job_type))
        serving = [beat.jobs[job_type] for beat in self._presence.living() if job_type in beat.jobs]
        others = {served.release for served in serving} - {self._numbers.get(job_type)}
        found = [last, *[await self._log.get(number) for number in others]]
        if last is not None and self._log.clock.now() - last.time < _BACK_WITHIN:
            found += await self._history(job_type)
        return any(each is not None and _takes(each.data, given) for each in found)


def _takes(definition: object, given: Mapping[str, Any]) -> bool:
    return isinstance(definition, JobDefined) and params.accepts(definition.params_schema, given)


def _first_of(events: list[Recorded], definition: JobDefined) -> int | None:
    return next((event.sequence for event in events if event.data == definition), None)


def _is_last(events: list[Recorded], definition: JobDefined) -> bool:
    return bool(events) and events[-1].data == definition
