"""Commands end at Ctrl-C, whatever the libraries under them do with a cancellation."""

import asyncio
import os
import signal

import pytest

from services.infra.lifecycle import run_until_ctrl_c


async def deaf(cancelled: list[int]) -> None:
    """As a library that swallows one cancellation and goes on."""
    os.kill(os.getpid(), signal.SIGINT)
    while len(cancelled) < 2:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(1)


async def answer() -> int:
    return 42


def test_one_ctrl_c_ends_work_that_swallows_its_first_cancellation() -> None:
    cancelled: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        run_until_ctrl_c(deaf(cancelled))
    assert len(cancelled) == 2


def test_work_that_ends_by_itself_is_answered() -> None:
    assert run_until_ctrl_c(answer()) == 42
