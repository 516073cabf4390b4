"""Who may do what on NATS: the users of the shipped server configurations and their permissions.

Who triggered a run is read off the subject, so these permissions are what makes `CRON` and `ADMIN` true:
only the scheduler can publish on `jobs.trigger.*.cron`, only the API on `jobs.trigger.*.admin`.
"""

import json
from collections.abc import Mapping

from kronik import subjects
from msgspec import Struct

_STREAM, _LOG = subjects.STREAM, subjects.LOG_STREAM

PROVISIONER, API, SCHEDULER, RUNNER, OPERATOR, SYSTEM = (
    "provisioner",
    "api",
    "scheduler",
    "runner",
    "operator",
    "system",
)


class Permissions(Struct, frozen=True, kw_only=True):
    """Subjects that a user may publish on and subscribe to; what is denied wins."""

    publish: tuple[str, ...]
    deny: tuple[str, ...] = ()
    subscribe: tuple[str, ...]


def _consumers(stream: str) -> tuple[str, ...]:
    """What reading a stream through a consumer of one's own takes."""
    return (
        f"$JS.API.CONSUMER.CREATE.{stream}.>",
        f"$JS.API.CONSUMER.DELETE.{stream}.*",
        f"$JS.API.CONSUMER.MSG.NEXT.{stream}.*",
    )


_READ = (
    "$JS.API.INFO",
    "$JS.API.STREAM.INFO.*",
    "$JS.API.STREAM.NAMES",
    "$JS.API.CONSUMER.INFO.*.*",
    "$JS.API.CONSUMER.NAMES.*",
    "$JS.API.CONSUMER.LIST.*",
    f"$JS.API.DIRECT.GET.{_STREAM}",
    f"$JS.API.DIRECT.GET.{_STREAM}.>",
    *_consumers(_STREAM),
)


def _service(name: str, *publish: str) -> Permissions:
    return Permissions(
        publish=(*_READ, *publish),
        subscribe=(f"_INBOX_{name}.>", subjects.ALL, subjects.LOG_ALL, "$SRV.>", "$JS.EVENT.ADVISORY.>"),
    )


def _run_events(*names: str) -> tuple[str, ...]:
    return tuple(f"jobs.run.*.*.{name}" for name in names)


PERMISSIONS: Mapping[str, Permissions] = {
    PROVISIONER: Permissions(publish=("$JS.API.>",), subscribe=(f"_INBOX_{PROVISIONER}.>",)),
    API: _service(
        API,
        "jobs.trigger.*.admin",
        *_run_events("cancel_requested"),
        "jobs.schedule.*",
        f"$JS.API.DIRECT.GET.{_LOG}",
        f"$JS.API.DIRECT.GET.{_LOG}.>",
        *_consumers(_LOG),
    ),
    SCHEDULER: _service(
        SCHEDULER, "jobs.trigger.*.cron", "jobs.slot.*.*", *_run_events("failed", "cancelled", "abandoned")
    ),
    RUNNER: _service(
        RUNNER,
        *_run_events(*sorted(set(subjects.RUN_EVENTS) - {"cancel_requested"})),
        "jobs.definition.*",
        subjects.LOG_ALL,
        f"$JS.API.CONSUMER.DURABLE.CREATE.{_STREAM}.*",
        "$JS.ACK.>",
    ),
    OPERATOR: Permissions(
        publish=("jobs.trigger.*.*", "$JS.API.>", "$JS.ACK.>", "$SRV.>"),
        deny=(
            "jobs.trigger.*.cron",
            "jobs.trigger.*.admin",
            *(
                f"$JS.API.STREAM.{verb}"
                for verb in (
                    "CREATE.*",
                    "UPDATE.*",
                    "DELETE.*",
                    "PURGE.*",
                    "MSG.DELETE.*",
                    "RESTORE.*",
                    "PEER.REMOVE.*",
                )
            ),
        ),
        subscribe=(">",),
    ),
}


def accounts(passwords: Mapping[str, str]) -> str:
    """The `accounts` of a server configuration. passwords: of every user in PERMISSIONS, and of `system`."""
    users = [_user(name, passwords[name], permissions) for name, permissions in PERMISSIONS.items()]
    system = {"user": SYSTEM, "password": passwords[SYSTEM]}
    tree = {"KRONIK": {"jetstream": "enabled", "users": users}, "SYS": {"users": [system]}}
    return f"accounts: {json.dumps(tree, indent=2)}\nsystem_account: SYS\n"


def _user(name: str, password: str, permissions: Permissions) -> dict[str, object]:
    return {
        "user": name,
        "password": password,
        "permissions": {
            "publish": {"allow": permissions.publish, "deny": permissions.deny},
            "subscribe": {"allow": permissions.subscribe},
            # Requests to `nats micro` endpoints are answered on the asker's inbox.
            "allow_responses": True,
        },
    }


def url(user: str, password: str, port: int) -> str:
    return f"nats://{user}:{password}@127.0.0.1:{port}"
