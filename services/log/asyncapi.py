"""The stream as an AsyncAPI 3.0 document: every subject, every message, and who may write it.

Made from the structs that Kronik itself decodes with, like the schemas. Source: https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

import inspect
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

import msgspec
from kronik import subjects
from kronik.envelope import envelope_of
from kronik.events import RUN_EVENT_NAME, TYPE_OF, AnyEvent, JobDefined, ScheduleChanged, ServiceChanged, Triggered
from msgspec import Struct

API, RUNNER, SCHEDULER, SERVICES, ADMINISTRATOR = "API", "runner", "scheduler", "services", "administrator"

RUN_WRITERS: Final[Mapping[str, tuple[str, ...]]] = {
    "started": (RUNNER,),
    "retrying": (RUNNER,),
    "abandoned": (RUNNER, SCHEDULER),
    "cancel_requested": (API,),
    "completed": (RUNNER,),
    "failed": (RUNNER, SCHEDULER),
    "cancelled": (RUNNER, SCHEDULER),
}
"""Who may publish each event of a run; the last token of its subject."""

_PARAMETERS: Final = {
    "jobType": f"The job, `{subjects.JOB_TYPE_RULE}`.",
    "origin": f"Who asks: `cron`, `admin`, or a service's own name, `{subjects.ORIGIN_RULE}`.",
    "runId": "The run: the stream sequence of its trigger.",
    "outcome": f"What became of the slot: {', '.join(subjects.OUTCOMES)}.",
}
_STORED = "Republished by the server once it is stored, with `Nats-Sequence`, `Nats-Subject` and `Nats-Time-Stamp`."


class Channel(Struct, frozen=True):
    """A family of subjects, what may stand on it, and who may write there."""

    name: str
    address: str
    events: tuple[type[AnyEvent], ...]
    writers: tuple[str, ...]


def channels() -> tuple[Channel, ...]:
    """All of them; every event of TYPE_OF stands on exactly one."""
    runs = [
        Channel(f"run_{name}", f"jobs.run.{{jobType}}.{{runId}}.{name}", (event,), RUN_WRITERS[name])
        for event, name in RUN_EVENT_NAME.items()
    ]
    named = {*RUN_EVENT_NAME, Triggered, JobDefined, ScheduleChanged, ServiceChanged}
    slots = tuple(event for event in TYPE_OF if event not in named)
    return (
        Channel("trigger", "jobs.trigger.{jobType}.{origin}", (Triggered,), (SERVICES, API, SCHEDULER)),
        *runs,
        Channel("slot", "jobs.slot.{jobType}.{outcome}", slots, (SCHEDULER,)),
        Channel("definition", "jobs.definition.{jobType}", (JobDefined,), (RUNNER,)),
        Channel("schedule", "jobs.schedule.{jobType}", (ScheduleChanged,), (API,)),
        Channel("service", "jobs.service.{origin}", (ServiceChanged,), (ADMINISTRATOR,)),
    )


def document() -> dict[str, Any]:
    """The whole document, the same every time."""
    schemas = _schemas()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Kronik",
            "version": version("kronik-services"),
            "description": "Every subject of the stream JOBS, what may stand on it, and who may write it."
            " Other services publish triggers and listen on `stored.jobs.run.>`.",
        },
        "defaultContentType": "application/json",
        "channels": {name: channel for each in channels() for name, channel in _channel_and_its_echo(each)},
        "operations": {name: operation for each in channels() for name, operation in _operations(each)},
        "components": {
            "messages": {TYPE_OF[event]: _message(event) for event in TYPE_OF} | {"params": _params()},
            "schemas": schemas,
            "parameters": {name: {"description": text} for name, text in _PARAMETERS.items()},
        },
    }


def _schemas() -> dict[str, Any]:
    envelopes = [envelope_of(event, type) for event, type in TYPE_OF.items()]
    _, found = msgspec.json.schema_components(envelopes, ref_template="#/components/schemas/{name}")
    for definition in found.values():
        definition["description"] = inspect.cleandoc(definition.get("description", ""))
    return {name: found[name] for name in sorted(found)}


def _channel_and_its_echo(channel: Channel) -> list[tuple[str, dict[str, Any]]]:
    names = [name for name in _PARAMETERS if f"{{{name}}}" in channel.address]
    body = {
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _message_names(channel)},
        "parameters": {name: {"$ref": f"#/components/parameters/{name}"} for name in names},
    }
    written = {"address": channel.address, "description": f"Written by: {', '.join(channel.writers)}.", **body}
    echo = {"address": f"stored.{channel.address}", "description": _STORED, **body}
    return [(channel.name, written), (f"stored_{channel.name}", echo)]


def _operations(channel: Channel) -> list[tuple[str, dict[str, Any]]]:
    """From where Kronik stands: it receives triggers and sends what it stored."""
    receive = {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{channel.name}"},
        "summary": f"Append, by: {', '.join(channel.writers)}",
        "tags": [{"name": writer} for writer in channel.writers],
    }
    send = {"action": "send", "channel": {"$ref": f"#/channels/stored_{channel.name}"}, "summary": "Listen, live"}
    return [(f"append_{channel.name}", receive), (f"listen_{channel.name}", send)]


def _message_names(channel: Channel) -> list[str]:
    names = [TYPE_OF[event] for event in channel.events]
    return ["params", *names] if channel.name == "trigger" else names


def _message(event: type[AnyEvent]) -> dict[str, Any]:
    return {
        "name": TYPE_OF[event],
        "title": event.__name__,
        "summary": inspect.cleandoc(event.__doc__ or "").splitlines()[0],
        "contentType": "application/cloudevents+json",
        "payload": {"$ref": f"#/components/schemas/{event.__name__}Envelope"},
    }


def _params() -> dict[str, Any]:
    return {
        "name": "params",
        "title": "Params alone",
        "summary": "A trigger from another service may be just its params, or empty; see docs/events.md.",
        "payload": {"type": "object"},
    }
