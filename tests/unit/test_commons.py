"""What a job changed of its process is not what the next one finds."""

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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from services.runner.commons import Commons


def _nowhere() -> None:
    gone = Path("gone-in-a-moment")
    gone.mkdir()
    os.chdir(gone)
    Path("../gone-in-a-moment").resolve().rmdir()


CHANGES: list[tuple[Callable[[], Any], Callable[[], object]]] = [
    (os.getcwd, lambda: os.chdir("/")),
    (os.getcwd, _nowhere),
    (lambda: dict(os.environ), os.environ.clear),
    (lambda: os.environ.get("KRONIK_ODD"), lambda: os.environ.update(KRONIK_ODD="1")),
    (lambda: sys.stdout, lambda: setattr(sys, "stdout", None)),
    (lambda: sys.path[:], sys.path.clear),
    (sys.getrecursionlimit, lambda: sys.setrecursionlimit(10_000)),
    (sys.getswitchinterval, lambda: sys.setswitchinterval(3)),
    (gc.isenabled, gc.disable),
    (socket.getdefaulttimeout, lambda: socket.setdefaulttimeout(0.001)),
    (lambda: locale.setlocale(locale.LC_ALL), lambda: locale.setlocale(locale.LC_ALL, "C")),
    (lambda: warnings.filters[:], lambda: warnings.simplefilter("ignore")),
    (lambda: logging.root.manager.disable, logging.disable),
    (lambda: logging.root.handlers[:], logging.root.handlers.clear),
    (lambda: sys.excepthook, lambda: setattr(sys, "excepthook", None)),
    (lambda: threading.excepthook, lambda: setattr(threading, "excepthook", None)),
    (structlog.get_config, lambda: structlog.configure(processors=[])),
]


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path) -> Iterator[None]:
    with contextlib.chdir(tmp_path):
        yield


@pytest.mark.parametrize(("read", "change"), CHANGES)
async def test_what_an_attempt_changed_is_put_back(read: Callable[[], Any], change: Callable[[], object]) -> None:
    before, commons = read(), Commons()
    with commons:
        change()
    await asyncio.sleep(0)
    assert read() == before


async def test_what_a_neighbour_may_be_using_is_put_back_behind_it() -> None:
    commons, before = Commons(), Path.cwd()
    with commons:
        os.chdir("/")
        with commons:
            logging.disable()
        await asyncio.sleep(0)
        assert (Path.cwd(), logging.root.manager.disable) == (Path("/"), 0)
    await asyncio.sleep(0)
    assert Path.cwd() == before
