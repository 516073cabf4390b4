"""Processes of an attempt: found, measured and ended for certain, those among them that left its session too.

Linux keeps them together: an orphan goes to its nearest ancestor that asked for it (a subreaper). An attempt's process
asks while it lives, and the fork server behind it, so that nothing an attempt ever started is out of reach.
"""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_PAGE = os.sysconf("SC_PAGE_SIZE")
_libc = ctypes.CDLL(None, use_errno=True) if LINUX else None


def adopt_orphans() -> None:
    """What this process's descendants leave behind becomes its own child."""
    if _libc is not None:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent(parent: int) -> None:
    """End this process when `parent`, which made it, ends however it may; at once where it has ended already."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def children(pid: int) -> list[int]:
    """Living and dead ones that nobody has waited for."""
    try:
        return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in _words(task / "children")]
    except OSError:
        return [] if LINUX else _children_elsewhere(pid)


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def _children_elsewhere(pid: int) -> list[int]:
    import psutil

    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.Error:
        return []


def tree(pid: int) -> Iterator[int]:
    """The process and all its descendants."""
    yield pid
    for child in children(pid):
        yield from tree(child)


def end_tree(pid: int) -> None:
    """Kill the process and all its descendants: first stopped, so that none of them makes another one meanwhile."""
    stopped: set[int] = set()
    while found := [each for each in tree(pid) if each not in stopped]:
        for each in found:
            _signal(each, signal.SIGSTOP)
            stopped.add(each)
    for each in stopped:
        _signal(each, signal.SIGKILL)


def _signal(pid: int, signum: signal.Signals) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, signum)


def memory(pid: int) -> int:
    """Bytes of memory that this process has for itself, shared libraries and files not counted."""
    words = _words(Path(f"/proc/{pid}/statm"))
    return (int(words[1]) - int(words[2])) * _PAGE if words else 0


def data_size() -> int:
    """Bytes that RLIMIT_DATA counts of this process now."""
    words = _words(Path("/proc/self/statm"))
    return int(words[5]) * _PAGE if words else 0
