"""How many runs each outside service may have waiting: the newest `kronik.service.changed.v1` of each."""

from collections.abc import Sequence

from kronik import subjects
from kronik.errors import InvalidName
from kronik.events import ServiceChanged

from services.log.stored import Stored


class Quotas:
    """Fed with everything that is announced, in stream order."""

    def __init__(self) -> None:
        self.by_origin: dict[str, int] = {}

    async def take(self, batch: Sequence[Stored]) -> None:
        for stored in batch:
            try:
                place = subjects.parse(stored.subject)
            except InvalidName:
                continue
            if isinstance(place, subjects.ServiceSubject) and (recorded := stored.decode_or_none()):
                self._note(place.origin, recorded.data)

    def _note(self, origin: str, changed: object) -> None:
        if not isinstance(changed, ServiceChanged):
            return
        self.by_origin.pop(origin, None)
        if changed.queue is not None and not changed.removed:
            self.by_origin[origin] = changed.queue
