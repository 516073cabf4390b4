"""Settings that nothing reads: one that is misspelt would otherwise change nothing, without a word."""

import os
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final

from msgspec import Struct

from services.infra import logs, settings

log = logs.get()

_OF_COMMANDS: Final = "URL TOKEN STATE_DIR NATS_ACCOUNTS"
_OF_JOBS: Final = "DINING_DATABASE_URL HEYNABO_CRON HEYNABO_PASSWORD HEYNABO_URL HEYNABO_USERNAME"
_OF_NATS_USERS: Final = "PROVISIONER API SCHEDULER RUNNER OPERATOR ARCHIVIST ADMINISTRATOR SYSTEM ROUTE"
_OF_TESTS: Final = "CHROMIUM FAILPOINT REQUIRE_BROWSER REQUIRE_FAULTS REQUIRE_TOOLS"
_TOLD_TO_COMMANDS: Final = (
    "PARAMS RUN_ID ATTEMPT JOB_TYPE TRIGGERED_BY NOW SCHEDULED_FOR CORRELATION_ID TRACEPARENT MIGRATE_URL"
)
"""By us: what a job runs may be a command of ours, which then finds them."""

KNOWN: Final = frozenset(
    {
        *settings.names(
            settings.ApiSettings, settings.SchedulerSettings, settings.RunnerSettings, settings.ProvisionSettings
        ),
        *(f"KRONIK_{name}" for name in f"{_OF_COMMANDS} {_OF_JOBS} {_OF_TESTS} {_TOLD_TO_COMMANDS}".split()),
        *(f"KRONIK_NATS_{user}_PASSWORD" for user in _OF_NATS_USERS.split()),
    }
)


class Unread(Struct, frozen=True):
    """A KRONIK_… that is set and that nothing of Kronik reads. meant: the setting with almost that name."""

    name: str
    meant: str | None

    def __str__(self) -> str:
        return f"{self.name} is set, but is no setting of Kronik" + (f"; {self.meant} is one" if self.meant else "")


def unread(environ: Mapping[str, str] = os.environ) -> list[Unread]:
    """Where nothing is meant it may be somebody's own, as a job's."""
    ours = (name for name in sorted(environ) if name.startswith("KRONIK_") and not name.startswith("KRONIK_PARAM_"))
    return [Unread(name, _nearest(name)) for name in ours if name not in KNOWN]


def warn(environ: Mapping[str, str] = os.environ) -> None:
    for one in unread(environ):
        log.warning("unknown_setting", name=one.name, meant=one.meant)


def _nearest(name: str) -> str | None:
    found = get_close_matches(name, sorted(KNOWN), 1, cutoff=0.8)
    return found[0] if found else None
