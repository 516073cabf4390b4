"""Attempts in processes of their own, seen from the runner: started warm, listened to, and ended for certain."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from kronik import Job, Params

from services.infra import logs
from services.runner import frames
from services.runner.context import Context
from services.runner.outcome import Outcome, Raised, Returned, Stopped, TimedOut, as_result
from services.runner.stop import Stop

log = logs.get()

_KILLED_WITHIN_S = 10.0
_READ = 64 * 1024
_WITH_ITS_SERVER = -1
"""Instead of a wait status: whoever killed the fork server killed all its attempts, and it is not known who."""


class Broken(Exception):
    """The fork server does not start, or ended: what it said last."""


@dataclass(slots=True)
class _Server:
    """One fork server. gone: of the attempts that it has not told the end of."""

    process: subprocess.Popen[bytes]
    socket: socket.socket
    ready: asyncio.Future[None]
    gone: dict[int, asyncio.Future[frames.Gone]] = field(default_factory=dict)
    over: bool = False


class Isolation:
    """Performs attempts in processes; its fork server is started when it is first needed, or again when it is gone."""

    def __init__(self, modules: str) -> None:
        self._modules = modules
        self._server: _Server | None = None
        self._numbers = 0

    def warm_up(self) -> None:
        """Start the fork server now, so that the first attempt need not wait for its imports."""
        self._serving()

    def close(self) -> None:
        """The fork server ends everything it forked as soon as this socket is closed."""
        if self._server is not None:
            _close(self._server)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._server.process.wait(5)

    async def perform(self, job: Job, params: Params, context: Context, stop: Stop, grace_s: float) -> Outcome:
        """As performance.perform; what ignores its end is killed, with everything that it started. Never raises."""
        try:
            server = self._serving()
            await asyncio.shield(server.ready)
            attempt = await self._start(server, job, params, context)
        except (Broken, OSError) as error:
            return Raised(f"no process for this attempt: {error}", "NoProcess")
        return await attempt.outcome(stop, grace_s)

    async def _start(self, server: _Server, job: Job, params: Params, context: Context) -> "_Attempt":
        self._numbers += 1
        ours, theirs = socket.socketpair()
        pipes = [os.pipe(), os.pipe()]
        gone = server.gone[self._numbers] = asyncio.get_running_loop().create_future()
        frames.send(
            server.socket,
            frames.Start(self._numbers, job.memory_limit),
            (theirs.fileno(), pipes[0][1], pipes[1][1]),
        )
        theirs.close()
        for _, write in pipes:
            os.close(write)
        ours.setblocking(False)
        attempt = _Attempt(server, self._numbers, job, context, ours, gone)
        attempt.listen([read for read, _ in pipes])
        asked = frames.Perform(
            job_type=job.job_type,
            params=msgspec.Raw(msgspec.json.encode(params)),
            id=context.id,
            token=context.token,
            attempt=context.attempt,
            triggered_by=context.triggered_by,
            scheduled_for=context.scheduled_for.isoformat() if context.scheduled_for else None,
            correlation_id=context.correlation_id,
            traceparent=context.traceparent,
            now=context.now.isoformat(),
        )
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().sock_sendall(ours, frames.encode(asked))
        return attempt

    def _serving(self) -> _Server:
        if self._server is None or self._server.over:
            if self._server is not None:
                self._server.process.poll()  # else it stays a zombie
            self._server = _start_server(self._modules)
        return self._server


def _start_server(modules: str) -> _Server:
    ours, theirs = socket.socketpair()
    process = subprocess.Popen(
        [sys.executable, "-m", "services.runner.forkserver", str(theirs.fileno()), modules],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
    )
    theirs.close()
    loop = asyncio.get_running_loop()
    server = _Server(process, ours, loop.create_future())
    server.ready.add_done_callback(lambda future: future.exception())
    reader = frames.Reader()

    def heard() -> None:
        try:
            data = ours.recv(_READ)
        except OSError:
            data = b""
        for frame in reader.feed(data):
            if isinstance(frame, frames.Ready) and not server.ready.done():
                server.ready.set_result(None)
            elif isinstance(frame, frames.Gone) and (future := server.gone.pop(frame.number, None)):
                future.set_result(frame)
        if not data:
            _lost(server)

    loop.add_reader(ours, heard)
    return server


def _lost(server: _Server) -> None:
    """Its attempts ended with it."""
    log.error("fork_server_lost", attempts=len(server.gone))
    _close(server)
    if not server.ready.done():
        server.ready.set_exception(Broken("the jobs can't be loaded in a process of their own; see the runner's log"))
    for number, future in server.gone.items():
        future.set_result(frames.Gone(number, _WITH_ITS_SERVER))
    server.gone.clear()


def _close(server: _Server) -> None:
    if not server.over:
        server.over = True
        asyncio.get_running_loop().remove_reader(server.socket)
        server.socket.close()


class _Attempt:
    """One process at work."""

    def __init__(
        self,
        server: _Server,
        number: int,
        job: Job,
        context: Context,
        channel: socket.socket,
        gone: asyncio.Future[frames.Gone],
    ) -> None:
        self._server = server
        self._number = number
        self._job = job
        self._context = context
        self._channel = channel
        self._gone = gone
        self._ended: frames.Ended | None = None
        self._open: dict[int, asyncio.Future[None]] = {}

    def listen(self, outputs: list[int]) -> None:
        """To its words, and to what it and its children print, until all of them have let go."""
        reader = frames.Reader()
        self._follow(self._channel.fileno(), lambda data: self._hear(reader.feed(data)))
        for stream, output in zip(("stdout", "stderr"), outputs, strict=True):
            os.set_blocking(output, False)
            self._follow(output, lambda data, stream=stream: self._printed(stream, data))  # type: ignore[misc]

    def _follow(self, descriptor: int, heard: Callable[[bytes], object]) -> None:
        loop = asyncio.get_running_loop()
        self._open[descriptor] = loop.create_future()

        def ready() -> None:
            try:
                data = os.read(descriptor, _READ)
                heard(data)
            except BlockingIOError:
                return
            except (OSError, ValueError, msgspec.MsgspecError):
                data = b""
            if not data:
                self._let_go(descriptor)

        loop.add_reader(descriptor, ready)

    def _let_go(self, descriptor: int) -> None:
        """Once, and before it is closed: the number is soon another descriptor's, and the loop must not know it."""
        if not self._open[descriptor].done():
            self._open[descriptor].set_result(None)
            asyncio.get_running_loop().remove_reader(descriptor)
            if descriptor != self._channel.fileno():
                os.close(descriptor)

    def _printed(self, stream: str, data: bytes) -> None:
        self._context.write(stream, data.decode(errors="replace"))

    def _hear(self, heard: list[frames.Frame]) -> None:
        for frame in heard:
            match frame:
                case frames.Said():
                    self._context.say(frame.level, frame.event, dict(frame.fields))
                case frames.Warned():
                    self._context.warn(frame.text, item=frame.item)
                case frames.Progressed() if frame.done is not None:
                    self._context.progress(frame.done, frame.total, frame.text)
                case frames.Ended():
                    self._ended = frame

    async def outcome(self, stop: Stop, grace_s: float) -> Outcome:
        stopped = asyncio.get_running_loop().create_future()
        stop.tell(lambda: stopped.set_result(None))
        timeout_s = self._job.timeout.total_seconds()
        either: list[asyncio.Future[Any]] = [self._gone, stopped]
        await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        told: Outcome | None = None
        if not self._gone.done():
            told = Stopped() if stop.said else TimedOut(self._job.timeout)
            await self._end(grace_s)
        gone = await self._gone
        await asyncio.wait(self._open.values(), timeout=1)
        for descriptor in self._open:
            self._let_go(descriptor)
        self._channel.close()
        return self._judge(gone, told)

    async def _end(self, grace_s: float) -> None:
        """Told, then killed."""
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().sock_sendall(self._channel, frames.encode(frames.Cancel()))
        await asyncio.wait({self._gone}, timeout=grace_s)
        if not self._gone.done():
            log.warning("attempt_killed", run_id=self._context.id)
            with contextlib.suppress(OSError):
                frames.send(self._server.socket, frames.Kill(self._number))
            await asyncio.wait({self._gone}, timeout=_KILLED_WITHIN_S)
        if not self._gone.done():
            self._server.process.kill()

    def _judge(self, gone: frames.Gone, told: Outcome | None) -> Outcome:
        ended = self._ended
        if ended is not None and ended.outcome is not None and (told is None or not ended.saw_its_end):
            if told is not None and isinstance(ended.outcome, Raised):
                return told
            return self._checked(ended.outcome)
        if told is not None:
            return told
        if gone.status == _WITH_ITS_SERVER:
            return Stopped()
        if gone.over_memory:
            return Raised(f"it used more than its memory_limit of {_mib(self._job.memory_limit or 0)}", "MemoryLimit")
        if ended is not None:
            return Raised("the job cancelled itself", "CancelledError")
        return Raised(f"its process {how_it_ended(gone.status)}", "ProcessDied")

    def _checked(self, outcome: Returned | Raised) -> Outcome:
        """Not believed unseen: what the process says of its result is what somebody's code makes it say."""
        if isinstance(outcome, Raised):
            if outcome.error_type == "MemoryError" and self._job.memory_limit:
                return msgspec.structs.replace(
                    outcome, error=f"{outcome.error} (its memory_limit is {_mib(self._job.memory_limit)})"
                )
            return outcome
        return as_result(outcome.result)


def how_it_ended(status: int) -> str:
    """A wait status in words."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"ended with exit status {code} before the job was done"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = " (out of memory?)" if name == "SIGKILL" else ""
    return f"was killed by {name}{hint} before the job was done"


def _mib(size: int) -> str:
    return f"{size / 1024 / 1024:g} MiB"
