"""Who is there: every runner says again and again which jobs it serves, and since when each was announced.

That is not truth and is stored nowhere: a word that is not repeated is missed after a moment, which people are told,
and forgotten after twice as long. It decides nothing about runs; it tells which of two releases of a job has a living
runner, and shows who serves a job.
"""

import asyncio
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

import msgspec
from kronik import subjects
from kronik.envelope import Instant
from kronik.events import JobDefined
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from services.infra.clock import monotonic_s

EVERY_S: Final = 0.75
MISSED_AFTER_S: Final = 4 * EVERY_S
"""With a second until somebody looks, and one until an open page shows it, that is said within five seconds."""
FORGOTTEN_AFTER_S: Final = 6.4
"""Later, for it decides which release of a job holds."""


class Served(Struct, frozen=True):
    """One job of a runner. release: where in the stream its definition was announced for the first time: of two
    releases the one with the greater number is the newer. definition: digest() of it."""

    release: int
    definition: str


class Beat(Struct, frozen=True, rename="camel"):
    """What a runner says of itself. since: when it started. jobs: none when it stops."""

    instance: str
    incarnation: str
    since: Instant
    jobs: dict[str, Served]


class Runner(Struct, frozen=True, rename="camel"):
    """A living runner of a job. in_force: whether it has the definition that holds now, and not another release's."""

    instance: str
    since: Instant
    in_force: bool


_beats: Final = msgspec.json.Decoder(Beat)


def digest(definition: JobDefined) -> str:
    """The same for the same definition."""
    return sha256(msgspec.json.encode(definition, order="deterministic")).hexdigest()[:16]


class Presence:
    """The runners that were heard lately."""

    def __init__(self) -> None:
        self._heard: dict[str, tuple[Beat, float]] = {}
        self._listening_since_s = float("inf")

    async def listen(self, connection: Client) -> None:
        """From now on; to be called once. Waits until the connection is there."""
        while not connection.is_connected:  # noqa: ASYNC110 (nats-py has no event for it)
            await asyncio.sleep(0.1)
        await connection.subscribe(subjects.PRESENCE, cb=self._hear)
        self._listening_since_s = monotonic_s()

    async def _hear(self, message: Msg) -> None:
        try:
            self.note(_beats.decode(message.data))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return

    def note(self, beat: Beat) -> None:
        if beat.jobs:
            self._heard[beat.incarnation] = (beat, monotonic_s())
        else:
            self._heard.pop(beat.incarnation, None)

    def deaf(self) -> None:
        """Nothing can be heard now: silence proves nothing until as long after this as it takes to forget."""
        self._listening_since_s = monotonic_s()

    @property
    def certain(self) -> bool:
        """Whether whoever was not heard is not there."""
        return monotonic_s() - self._listening_since_s > FORGOTTEN_AFTER_S

    def misses(self, definitions: Iterable[JobDefined]) -> tuple[str, ...]:
        """The jobs of which nobody who serves them was heard just now; none while silence proves nothing."""
        now_s = monotonic_s()
        if now_s - self._listening_since_s <= MISSED_AFTER_S:
            return ()
        heard = [beat.jobs for beat, at_s in self._heard.values() if now_s - at_s <= MISSED_AFTER_S]
        return tuple(one.job_type for one in definitions if not any(one.job_type in jobs for jobs in heard))

    def living(self) -> list[Beat]:
        oldest_s = monotonic_s() - FORGOTTEN_AFTER_S
        for incarnation, (_, at_s) in list(self._heard.items()):
            if at_s < oldest_s:
                del self._heard[incarnation]
        return [beat for beat, _ in self._heard.values()]

    def runners(self, definition: JobDefined) -> list[Runner]:
        """Who serves the job, the one that started first at the front."""
        serving = [(beat, served) for beat in self.living() if (served := beat.jobs.get(definition.job_type))]
        ours = digest(definition)
        found = [Runner(beat.instance, beat.since, served.definition == ours) for beat, served in serving]
        return sorted(found, key=lambda one: (one.since, one.instance))


async def say(connection: Client, beat: Beat) -> None:
    """Best effort."""
    if connection.is_connected:
        try:
            await connection.publish(subjects.PRESENCE, msgspec.json.encode(beat))
        except NatsError:
            return


def newest(beats: Iterable[Beat], job_type: str) -> Beat | None:
    """Of those that serve the job, the one with the newest release; of several, the one that started last."""
    serving = [beat for beat in beats if job_type in beat.jobs]
    return max(serving, key=lambda one: (one.jobs[job_type].release, one.since, one.incarnation), default=None)
