"""That the event loop goes round: told to the leases' thread, and said where a job held it up for long."""

import asyncio

from services.infra import logs
from services.infra.clock import monotonic_s
from services.runner import stopping
from services.runner.attempt import Attempts

log = logs.get()

_EVERY_S = 0.5
_BLOCKED_S = 1.0


async def tell(attempts: Attempts) -> None:
    """For as long as the runner lives. It waits for nothing: a NATS that hangs is not a loop that does."""
    while True:
        asleep_s = monotonic_s()
        attempts.leases.loop_lives()
        stopping.keep()
        await asyncio.sleep(_EVERY_S)
        late_s = monotonic_s() - asleep_s - _EVERY_S
        if late_s > _BLOCKED_S:
            log.warning("event_loop_blocked", for_s=round(late_s, 1), running=sorted(attempts.holdings))
