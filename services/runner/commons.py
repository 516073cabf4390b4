"""What Python has once for a whole process, and a job may have changed for all the others in it.

What the runner itself stands on is put back as soon as an attempt is over, once for all that end at the same moment:
for each by itself it would be a fifth of what a run costs. The rest, which a neighbour may be using for
a moment as it should (`contextlib.chdir`, `redirect_stdout`), is put back as soon as no attempt is under way.
"""

import asyncio
import contextlib
import gc
import locale
import logging
import os
import socket
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog


@dataclass(slots=True)
class _Part:
    read: Callable[[], Any]
    write: Callable[[Any], object]
    kept: Any = field(init=False)

    def __post_init__(self) -> None:
        self.kept = self.read()

    def put_back(self) -> None:
        """Best effort: what can't be read or written any more is left as it is."""
        with contextlib.suppress(Exception):
            if self._changed():
                self.write(self.kept)

    def _changed(self) -> bool:
        try:
            return bool(self.read() != self.kept)
        except Exception:
            return True  # a working directory that is gone


class Commons:
    """As it all is when this is made."""

    def __init__(self) -> None:
        self._at_once = [
            _Part(structlog.get_config, lambda kept: structlog.configure(**kept)),
            _attribute(sys, "excepthook"),
            _attribute(sys, "unraisablehook"),
            _attribute(threading, "excepthook"),
            _attribute(warnings, "showwarning"),
            _attribute(logging.root.manager, "disable"),
            _Part(
                lambda: list(logging.root.handlers), lambda kept: logging.root.handlers.__setitem__(slice(None), kept)
            ),
        ]
        self._when_idle = [
            _Part(os.getcwd, os.chdir),
            _Part(lambda: dict(os.environ), _environment),
            *(_attribute(sys, name) for name in ("stdin", "stdout", "stderr")),
            _Part(lambda: list(sys.path), lambda kept: sys.path.__setitem__(slice(None), kept)),
            _Part(sys.getrecursionlimit, sys.setrecursionlimit),
            _Part(sys.getswitchinterval, sys.setswitchinterval),
            _Part(gc.isenabled, lambda kept: gc.enable() if kept else gc.disable()),
            _Part(socket.getdefaulttimeout, socket.setdefaulttimeout),
            _Part(lambda: locale.setlocale(locale.LC_ALL), lambda kept: locale.setlocale(locale.LC_ALL, kept)),
            _Part(lambda: list(warnings.filters), _filters),
        ]
        self._under_way = 0
        self._due = False

    def __enter__(self) -> None:
        """While an attempt is under way they are borrowed. In the runner's thread alone."""
        self._under_way += 1

    def __exit__(self, *_: object) -> None:
        self._under_way -= 1
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._put_back)

    def _put_back(self) -> None:
        self._due = False
        for part in self._at_once if self._under_way else [*self._at_once, *self._when_idle]:
            part.put_back()


def _attribute(of: Any, name: str) -> _Part:
    return _Part(lambda: getattr(of, name), lambda kept: setattr(of, name, kept))


def _environment(kept: dict[str, str]) -> None:
    for name in os.environ.keys() - kept:
        del os.environ[name]
    os.environ.update(kept)


def _filters(kept: list[Any]) -> None:
    warnings.resetwarnings()  # which also forgets what was decided by the old ones
    warnings.filters[:] = kept  # type: ignore[index]
