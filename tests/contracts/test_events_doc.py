"""docs/events.md says what is true: its examples are recorded samples, its snippets run, no field is forgotten."""

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import msgspec
import pytest
from kronik import codec, subjects
from kronik.events import TYPE_OF, BadTrigger, Completed, Started
from nats.aio.client import Client

from services.log.append import EventLog
from tests.appending import append_next
from tests.contracts.test_samples import NAMES, SAMPLES
from tests.unit.contracts.events_at import T0

DOC = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (kronik\.\S+)\n(.*?)(?=^##)", DOC, re.DOTALL | re.MULTILINE))


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", DOC, re.DOTALL | re.MULTILINE)


def test_every_event_has_its_section_with_every_field() -> None:
    assert SECTIONS.keys() == set(TYPE_OF.values())
    for event, type in TYPE_OF.items():
        for field in msgspec.structs.fields(event):
            assert f"`{field.encode_name}`" in SECTIONS[type], f"{type} says nothing of {field.encode_name}"


def test_every_subject_is_listed() -> None:
    for name in subjects.RUN_EVENTS:
        assert f"jobs.run.<JOB>.<run_id>.{name}" in DOC
    for name in subjects.OUTCOMES:
        assert name == "fired" or f"`{name}`" in SECTIONS["kronik.slot.skipped.v1"]


def test_every_example_is_a_recorded_sample() -> None:
    bodies = [json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8")).get("body") for name in NAMES]
    examples = [json.loads(block) for block in _blocks("json")]
    assert len(examples) >= len(TYPE_OF)
    assert [example for example in examples if example not in bodies] == []


@pytest.mark.parametrize(
    ("body", "begins"),
    [
        (b"NaN", "the trigger's body is not valid JSON"),
        (b"[]", "the trigger's body must be a JSON object (the params)"),
        (b" " * 300_000, "the trigger's body has"),
        (b"[" * 100, "the trigger's body is nested too deeply"),
        (b'{"a":"\\u0000"}', "the trigger's body has a NUL character"),
        (b'{"specversion":"0.3"}', "specversion: must be the string '1.0'"),
        (b'{"specversion":"1.0","data_base64":""}', "data_base64: not supported"),
        (b'{"specversion":"1.0","data":[]}', "data: must be a JSON object (the params)"),
        (b'{"triggeredBy":"CRON"}', "triggeredBy: can't be set in the payload"),
        (
            b'{"specversion":"1.0","type":"kronik.run.triggered.v1","data":{"userId":"1"}}',
            "data.userId: only Kronik itself may set it",
        ),
    ],
)
def test_every_reason_to_fail_is_told_in_its_words(body: bytes, begins: str) -> None:
    data = codec.decode("jobs.trigger.A.ops", body, sequence=1, time=T0).data
    assert isinstance(data, BadTrigger)
    assert data.problem.startswith(begins)
    assert f"| {begins}" in DOC


def _run(snippet: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", snippet],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_the_python_publisher_asks_for_a_run_and_learns_its_id(nats_client: Client, nats_url: str) -> None:
    publisher = _blocks("python")[0]
    assert _run(publisher, NATS_URL=nats_url) == "run 1\n"
    stored = await nats_client.jetstream().get_msg(subjects.STREAM, 1)
    assert (stored.subject, stored.data) == ("jobs.trigger.HEYNABO_IMPORT.kitchen", b"{}")
    assert _run(publisher, NATS_URL=nats_url) == "run 1\n", "the same Nats-Msg-Id is stored once"


async def test_the_python_runner_ends_its_attempt(nats_client: Client, event_log: EventLog) -> None:
    run_id = (await nats_client.jetstream().publish("jobs.trigger.INVOICES.billing", b"{}")).seq
    started = Started(attempt=1, incarnation="billing-1", timeout_ms=1000)
    await append_next(event_log, f"jobs.run.INVOICES.{run_id}.started", started)
    completed = codec.encode(Completed(attempt=1, result=None), id="x", source="/billing", time=T0)
    (snippet,) = [block for block in _blocks("python") if "INVOICES" in block]
    scope = {"json": json, "stream": nats_client.jetstream(), "run": run_id, "completed": json.loads(completed)}
    exec(f"async def end():\n{textwrap.indent(snippet, '    ')}", scope)
    await scope["end"]()  # type: ignore[operator]
    found = await event_log.read_run(run_id)
    assert found is not None
    assert found[0].status == "SUCCESS"


def test_the_python_reader_prints_what_it_says() -> None:
    reader = _blocks("python")[-1]
    assert _run(reader).strip() == reader.rpartition("# ")[2].strip()
