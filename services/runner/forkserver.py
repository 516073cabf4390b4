"""The fork server: a small process that has the jobs loaded, forks one process per attempt and ends it for certain.

It has one thread and no connection, so that forking it is safe and takes a millisecond or two. Its runner speaks to it
over one socket; where that ends, because the runner was killed, it ends everything it ever forked, and itself.
A process whose own parent is gone has been left behind by an attempt that is over: it is ended too.
"""

import contextlib
import faulthandler
import gc
import os
import resource
import selectors
import signal
import socket
import sys
from dataclasses import dataclass

from kronik import KronikError

from services.runner import frames, isolated, processes, registry, stopping

_LOOK_AT_MEMORY_S = 0.05
_DESCRIPTORS = 3
_ROOM_BEYOND_LIMIT = 256 * 1024 * 1024


@dataclass(slots=True)
class Attempt:
    number: int
    memory_limit: int | None
    over_memory: bool = False


class ForkServer:
    def __init__(self, runner: socket.socket) -> None:
        self._runner = runner
        self._reader = frames.Reader()
        self._attempts: dict[int, Attempt] = {}
        self._descriptors: list[int] = []
        self._own_memory = 0

    def serve(self) -> None:
        """Until the runner is gone."""
        woken, wake = socket.socketpair()
        woken.setblocking(False)
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._own_memory = processes.memory(os.getpid())
        selector = selectors.DefaultSelector()
        selector.register(self._runner, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        frames.send(self._runner, frames.Ready())
        while True:
            limited = any(attempt.memory_limit for attempt in self._attempts.values())
            ready = [key.fileobj for key, _ in selector.select(_LOOK_AT_MEMORY_S if limited else None)]
            if woken in ready:
                with contextlib.suppress(BlockingIOError):
                    woken.recv(4096)
            if self._runner in ready and not self._obey():
                return self._end_all()
            self._look_at_memory()
            self._reap()

    def _obey(self) -> bool:
        """False: the runner is gone."""
        try:
            data, descriptors, *_ = socket.recv_fds(self._runner, 65536, 64)
        except OSError:
            return False
        self._descriptors += descriptors
        for frame in self._reader.feed(data):
            if isinstance(frame, frames.Start):
                mine, self._descriptors = self._descriptors[:_DESCRIPTORS], self._descriptors[_DESCRIPTORS:]
                self._fork(frame, mine)
            elif isinstance(frame, frames.Kill):
                for pid, attempt in self._attempts.items():
                    if attempt.number == frame.number:
                        processes.end_tree(pid)
        return bool(data)

    def _fork(self, start: frames.Start, descriptors: list[int]) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                _become_an_attempt(parent, descriptors, start.memory_limit)
                isolated.main(socket.socket(fileno=descriptors[0]))
            except BaseException:
                faulthandler.dump_traceback()
            finally:
                os._exit(1)
        self._attempts[pid] = Attempt(start.number, start.memory_limit)
        for descriptor in descriptors:
            os.close(descriptor)

    def _look_at_memory(self) -> None:
        for pid, attempt in self._attempts.items():
            if attempt.memory_limit is None or attempt.over_memory:
                continue
            used = sum(processes.memory(each) for each in processes.tree(pid)) - self._own_memory
            if used > attempt.memory_limit:
                attempt.over_memory = True
                processes.end_tree(pid)

    def _reap(self) -> None:
        """Tell of every attempt that is over, once nothing is left of what it started."""
        gone: list[frames.Gone] = []
        while ended := _waited():
            pid, status = ended
            attempt = self._attempts.pop(pid, None)
            if attempt is not None:
                gone.append(frames.Gone(attempt.number, status, attempt.over_memory))
                self._end_orphans()
        for each in gone:
            with contextlib.suppress(OSError):
                frames.send(self._runner, each)

    def _end_orphans(self) -> None:
        """A child of ours that is no attempt was left behind by one."""
        while orphans := [pid for pid in processes.children(os.getpid()) if pid not in self._attempts]:
            for pid in orphans:
                processes.end_tree(pid)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)

    def _end_all(self) -> None:
        for pid in list(self._attempts):
            processes.end_tree(pid)
        self._attempts.clear()
        self._end_orphans()


def _waited() -> tuple[int, int] | None:
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None


def _become_an_attempt(parent: int, descriptors: list[int], memory_limit: int | None) -> None:
    """A session of its own, nothing of the fork server's but its memory, and the attempt's own three descriptors."""
    os.setsid()
    processes.die_with_parent(parent)
    processes.adopt_orphans()
    stopping.defaults()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(descriptors[1], 1)
    os.dup2(descriptors[2], 2)
    os.closerange(3, descriptors[0])
    os.closerange(descriptors[0] + 1, max(descriptors) + 64)
    if memory_limit is not None:
        # The watch above ends what uses too much; this keeps it from taking the machine's memory between two looks.
        most = processes.data_size() + 2 * memory_limit + _ROOM_BEYOND_LIMIT
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    faulthandler.enable(all_threads=False)


def main() -> None:
    runner = socket.socket(fileno=int(sys.argv[1]))
    os.setsid()
    processes.adopt_orphans()
    sys.path.insert(0, os.getcwd())
    try:
        isolated.jobs.update(registry.load(sys.argv[2]))
    except KronikError as error:
        sys.exit(f"kronik runner: {error}")
    gc.collect()
    gc.freeze()
    ForkServer(runner).serve()


if __name__ == "__main__":
    main()
