"""The code under test without what does not belong to an order of events: sleep, chance, clocks, tasks, log lines."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from services.api.commands import cancel
from services.log import append as event_log
from services.runner import attempt
from services.scheduler import reconciler
from tests.model import tasks


async def _no_sleep(seconds: float) -> None: ...


async def _perform(job: Any, params: Any, context: Any, stop: Any, threads: Any, grace_s: float) -> Any:
    return await threads.perform(context, stop)


def _silent() -> Any:
    def say(*_: object, **__: object) -> None: ...

    return SimpleNamespace(debug=say, info=say, warning=say, error=say)


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every await that is left is a request to NATS, or the job's work."""
    asyncio_by_hand = SimpleNamespace(sleep=_no_sleep, Event=asyncio.Event)
    monkeypatch.setattr(attempt, "asyncio", asyncio_by_hand)
    monkeypatch.setattr(event_log, "asyncio", asyncio_by_hand)
    monkeypatch.setattr(event_log, "monotonic_s", tasks.now_s)
    monkeypatch.setattr(attempt, "perform", _perform)
    monkeypatch.setattr(attempt, "random", SimpleNamespace(random=lambda: 0.0))
    monkeypatch.setattr(cancel, "uuid", SimpleNamespace(uuid4=lambda: SimpleNamespace(hex="cancel")))
    for module in (attempt, reconciler):
        monkeypatch.setattr(module, "log", _silent())
