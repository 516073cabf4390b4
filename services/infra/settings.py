"""What can be set from outside: one frozen object per service, checked before anything connects.

Each field is the environment variable of its name in capitals behind `KRONIK_`: `nats_url` is `KRONIK_NATS_URL`.
"""

import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin

import msgspec
from kronik import KronikError
from msgspec import Meta, Struct

from services.infra.printable import printable

Port = Annotated[int, Meta(ge=0, le=65535)]
Replicas = Annotated[int, Meta(ge=1, le=5)]
Seconds = Annotated[float, Meta(gt=0)]
NatsUrl = Annotated[str, Meta(pattern=r"^(nats|tls|ws|wss)://")]
LogFormat = Literal["auto", "console", "json"]
LogLevel = Literal["debug", "info", "warning", "error", "critical"]
BasePath = Annotated[str, Meta(pattern=r"^(/[A-Za-z0-9._~-]+)*$")]
DatabaseUrl = Annotated[str, Meta(pattern=r"^postgres(ql)?://")]
_ADDRESS = r"\s*(\*|[0-9]+(\.[0-9]+){3}(/[0-9]+)?|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(/[0-9]+)?)\s*"
Addresses = Annotated[
    str,
    Meta(pattern=f"^{_ADDRESS}(,{_ADDRESS})*$", description="expected IP addresses or networks, by comma, or *"),
]

DEFAULT_JOBS = ",".join(
    f"services.dining.{name}" for name in ("daily_maintenance", "monthly_billing", "heynabo_import")
)


def job_modules(text: str) -> list[str]:
    """The modules that KRONIK_JOBS names; `+` in front adds to the default."""
    if text.startswith("+"):
        text = f"{DEFAULT_JOBS},{text[1:]}"
    return [part.strip() for part in text.split(",")]


class InvalidSettings(KronikError):
    """Settings that are missing or wrong, all of them in one message."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Service(Struct, frozen=True, kw_only=True):
    """What every service needs.

    nats_patience_s: how long NATS may answer nothing before the service ends, with a status that says so.
    clock_file: seconds to add to the machine's clock, for rehearsals; see infra.clock.
    instance: names this process in logs, consumers and `nats` reports.
    """

    nats_url: NatsUrl
    nats_patience_s: Seconds = 120
    log_format: LogFormat = "auto"
    log_level: LogLevel = "info"
    clock_file: Path | None = None
    instance: str = msgspec.field(default_factory=lambda: f"{socket.gethostname().split('.')[0]}-{os.getpid()}")


class ApiSettings(Service, frozen=True, kw_only=True):
    """base_path: where a proxy shows us, `/kronik`; it may take it off what it passes on, or leave it there.

    host, port: where to listen; port 0 picks a free one, which is written to api_port_file where that is set.

    trusted_proxies: addresses, by comma, whose X-Forwarded-For and X-Forwarded-Proto are believed.
    """

    database_url: DatabaseUrl
    host: str = "127.0.0.1"
    port: Port = 8080
    api_port_file: Path | None = None
    base_path: BasePath = ""
    trusted_proxies: Addresses | None = None


class SchedulerSettings(Service, frozen=True, kw_only=True):
    """reconcile_after_s: how long a run may be open without anybody working on it before it is ended."""

    reconcile_after_s: Seconds = 30


class RunnerSettings(Service, frozen=True, kw_only=True):
    """jobs: modules to load, by comma. slots: runs at the same time in this process.

    ack_wait_s: how long a runner may be silent before its runs are handed to another one.
    grace_s: how long running jobs may go on after SIGTERM, a timeout or a cancel.
    """

    jobs: str = DEFAULT_JOBS
    slots: Annotated[int, Meta(ge=1, le=10_000)] = 50
    ack_wait_s: Seconds = 30
    grace_s: Seconds = 20


class ProvisionSettings(Service, frozen=True, kw_only=True):
    """replicas: copies of every event; 3 in a cluster."""

    replicas: Replicas = 1


S = TypeVar("S", bound=Struct)


def read(settings: type[S], environ: Mapping[str, str] = os.environ) -> S:
    """The settings from the environment. Raises InvalidSettings that lists every bad one."""
    values: dict[str, object] = {}
    problems: list[str] = []
    for field in msgspec.structs.fields(settings):
        name = _name(field.name)
        text = environ.get(name, "")
        try:
            if text:
                values[field.name] = _convert(text, field.type)
            elif field.required:
                problems.append(f"{name} is not set")
        except msgspec.ValidationError as error:
            problems.append(f"{name}={_hidden(name, text)!r}: {_expected(field.type) or error}")
        except ValueError as error:
            problems.append(f"{name}={_hidden(name, text)!r}: {error}")
    if problems:
        raise InvalidSettings(problems)
    return settings(**values)


def names(*kinds: type[Struct]) -> set[str]:
    """The environment variables that these are read from."""
    return {_name(field.name) for kind in kinds for field in msgspec.structs.fields(kind)}


def problems(environ: Mapping[str, str], *kinds: type[Struct]) -> list[str]:
    """Every setting which any of these would refuse, and why."""
    found: dict[str, None] = {}
    for kind in kinds:
        try:
            read(kind, environ)
        except InvalidSettings as error:
            found.update(dict.fromkeys(error.problems))
    return list(found)


def refuse(service: str, error: KronikError) -> NoReturn:
    """End a service that can't start: one line on stderr; status 2 for what was set wrongly, as of every command."""
    sys.stderr.write(f"kronik {service}: {printable(str(error))}\n")
    sys.exit(2 if isinstance(error, InvalidSettings) else 1)


def _name(field: str) -> str:
    return f"KRONIK_{field.upper()}"


def _convert(text: str, kind: Any) -> object:
    """Raises ValidationError, and ValueError for a word that is none of those which are allowed."""
    if get_origin(kind) is not Literal:
        return msgspec.convert(text, kind, strict=False, dec_hook=_path)
    allowed = get_args(kind)
    if text.lower() not in allowed:
        raise ValueError(f"may be {', '.join(allowed[:-1])} or {allowed[-1]}")
    return text.lower()


def _expected(kind: Any) -> str:
    """What a setting of this type may be, in words; empty where the error says it better."""
    for one in get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,):
        if get_origin(one) is not Annotated:
            continue
        base, limits = get_args(one)[0], get_args(one)[1]
        if base is int:
            return f"expected a whole number from {limits.ge} to {limits.le}"
        if base is float:
            return f"expected a number above {limits.gt}"
        if limits.pattern is not None:
            return limits.description or f"must match {limits.pattern}"
    return ""


def _path(kind: type, value: object) -> object:
    if kind is Path:
        return Path(str(value))
    raise NotImplementedError(f"no setting can be a {kind}")


def _hidden(name: str, text: str) -> str:
    """Passwords, in addresses too, must not reach a log."""
    secret = name.endswith(("_PASSWORD", "_TOKEN")) or (name.endswith("_URL") and "@" in text)
    return "…" if secret else text
