"""An attempt in a process of its own: the job is given the same RunContext, and its last word is the outcome."""

import asyncio
import contextlib
import inspect
import os
import socket
import sys
import threading
from datetime import datetime
from typing import Any

import msgspec
from kronik import Job

from services.runner import frames, voices
from services.runner.context import text_of, whole
from services.runner.outcome import EXITS, Raised, Returned, as_raised, as_result, exited

jobs: dict[str, Job] = {}
"""By job type; the fork server loads them before it forks."""
_FIELDS_KEPT = 50


class Context:
    """kronik.RunContext over a socket. What it says is best effort, as everywhere: nothing raises into the job."""

    def __init__(self, runner: socket.socket, asked: frames.Perform) -> None:
        self.id = asked.id
        self.token = asked.token
        self.job_type = asked.job_type
        self.attempt = asked.attempt
        self.triggered_by = asked.triggered_by
        self.scheduled_for = datetime.fromisoformat(asked.scheduled_for) if asked.scheduled_for else None
        self.correlation_id = asked.correlation_id
        self.traceparent = asked.traceparent
        self.now = datetime.fromisoformat(asked.now)
        self.log = Log(self)
        self.saw_its_end = False
        self.told_to_stop = False
        self._runner = runner
        self._guard = threading.Lock()
        self._written: dict[str, str] = {}

    @property
    def cancelled(self) -> bool:
        if not self.told_to_stop:
            self.told_to_stop = _something_came(self._runner)
        self.saw_its_end |= self.told_to_stop
        return self.saw_its_end

    def warn(self, text: str, *, item: str | None = None) -> None:
        self.send(frames.Warned(text_of(text, 1_000), None if item is None else text_of(item, 1_000)))

    def progress(self, done: int, total: int | None = None, text: str = "") -> None:
        self.send(frames.Progressed(whole(done), whole(total), text_of(text, 500)))

    def say(self, level: str, event: str, fields: dict[str, object]) -> None:
        shown = {text_of(name, 100): text_of(value, 2_000) for name, value in list(fields.items())[:_FIELDS_KEPT]}
        self.send(frames.Said(level, text_of(event, 2_000), shown))

    def write(self, stream: str, text: str) -> None:
        """Printed by Python: on the same way as everything that programs and libraries write by themselves."""
        os.write(1 if stream == "stdout" else 2, text.encode(errors="replace"))

    def send(self, frame: frames.Frame) -> None:
        try:
            with self._guard:
                frames.send(self._runner, frame)
        except OSError:
            return


class Log:
    def __init__(self, context: Context) -> None:
        self._context = context

    def info(self, event: str, /, **fields: object) -> None:
        self._context.say("info", event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        self._context.say("warning", event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        self._context.say("error", event, fields)


def main(runner: socket.socket) -> None:
    """Perform what the runner asks for, say what came of it, and end."""
    asked = _asked(runner)
    context = Context(runner, asked)
    voices.speak_in_this_process_for(context)
    pid = os.getpid()
    ended = _perform(jobs[asked.job_type], asked, context)
    if os.getpid() != pid:
        os._exit(0)  # a child that the job forked, and that came back out of it
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    context.send(ended)
    os._exit(0)


def _asked(runner: socket.socket) -> frames.Perform:
    reader = frames.Reader()
    while True:
        for frame in reader.feed(runner.recv(65536) or os._exit(1)):
            if isinstance(frame, frames.Perform):
                return frame


def _perform(job: Job, asked: frames.Perform, context: Context) -> frames.Ended:
    outcome: Returned | Raised | None
    try:
        params = msgspec.json.decode(asked.params, type=job.params_type)
        if inspect.iscoroutinefunction(job.function):
            value = asyncio.run(_on_a_loop(job, params, context))
        else:
            value = job.function(context, params)
        outcome = as_result(value)
    except asyncio.CancelledError:
        # Told to stop, or the job's own doing.
        outcome = None if context.told_to_stop else Raised("the job cancelled itself", "CancelledError")
    except BaseException as error:
        outcome = as_raised(job, exited(error) if isinstance(error, EXITS) else error)
    return frames.Ended(outcome, context.saw_its_end)


async def _on_a_loop(job: Job, params: Any, context: Context) -> Any:
    task = asyncio.ensure_future(job.function(context, params))

    def told_to_stop() -> None:
        loop.remove_reader(context._runner)
        context.told_to_stop = context.saw_its_end = True
        task.cancel()

    loop = asyncio.get_running_loop()
    loop.add_reader(context._runner, told_to_stop)
    return await task


def _something_came(runner: socket.socket) -> bool:
    """The runner has only one more thing to say, and where it is gone its attempts are too."""
    try:
        runner.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
