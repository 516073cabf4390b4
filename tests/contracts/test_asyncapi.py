"""The AsyncAPI document holds every event and every subject, and the official parser finds nothing wrong with it."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from kronik import subjects
from kronik.events import TYPE_OF

from services.log import asyncapi

SCHEMAS = Path(__file__).parents[2] / "schemas"
NODE_MODULES = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "kronik-ci" / "node_modules"
CHECK = """
const { Parser } = require("@asyncapi/parser");
new Parser().parse(require("fs").readFileSync(process.argv[1], "utf8")).then(({ document, diagnostics }) => {
  const errors = diagnostics.filter((each) => each.severity === 0);
  console.log(JSON.stringify({ valid: document !== undefined, errors }));
});
"""


def test_every_event_stands_on_one_channel() -> None:
    events = [event for channel in asyncapi.channels() for event in channel.events]
    assert sorted(map(TYPE_OF.__getitem__, events)) == sorted(TYPE_OF.values())


def test_every_subject_family_has_its_channel() -> None:
    values = {"jobType": "A", "origin": "crm", "runId": "7", "outcome": subjects.OUTCOMES[0]}
    for channel in asyncapi.channels():
        subjects.parse(channel.address.format(**values))
    families = {channel.address.split(".")[1] for channel in asyncapi.channels()}
    assert families == {"trigger", "run", "slot", "definition", "schedule", "service"}


def test_the_official_parser_finds_nothing_wrong() -> None:
    if shutil.which("node") is None or not (NODE_MODULES / "@asyncapi" / "parser").is_dir():
        if os.environ.get("KRONIK_REQUIRE_TOOLS") == "1" and shutil.which("npm"):
            pytest.fail(f"no @asyncapi/parser in {NODE_MODULES}: npm install --prefix {NODE_MODULES.parent} …")
        pytest.skip(f"needs node, and @asyncapi/parser in {NODE_MODULES}")
    answer = subprocess.run(
        ["node", "-e", CHECK, str(SCHEMAS / "asyncapi.json")],
        env={**os.environ, "NODE_PATH": str(NODE_MODULES)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(answer.stdout) == {"valid": True, "errors": []}
