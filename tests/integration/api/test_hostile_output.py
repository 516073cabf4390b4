"""Every command that prints data, on a history full of what a terminal would obey."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from kronik import subjects
from kronik.events import Completed, Failed, Retrying, SlotSkipped, Warning
from msgspec.structs import replace

from services.api.history.tables import Connection
from services.infra.clock import SystemClock
from tests.integration.api.conftest import JOB, STARTED, Stream, a_definition, identify
from tests.integration.api.test_api_process import serving

HOSTILE = "seen[/x][bold]\x1b]52;c;cm0gLXJmIH4=\x07\x1b[2J\x9b31m\u202e\u200b\r\n2026-01-01 forged line"
OBEYED = "\x1b\x07\x9b\r\u202e\u200b"


@pytest.fixture
async def environ(
    stream: Stream, nats_url: str, database_url: str, db: Connection, tmp_path: Path
) -> AsyncIterator[dict[str, str]]:
    """Of commands, for an API that has projected it all."""
    places = {"KRONIK_NATS_URL": nats_url, "KRONIK_DATABASE_URL": database_url}
    headers = await identify(db, "admin")
    last = await fill(stream)
    async with serving(places, headers, tmp_path / "port") as api:
        while (await api.http.get("/health/ready")).json()["position"] != last:  # noqa: ASYNC110  in another process
            await asyncio.sleep(0.05)
        token = headers["Authorization"].removeprefix("Bearer ")
        yield {**os.environ, **places, "KRONIK_URL": str(api.http.base_url), "KRONIK_TOKEN": token, "COLUMNS": "250"}


async def fill(stream: Stream) -> int:
    definition = replace(a_definition(params={}), title={"en": HOSTILE}, description=HOSTILE)
    await stream.append(subjects.definition(JOB), definition)
    failed = await stream.trigger(params={HOSTILE: HOSTILE})
    now = SystemClock().now()
    retrying = Retrying(attempt=1, error_type=HOSTILE, error=HOSTILE, retry_at=now)
    again = replace(STARTED, attempt=2, incarnation=HOSTILE)
    await stream.go_on(failed, STARTED, retrying, again, Failed(attempt=2, error_type=HOSTILE, error=HOSTILE))
    partial = await stream.trigger()
    warnings = (Warning(item=HOSTILE, text=HOSTILE),)
    completed = Completed(attempt=1, result={HOSTILE: HOSTILE}, warnings=warnings, warning_count=1)
    await stream.go_on(partial, STARTED, completed)
    skipped = SlotSkipped(scheduled_for=now, outcome="missed", reason=HOSTILE)
    await stream.append(subjects.slot(JOB, "missed"), skipped)
    return await stream.publish(f"jobs.trigger.{JOB}.ops", json.dumps({HOSTILE: 1}, ensure_ascii=False).encode() + b"}")


async def kronik(environ: dict[str, str], *arguments: str, until: bytes | None = None) -> tuple[str, str]:
    """What the command says on stdout and stderr. until: when this has come, Ctrl-C is pressed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli", *arguments), env=environ, stdout=-1, stderr=-1, limit=2**20
    )
    assert process.stdout
    said = b""
    while until is not None and until not in said:
        said += await asyncio.wait_for(process.stdout.readline(), 20)
    if until is not None:
        process.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(process.communicate(), 30)
    return (said + out).decode(), err.decode()


COMMANDS: dict[str, tuple[tuple[str, ...], bytes | None]] = {
    "history": (("history",), None),
    "failed": (("show", "2"), None),
    "partial": (("show", "7"), None),
    "jobs": (("jobs",), None),
    "slots": (("slots",), None),
    "parked": (("parked",), None),
    "tail": (("tail", "--since", "1"), b"#11"),
    "refused": (("trigger", HOSTILE), None),
    "usage": (("history", "--status", HOSTILE), None),
}


async def test_no_command_prints_what_a_terminal_would_obey(environ: dict[str, str]) -> None:
    said = await asyncio.gather(*(kronik(environ, *arguments, until=until) for arguments, until in COMMANDS.values()))
    for name, (out, err) in zip(COMMANDS, said, strict=True):
        assert "Traceback" not in err, name
        assert [character for character in OBEYED if character in out + err] == [], name
        assert name == "parked" or "seen[/x][bold]" in out + err, f"{name}: {out} {err}"
        assert not any(line.startswith("2026-01-01 forged") for line in out.splitlines()), name


async def test_json_is_harmless_and_complete(environ: dict[str, str]) -> None:
    for arguments, until in ((("history", "--json"), None), (("tail", "--since", "2", "--json"), b'"sequence":11')):
        out, _ = await kronik(environ, *arguments, until=until)
        assert [character for character in OBEYED if character in out] == []
        documents: list[Any] = [json.loads(line) for line in out.splitlines()]
        assert repr(HOSTILE) in repr(documents)
