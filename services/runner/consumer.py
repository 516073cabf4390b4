"""How triggers reach the jobs: one durable consumer per job type, shared by all runners.

`max_ack_pending` is the job's concurrency, so overlap control is the broker's own, and
`nats consumer report JOBS` shows what waits and what runs.
"""

import asyncio
from dataclasses import dataclass, field
from functools import partial

from kronik import Job, KronikError, subjects
from nats.aio.client import Client

from services.infra import logs
from services.infra.lifecycle import happens
from services.log import jetstream
from services.log.jetstream import ApiRefused, LogUnavailable
from services.runner.attempt import Attempts
from services.runner.first_open import first_open
from services.runner.places import Places
from services.runner.pull import Pull
from services.runner.releases import Releases

log = logs.get()

_NS = 1_000_000_000
_BEGIN = ("deliver_policy", "opt_start_seq", "opt_start_time", "max_waiting")
_LOOK_EVERY_S = 5.0
_WAITING = 5_000
"""Requests of all runners together that may wait at the consumer; 512 if nothing is said."""


class ConsumerRefused(KronikError):
    """JetStream refused the consumer's configuration, with its reason."""


@dataclass(slots=True)
class Consumers:
    """The consumers of one runner's jobs, and what is pulled from them. slots: places of the process."""

    connection: Client
    attempts: Attempts
    releases: Releases
    jobs: dict[str, Job]
    slots: int
    ack_wait_s: float
    _pulls: list[Pull] = field(default_factory=list)
    _loops: set[asyncio.Task[None]] = field(default_factory=set)
    _refused: asyncio.Event = field(default_factory=asyncio.Event)

    async def prepare(self) -> None:
        """Make the consumers. Raises ConsumerRefused, and LogUnavailable where NATS is away."""
        for job in self.jobs.values():
            await self.ensure(job)

    def start(self) -> None:
        """Begin to pull."""
        places = Places(self.slots, {job.job_type: job.concurrency for job in self.jobs.values()})
        for job in self.jobs.values():
            deliver = partial(self.attempts.deliver, job)
            pull = Pull(self.connection, job.job_type, places, self.ack_wait_s, deliver, self._refused)
            self._pulls.append(pull)
            self._loops.add(asyncio.create_task(pull.run()))

    async def drain(self, grace_s: float) -> None:
        """Pull no more, let what runs finish within the grace, then stop it and hand its run to the next runner."""
        log.info("runner_draining", running=sorted(self.attempts.holdings))
        self.attempts.draining.set()
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*(pull.stop() for pull in self._pulls))
        await self._idle(grace_s)
        for holding in self.attempts.holdings.values():
            holding.end("drain")
        await self._idle(grace_s + 2)
        await self.attempts.answers.flush()

    async def _idle(self, within_s: float) -> None:
        if deliveries := [delivery for pull in self._pulls for delivery in pull.deliveries]:
            await asyncio.wait(deliveries, timeout=within_s)

    async def look_after(self) -> None:
        """Bring back what was lost: a consumer that somebody deleted. At once where a pull was refused; that nobody
        pulls meanwhile, or that its settings were changed, is seen at the next look."""
        while True:
            self._refused.clear()
            await happens(self._refused, _LOOK_EVERY_S)
            try:
                await self.run_once()
            except (LogUnavailable, ConsumerRefused) as error:
                log.warning("consumer_check_failed", error=repr(error))

    async def run_once(self) -> list[str]:
        """The job types whose consumer was gone and is there again."""
        if not self.connection.is_connected:
            return []
        return [job_type for job_type, job in self.jobs.items() if await self.ensure(job)]

    async def ensure(self, job: Job) -> bool:
        """Make the job's consumer, or correct it where that is ours to do; True where there was none.

        Only one runner corrects it: two releases that differ would write it back and forth. The others keep
        their leases as it says. Raises ConsumerRefused.
        """
        name = subjects.runner_consumer(job.job_type)
        wanted = self._config(job)
        info = await jetstream.consumer_info(self.connection, name)
        if info is not None:
            self.attempts.leases.follow(info.config.get("ack_wait", 0) / _NS)
            if not self.releases.leads(job.job_type) or all(info.config.get(key) == wanted[key] for key in wanted):
                return False
        if info is None:
            begin = {
                "deliver_policy": "by_start_sequence",
                "opt_start_seq": await first_open(self.connection, job.job_type),
                "max_waiting": _WAITING,
            }
        else:  # what can't be changed any more
            begin = {key: info.config[key] for key in _BEGIN if key in info.config}
        try:
            await jetstream.create_consumer(self.connection, wanted | begin)
        except ApiRefused as refused:
            if info is None and await jetstream.consumer_info(self.connection, name) is not None:
                return False  # another runner was faster, and saw another first run
            raise ConsumerRefused(f"consumer {name}: {refused.reason}") from refused
        log.info("consumer_ensured", consumer=name, created=info is None)
        return info is None

    def _config(self, job: Job) -> dict[str, object]:
        return {
            "durable_name": subjects.runner_consumer(job.job_type),
            "filter_subject": subjects.triggers_of(job.job_type),
            "ack_policy": "explicit",
            "ack_wait": round(self.ack_wait_s * _NS),
            "max_deliver": -1,
            "max_ack_pending": job.concurrency,
            "replay_policy": "instant",
        }
