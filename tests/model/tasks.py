"""Coroutines of the code under test, run by hand: they stop at every request until told how it ends."""

import contextvars
import types
from collections.abc import Coroutine, Generator, Iterator
from datetime import datetime
from typing import Any

from kronik.run import Run
from msgspec import Struct

from tests.model.live import live_at
from tests.model.memory_log import Fate, Publish, Read


class Reply(Struct, frozen=True):
    """A request to pass an acknowledgement on."""

    answer: bytes


class Perform(Struct, frozen=True):
    """A job at work."""

    token: int


Request = Publish | Read | Reply | Perform
Answer = Fate | str


@types.coroutine
def ask(request: Request) -> Generator[Request, Answer, Any]:
    """Stop here until the explorer says what becomes of the request."""
    return (yield request)


class Task:
    """One coroutine. request: what it waits for, None when it is over. lost: its last publish gets no answer.

    time_s: the monotonic clock as this task sees it; only its own waiting makes it go on.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self._context = contextvars.copy_context()
        self.request: Request | None = None
        self._key: object = None
        self.lost = False
        self.time_s = 0.0

    def go_on(self, answer: Answer | None = None) -> None:
        """Run to the next request. Raises what the code under test raises."""
        global running
        running = self
        self._key = None
        self.lost = answer in (Fate.LOST_AFTER, Fate.LOST_BEFORE)
        if answer is Fate.AWAY:
            self.time_s += 1000
        try:
            self.request = self._context.run(self._coroutine.send, answer)
        except StopIteration:
            self.request = None

    @property
    def done(self) -> bool:
        return self.request is None

    def drop(self) -> None:
        """Its process is gone."""
        self._coroutine.close()

    def key(self) -> object:
        """Equal for tasks that will behave alike: where each of the frames stands, and what it has in hand."""
        if self._key is None:
            request = self.request.name if isinstance(self.request, Publish) else self.request
            self._key = (tuple(self._frames()), request, self.lost)
        return self._key

    def _frames(self) -> Iterator[object]:
        at: Any = self._coroutine
        while isinstance(at, types.CoroutineType):
            frame = at.cr_frame
            live = live_at(frame.f_code, frame.f_lasti)
            hand = (_in_hand(value) for name, value in frame.f_locals.items() if name in live)
            yield frame.f_code.co_name, frame.f_lasti, *hand
            at = at.cr_await


running: Task | None = None


def now_s() -> float:
    """The monotonic clock of the task that runs."""
    return running.time_s if running else 0.0


def _in_hand(value: object) -> object:
    """What of a local variable can make a difference, given the stream: runs are known by their place in it."""
    match value:
        case None | bool() | int() | datetime():
            return value
        case Run():
            return (value.version, value.phase, value.token, value.problem)
        case Struct():
            return (type(value).__name__, getattr(value, "attempt", None), getattr(value, "sequence", None))
        case list() | tuple():
            return len(value)
    return type(value).__name__
