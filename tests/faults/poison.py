"""What other services, hostile writers and newer versions may put into the stream: sixty inputs that nobody expects.

Everything here is published raw; nothing of Kronik's codec takes part.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

KNOWN, OTHER = "NAP", "ALONE"
LIMIT = 1_000_000
"""Bytes: nearly what the server accepts."""


@dataclass(frozen=True)
class Dose:
    """One input. shows: where it has to be seen: as a `failed` run, `parked`, or as an `ok` one that hurts nobody.

    says: part of the error, or of the reason why it is parked. expects: it is written as an event has to be.
    """

    name: str
    subject: str
    body: bytes
    shows: str
    says: str = ""
    expects: bool = True


@dataclass(frozen=True)
class Targets:
    """Runs that are there already: one that is finished, one that waits in line."""

    finished: int
    open: int


def trigger(name: str, body: bytes | str, says: str = "", shows: str = "failed", job: str = KNOWN) -> Dose:
    return Dose(name, f"jobs.trigger.{job}.crm", body if isinstance(body, bytes) else body.encode(), shows, says)


def event(kind: str, data: Any, **attributes: Any) -> bytes:
    envelope = {
        "specversion": "1.0",
        "id": f"poison-{kind}-{abs(hash(str((data, attributes))))}",
        "source": "/elsewhere",
        "type": kind,
        "time": "2026-01-01T00:00:00Z",
        "data": data,
    }
    return json.dumps({**envelope, **attributes}).encode()


def doses(targets: Targets) -> list[Dose]:
    return [*_triggers(), *_run_events(targets), *_others(), *_subjects()]


def _triggers() -> Iterator[Dose]:
    deep = lambda depth: '{"a":' * depth + "1" + "}" * depth  # noqa: E731
    yield trigger("malformed JSON", '{"ms":', "not valid JSON")
    yield trigger("not an object", "[1,2]", "must be a JSON object")
    yield trigger("wrong type", '{"ms":"long"}', "ms")
    yield trigger("unknown param", '{"hours":1}', "hours")
    yield trigger("oversized", json.dumps({"ms": 0, "x": "y" * LIMIT}), "bytes; at most")
    yield trigger("NUL", '{"ms":0,"x":"\\u0000"}', "NUL")
    yield trigger("raw NUL", b'{"ms":0}\x00', "not valid JSON")
    yield trigger("lone surrogate", '{"\\ud83d":0}', "not valid JSON")
    yield trigger("nested 1,000 deep", deep(1_000), "nested too deeply")
    yield trigger("nested 100,000 deep", deep(100_000), "bytes; at most")
    yield trigger("arrays 60,000 deep", "[" * 60_000, "nested too deeply")
    yield trigger("huge integer", '{"ms":1' + "0" * 400 + "}")
    yield trigger("NaN", '{"ms":NaN}', "not valid JSON")
    yield trigger("infinite", '{"ms":1e999}', "")
    yield trigger("BOM", b'\xef\xbb\xbf{"ms":0}', shows="ok")
    yield trigger("BOM of UTF-16", '{"ms":0}'.encode("utf-16"), "not valid JSON")
    yield trigger("invalid UTF-8", b'{"ms":0,"\xff\xfe":1}', "not valid JSON")
    yield trigger("duplicate keys", '{"ms":1,"ms":0}', shows="ok")
    yield trigger("forged triggeredBy", '{"ms":0,"triggeredBy":"ADMIN:1"}', "triggeredBy")
    yield trigger("forged userId", event("kronik.run.triggered.v1", {"params": {}, "userId": "1"}), "userId")
    yield trigger("another version of CloudEvents", event("x", {"ms": 0}, specversion="9.9"), "specversion")
    yield trigger("data_base64", event("x", {"ms": 0}, data_base64="e30="), "data_base64")
    yield trigger("unknown job type", "{}", "Unknown job type", job="NOBODY")
    yield Dose("a cron trigger without a slot", f"jobs.trigger.{KNOWN}.cron", b'{"ms":0}', "ok")
    yield Dose("a cron trigger of rubbish", f"jobs.trigger.{KNOWN}.cron", b"\xff", "failed", "not valid JSON")


def _run_events(targets: Targets) -> Iterator[Dose]:
    completed = event("kronik.run.completed.v1", {"attempt": 1, "result": None})
    ours, late = f"jobs.run.{KNOWN}.{targets.open}", f"jobs.run.{KNOWN}.{targets.finished}"
    yield Dose("event of no run", f"jobs.run.{KNOWN}.999999999.completed", completed, "parked", "999999999")
    yield Dose("event of another job's run", f"jobs.run.{OTHER}.{targets.finished}.completed", completed, "parked", "")
    yield Dose("event after the end", f"{late}.failed", _failed("too late"), "ok")
    said = "without an expectation"
    yield Dose("event without an expectation", f"{ours}.failed", _failed("forged"), "parked", said, expects=False)
    yield Dose("event of rubbish", f"{ours}.completed", b"\xff\x00{", "parked", "")
    yield Dose("event nested 100,000 deep", f"{ours}.completed", b'{"data":' + b"[" * 100_000, "parked", "")
    yield Dose("event of a type from the future", f"{ours}.completed", event("kronik.run.completed.v99", {}), "ok")
    yield Dose("event on another's subject", f"{ours}.failed", completed, "parked", "does not belong")
    huge = event("kronik.run.retrying.v1", {"attempt": 10**30, "error": "", "errorType": "", "retryAt": "9999"})
    yield Dose("event of impossible numbers", f"{ours}.retrying", huge, "parked", "")


def _failed(error: str) -> bytes:
    return event("kronik.run.failed.v1", {"attempt": 1, "error": error, "errorType": "X"})


def definition(**fields: Any) -> dict[str, Any]:
    """A job as a runner announces it."""
    return {
        "jobType": KNOWN,
        "title": {"en": KNOWN},
        "description": "",
        "paramsSchema": {},
        "resultSchema": {},
        "schedule": None,
        "timeoutMs": 1000,
        "retry": {"attempts": 1, "waitMs": 1, "maxWaitMs": 1},
        "concurrency": 1,
        **fields,
    }


def _others() -> Iterator[Dose]:
    defined: Callable[..., bytes] = lambda **f: event("kronik.job.defined.v1", definition(**f))  # noqa: E731
    never = {"expression": "0 0 31 2 *", "tz": "Nowhere/Land"}
    big = {"type": "object", "description": "x" * (LIMIT - 10_000)}
    yield Dose("definition of rubbish", "jobs.definition.SLOTTED", b"{", "parked", "")
    yield Dose(
        "definition of a type from the future",
        "jobs.definition.SLOTTED",
        event("kronik.job.defined.v9", {}),
        "parked",
        "",
    )
    said = "without an expectation"
    yield Dose("definition without one", "jobs.definition.SLOTTED", defined(jobType="SLOTTED"), "parked", said, False)
    yield Dose("definition of another job", "jobs.definition.SLOTTED", defined(), "parked", "does not belong")
    yield Dose(
        "definition with a schema of 1 MB", "jobs.definition.BIG", defined(jobType="BIG", paramsSchema=big), "ok"
    )
    yield Dose(
        "definition with a cron that never fires",
        "jobs.definition.NEVER",
        defined(jobType="NEVER", schedule=never),
        "ok",
    )
    yield Dose(
        "definition with a schema that is none",
        "jobs.definition.ODD",
        defined(jobType="ODD", paramsSchema={"type": 17, "$ref": "http://localhost:1/x"}),
        "ok",
    )
    yield Dose("schedule of rubbish", "jobs.schedule.SLOTTED", b'{"data":[]}', "parked", "")
    forever = {"paused": "yes", "schedule": {"expression": "@reboot"}, "by": 7}
    yield Dose(
        "schedule of wrong types", "jobs.schedule.SLOTTED", event("kronik.schedule.changed.v1", forever), "parked", ""
    )
    yield Dose("slot of rubbish", "jobs.slot.SLOTTED.missed", b"\x00", "parked", "")
    far = {"scheduledFor": "9000-01-01T00:00:00Z", "outcome": "missed", "reason": "far"}
    yield Dose("slot far in the future", "jobs.slot.SLOTTED.missed", event("kronik.slot.skipped.v1", far), "ok")
    yield Dose(
        "slot off the calendar",
        "jobs.slot.SLOTTED.missed",
        event("kronik.slot.skipped.v1", {**far, "scheduledFor": "9999-12-31T23:59:59-12:00"}),
        "parked",
        "",
    )
    yield Dose(
        "cron trigger far in the future",
        "jobs.trigger.SLOTTED.cron",
        event("kronik.run.triggered.v1", {"scheduledFor": "9000-01-01T00:00:00Z"}),
        "failed",
        "runner-SLOTTED is gone",
    )


def _subjects() -> Iterator[Dose]:
    for subject in (
        "jobs.trigger.NAP",
        "jobs.trigger.nap.crm",
        "jobs.trigger.NAP.CRM",
        "jobs.trigger.NAP.crm.more",
        "jobs.trigger..crm",
        "jobs.run.NAP.0.completed",
        "jobs.run.NAP.1e3.completed",
        "jobs.run.NAP.*.completed",
        "jobs.slot.SLOTTED.unheard",
        "jobs.slot.SLOTTED.*",
        "jobs.strange",
        "jobs.definition.>",
    ):
        yield Dose(f"subject {subject}", subject, b"{}", "parked", "")
