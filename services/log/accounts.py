"""Who may do what on NATS: the accounts of the shipped server configurations.

nats-server answers a request on whatever subject the client names as its reply and asks for no right to it, and a
push consumer delivers wherever its maker says: within one account everybody could write everybody's events.
So the streams live in an account that nobody but the administrator is in, and each role and each service has an
account of its own that imports exactly its part: what is answered stays inside the account of who asked.
Who triggered a run is read off the subject, so these imports are what makes `CRON` and `ADMIN` true.

How a call to JetStream crosses over. A client says `$JS.API.STREAM.INFO.JOBS`, as every client does. Its account
maps that to `K.API.STREAM.INFO.JOBS`, which it imports: an imported `$JS.API.…` would be answered twice, first by
its own account, which has no JetStream. A client that says `K.…` itself is mapped to nowhere.

Consumers are told apart by name, which no wildcard can do: so the mapping spells the name's first characters
as a token of their own (`Own`), or breaks the name at its dashes (`NoDash`), and only what is allowed is imported.
"""

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kronik import subjects
from kronik.errors import InvalidName
from msgspec import Struct

from services.log import instances

_STREAM, _LOG = subjects.STREAM, subjects.LOG_STREAM
_HOME, _SYSTEM_ACCOUNT = "KRONIK", "SYS"

PROVISIONER, API, SCHEDULER, RUNNER, OPERATOR, ARCHIVIST, ADMINISTRATOR, SYSTEM = (
    "provisioner",
    "api",
    "scheduler",
    "runner",
    "operator",
    "archivist",
    "administrator",
    "system",
)

_CLIENT, _CROSSING, _NOWHERE = "$JS.API.", "K.API.", "nobody.listens.here.>"
_NAME_LETTERS = 7
"""As many as `runner-`, `history` and `schedul` have."""
_ANSWERS = "_INBOX.>"
LIMITS = {"max_connections": 500, "max_subscriptions": 10_000}
"""Of each other service, so that none takes what all have: the server's connections, and its memory."""
STORED_RUNS = "stored.jobs.run.>"
"""Where another service hears of runs, live: what the stream hands on of its events of runs."""


class Call(Struct, frozen=True):
    """A call to JetStream, below `$JS.API.`; one of a consumer has its name as the first `*`."""

    api: str


class Own(Call, frozen=True):
    """A call about a consumer whose name begins so; of exactly _NAME_LETTERS characters."""

    begins: str


class NoDash(Call, frozen=True):
    """A call about a consumer without a `-` in its name. Kronik's own all have one.

    There is none for a consumer without a name: such a call may name one in its body, and so change it.
    """


class Part(Struct, frozen=True, kw_only=True):
    """What an account imports. offers, asks: `nats micro` endpoints that it has, and whose it may ask.

    among_us: a role of which there may be many processes, who tell each other their names within the account.
    tells: what its own clients say to each other, and others may hear. hears: of whom, and what.
    """

    publish: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    subscribe: tuple[str, ...] = ()
    offers: bool = False
    among_us: bool = False
    asks: str | None = None
    tells: str | None = None
    hears: tuple[str, str] | None = None


_LOOK = (
    Call("INFO"),
    Call("STREAM.INFO.*"),
    Call("STREAM.NAMES"),
    Call("STREAM.LIST"),
    Call("CONSUMER.INFO.*.*"),
    Call("CONSUMER.NAMES.*"),
    Call("CONSUMER.LIST.*"),
)
_READ = (Call(f"DIRECT.GET.{_STREAM}"), Call(f"DIRECT.GET.{_STREAM}.>"))
_READ_LOG = (Call(f"DIRECT.GET.{_LOG}"), Call(f"DIRECT.GET.{_LOG}.>"))


def _consumers(begins: str) -> tuple[Call, ...]:
    """Following the stream through a consumer of one's own, named so."""
    return (
        Own(f"CONSUMER.CREATE.{_STREAM}.*", begins),
        Own(f"CONSUMER.CREATE.{_STREAM}.*.>", begins),
        Own(f"CONSUMER.DELETE.{_STREAM}.*", begins),
        Own(f"CONSUMER.MSG.NEXT.{_STREAM}.*", begins),
    )


_ANY_CONSUMER = (
    NoDash(f"CONSUMER.CREATE.{_STREAM}.*"),
    NoDash(f"CONSUMER.CREATE.{_STREAM}.*.>"),
    NoDash(f"CONSUMER.DURABLE.CREATE.{_STREAM}.*"),
    NoDash(f"CONSUMER.DELETE.{_STREAM}.*"),
    NoDash(f"CONSUMER.MSG.NEXT.{_STREAM}.*"),
)


def _run_events(*names: str) -> tuple[str, ...]:
    return tuple(f"jobs.run.*.*.{name}" for name in names)


PARTS: Mapping[str, Part] = {
    PROVISIONER: Part(
        publish=("jobs.service.*",),
        calls=(
            *_LOOK,
            *_READ,
            *(Call(f"STREAM.{verb}.{name}") for verb in ("CREATE", "UPDATE") for name in (_STREAM, _LOG)),
        ),
    ),
    API: Part(
        publish=("jobs.trigger.*.admin", "jobs.refused.*.admin", *_run_events("cancel_requested"), "jobs.schedule.*"),
        calls=(*_LOOK, *_READ, *_READ_LOG, *_consumers("history")),
        subscribe=("stored.jobs.>", "stored.joblog.>"),
        among_us=True,
        hears=(RUNNER, subjects.PRESENCE),
    ),
    SCHEDULER: Part(
        publish=(
            "jobs.trigger.*.cron",
            "jobs.trigger.*.chain",
            "jobs.slot.*.*",
            *_run_events("failed", "cancelled", "abandoned"),
        ),
        calls=(*_LOOK, *_READ, *_consumers("schedul")),
        subscribe=("stored.jobs.>",),
        offers=True,
        among_us=True,
    ),
    RUNNER: Part(
        publish=(
            *_run_events(*sorted(set(subjects.RUN_EVENTS) - {"cancel_requested"})),
            "jobs.definition.*",
            subjects.LOG_ALL,
            f"$JS.ACK.{_STREAM}.>",
        ),
        calls=(
            *_LOOK,
            *_READ,
            Own(f"CONSUMER.CREATE.{_STREAM}.*.jobs.trigger.*.*", "runner-"),
            Own(f"CONSUMER.MSG.NEXT.{_STREAM}.*", "runner-"),
        ),
        subscribe=("stored.jobs.>",),
        among_us=True,
        tells=subjects.PRESENCE,
    ),
    OPERATOR: Part(
        calls=(*_LOOK, *_READ, *_READ_LOG, Call("STREAM.MSG.GET.*"), *_ANY_CONSUMER),
        subscribe=("stored.jobs.>", "stored.joblog.>", "$JS.EVENT.ADVISORY.>", _ANSWERS),
        asks=SCHEDULER,
        hears=(RUNNER, subjects.PRESENCE),
    ),
    ARCHIVIST: Part(
        calls=(*_LOOK, *_READ, *_consumers("archive"), Call(f"STREAM.PURGE.{_STREAM}")),
        subscribe=("stored.jobs.>",),
    ),
}
"""The accounts of Kronik's own roles; the administrator is in the streams' own and may do everything."""

USERS = (*PARTS, ADMINISTRATOR, SYSTEM)


class Service(Struct, frozen=True):
    """Another service that is let in. runs: the jobs that it may run, for a runner of one's own; none for most."""

    password: str
    runs: tuple[str, ...] = ()


def service_part(name: str, runs: Iterable[str] = ()) -> Part:
    """Of another service: to ask for runs in its own name, and to see what becomes of runs. Raises InvalidName.

    runs: it is also a runner of these jobs, and of no others: it can't end, define or take the runs of any other job.
    """
    if name in USERS:
        raise InvalidName(f"service {name!r}: {', '.join(USERS)} are Kronik's own users")
    asks = Part(
        publish=(f"jobs.trigger.*.{subjects.check_service(name)}",),
        calls=(Call(f"DIRECT.GET.{_STREAM}.jobs.run.>"),),
        subscribe=(STORED_RUNS,),
    )
    jobs = tuple(map(subjects.check_job_type, runs))
    return _runner_of(asks, jobs) if jobs else asks


def _runner_of(asks: Part, jobs: Sequence[str]) -> Part:
    """What `runner` may, for these jobs alone: here every name is known, and none has to be guarded by its letters."""
    consumers = {job: subjects.runner_consumer(job) for job in jobs}
    events = PARTS[RUNNER].publish
    return Part(
        publish=(
            *asks.publish,
            *(
                event.replace("jobs.run.*", f"jobs.run.{job}")
                for event in events
                if "jobs.run." in event
                for job in jobs
            ),
            *(subject for job in jobs for subject in (subjects.definition(job), f"joblog.{job}.*")),
            *(f"$JS.ACK.{_STREAM}.{consumer}.>" for consumer in consumers.values()),
        ),
        calls=(
            *_LOOK,
            *_READ,
            *(Call(f"CONSUMER.CREATE.{_STREAM}.{own}.jobs.trigger.{job}.*") for job, own in consumers.items()),
            *(Call(f"CONSUMER.MSG.NEXT.{_STREAM}.{own}") for own in consumers.values()),
        ),
        subscribe=PARTS[RUNNER].subscribe,
        among_us=True,
    )


def accounts(passwords: Mapping[str, str], services: Mapping[str, Service] | None = None) -> str:
    """The `accounts` of a server configuration. passwords: one for each of USERS; services: other services' own."""
    others = {
        f"service-{name}": {**_account(service_part(name, of.runs), name, of.password), "limits": LIMITS}
        for name, of in (services or {}).items()
    }
    tree = {
        _HOME: _home(passwords[ADMINISTRATOR]),
        **{name: _account(part, name, passwords[name]) for name, part in PARTS.items()},
        **others,
        _SYSTEM_ACCOUNT: {"users": [{"user": SYSTEM, "password": passwords[SYSTEM]}]},
    }
    return f"accounts: {json.dumps(tree, indent=2)}\nsystem_account: {_SYSTEM_ACCOUNT}\n"


def _home(password: str) -> dict[str, Any]:
    """The streams' account. It offers everything; what is taken stands in the others, which are all written here."""
    return {
        "jetstream": "enabled",
        "exports": [
            {"service": subjects.ALL},
            {"service": subjects.LOG_ALL},
            {"service": "$JS.API.>", "response_type": "stream"},
            {"service": f"$JS.ACK.{_STREAM}.>"},
            {"stream": "stored.>"},
            {"stream": "$JS.EVENT.ADVISORY.>"},
            {"stream": _ANSWERS},
        ],
        "users": [{"user": ADMINISTRATOR, "password": password}],
    }


def _account(part: Part, user: str, password: str) -> dict[str, Any]:
    services = [{"service": {"account": _HOME, "subject": subject}} for subject in part.publish]
    streams = [{"stream": {"account": _HOME, "subject": subject}} for subject in part.subscribe]
    micro = [{"service": {"account": part.asks, "subject": "$SRV.>"}}] if part.asks else []
    heard = [{"stream": {"account": part.hears[0], "subject": part.hears[1]}}] if part.hears else []
    offered: list[dict[str, str]] = [{"service": "$SRV.>", "response_type": "stream"}] if part.offers else []
    told = [{"stream": part.tells}] if part.tells else []
    return {
        "mappings": {**{_CLIENT + call.api: _mapped(call) for call in part.calls}, "K.>": _NOWHERE},
        "exports": [*offered, *told],
        "imports": [*services, *map(_imported, part.calls), *streams, *micro, *heard],
        "users": [{"user": user, "password": password, "permissions": _permissions(part)}],
    }


def _mapped(call: Call) -> str:
    """What the account makes of the call that a client makes."""
    path = _numbered(call.api)
    match call:
        case Own():
            return f"{_CROSSING}{{{{left(1,{_NAME_LETTERS})}}}}.{path}"
        case NoDash():
            return _CROSSING + path.replace("{{wildcard(1)}}", "{{split(1,-)}}", 1)
        case _:
            return _CROSSING + path


def _imported(call: Call) -> dict[str, Any]:
    local = f"{_CROSSING}{call.begins}.{call.api}" if isinstance(call, Own) else _CROSSING + call.api
    return {"service": {"account": _HOME, "subject": _CLIENT + call.api}, "to": local}


def _numbered(pattern: str) -> str:
    """`A.*.B.*` as a mapping's destination says it: with its wildcards counted."""
    pieces = pattern.split("*")
    return pieces[0] + "".join(f"{{{{wildcard({n})}}}}{piece}" for n, piece in enumerate(pieces[1:], 1))


def _permissions(part: Part) -> dict[str, Any]:
    """The same once more: a subject that is not imported goes nowhere, and this way the client is told."""
    asked = ("$SRV.>",) if part.asks else ()
    told = (part.tells,) if part.tells else ()
    heard = ("$SRV.>",) if part.offers else part.hears[1:] if part.hears else told
    names = (instances.SUBJECTS,) if part.among_us else ()
    return {
        "publish": {"allow": [*part.publish, *([f"{_CROSSING}>"] if part.calls else []), *asked, *told, *names]},
        "subscribe": {"allow": [_ANSWERS, *part.subscribe, *heard, *names]},
        # Requests to `nats micro` endpoints are answered on the asker's inbox.
        **({"allow_responses": True} if part.offers else {}),
    }


def new_password() -> str:
    """Without a character that means something in a URL, a shell or a configuration file."""
    return secrets.token_hex(16)


def url(user: str, password: str, port: int) -> str:
    return f"nats://{user}:{password}@127.0.0.1:{port}"
