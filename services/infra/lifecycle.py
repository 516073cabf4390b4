"""How tasks end."""

import asyncio
from collections.abc import Iterable
from typing import Any

_AGAIN_AFTER_S = 0.1


async def end(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel the tasks and wait until all have ended; what they raise is dropped.

    One cancellation may be lost: on Python 3.11 `asyncio.wait_for`, which nats-py is full of, returns as if nothing
    had happened when what it waits for completes at that moment. So it is repeated until it is heard.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        done, pending = await asyncio.wait(pending, timeout=_AGAIN_AFTER_S)
        for task in done:
            if not task.cancelled():
                task.exception()
