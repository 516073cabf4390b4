"""A service waits for its run's end, in each of the languages that docs/events.md says it in."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from services.log.accounts import RUNNER
from tests.docs import markdown
from tests.up import Up, home, running

_SECTION = markdown.source("docs/events.md").partition("### Wait for my run's end\n")[2].partition("\n### ")[0]
_CODE = dict(re.findall(r"^```(\w+)\n(.*?)^```", _SECTION, re.DOTALL | re.MULTILINE))
_GO_MOD = "module wait\n\ngo 1.23\n\nrequire github.com/nats-io/nats.go v1.45.0\n"
_OFFLINE = {"GOPROXY": "off", "GOSUMDB": "off", "GOFLAGS": "-mod=mod"}
_ENDS_WITHIN_S = 60


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    with home() as place, running(place, KRONIK_RECONCILE_AFTER_S="2") as up:
        yield up


@pytest.fixture(scope="module")
def nats_url(up: Up) -> str:
    """What a service of its own connects to."""
    service = json.loads(up.kronik("service", "add", "kitchen", "--json").stdout)
    return str(service["natsUrl"]).replace("://", f"://{service['user']}:{service['password']}@")


def python(here: Path) -> tuple[str, ...]:
    (here / "wait.py").write_text(_CODE["python"])
    return sys.executable, "wait.py"


def go(here: Path) -> tuple[str, ...]:
    _needed("go")
    (here / "wait.go").write_text(_CODE["go"])
    (here / "go.mod").write_text(_GO_MOD)
    _prepared(here, "go", "mod", "tidy")
    return "go", "run", "wait.go"


def js(here: Path) -> tuple[str, ...]:
    _needed("node")
    (here / "wait.mjs").write_text(_CODE["js"])
    _prepared(here, "npm", "install", "--offline", "--no-audit", "@nats-io/transport-node", "@nats-io/jetstream")
    return "node", "wait.mjs"


def sh(here: Path) -> tuple[str, ...]:
    _needed("nats")
    (here / "wait.sh").write_text(_CODE["sh"])
    return "bash", "wait.sh"


async def test_an_end_that_nobody_expected_is_none(up: Up, nats_url: str, tmp_path: Path) -> None:
    """What a runner with a mistake writes: the scheduler ends this run, for want of a runner."""
    (tmp_path / "wait.py").write_text(_CODE["python"].replace("DAILY_MAINTENANCE", "NOBODYS").replace("=5", "=1"))
    password = json.loads((up.state / "secrets.json").read_text())["nats"][RUNNER]
    runner = await nats.connect(up.ready["natsUrl"].rpartition("@")[2], user=RUNNER, password=password)
    operator = await nats.connect(up.ready["natsUrl"])
    command = (sys.executable, "wait.py")
    environ = {**os.environ, "NATS_URL": nats_url}
    waiting = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, env=environ, stdout=asyncio.subprocess.PIPE)
    try:
        run_id = await _asked_for(operator, "jobs.trigger.NOBODYS.>")
        await runner.request(f"jobs.run.NOBODYS.{run_id}.completed", b'{"data":"forged"}', timeout=5)
        said, _ = await asyncio.wait_for(waiting.communicate(), _ENDS_WITHIN_S)
    finally:
        await runner.close()
        await operator.close()
    assert said.decode().startswith(f"run {run_id} failed")


async def _asked_for(connection: Client, subject: str) -> int:
    """The run, once it is."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(NotFoundError):
                return int((await connection.jetstream().get_last_msg("JOBS", subject, direct=True)).seq or 0)
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("language", ["python", "go", "js", "sh"])
def test_the_code_of_every_language_looks_at_the_expectation(language: str) -> None:
    assert "Nats-Expected-Last-Subject-Sequence" in _CODE[language]


def _needed(tool: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"there is no {tool} on this machine")


def _prepared(here: Path, *command: str) -> None:
    """Nothing is fetched by a test: what the machine has not got already is a reason to leave it out."""
    made = subprocess.run(command, cwd=here, env={**os.environ, **_OFFLINE}, capture_output=True, text=True, timeout=60)
    if made.returncode:
        pytest.skip(f"{' '.join(command)} finds nothing on this machine: {made.stderr.strip()[-300:]}")


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("prepare", [python, go, js, sh], ids=lambda prepare: prepare.__name__)
def test_the_code_hears_the_end_of_its_run(
    prepare: Callable[[Path], tuple[str, ...]], up: Up, nats_url: str, tmp_path: Path
) -> None:
    command = prepare(tmp_path)
    said = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, **_OFFLINE, "NATS_URL": nats_url},
        capture_output=True,
        text=True,
        timeout=_ENDS_WITHIN_S,
    )
    assert said.returncode == 0, said.stderr
    found = re.search(r"^run (\d+)", said.stdout, re.MULTILINE)
    assert found, said.stdout
    assert "completed" in said.stdout
    run = up.call("GET", f"/api/admin/job-run/{found[1]}?wait=10")
    assert (run["status"], run["triggeredBy"]) == ("SUCCESS", "SERVICE:kitchen")
