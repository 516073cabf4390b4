"""Every version of every event that was ever written can be read, for ever.

A sample in `samples/` is a stored message: subject, sequence, time, headers, and its body as JSON
(`body`) or as text (`text`). Beside it stands what it must be read as. Samples are never changed and never
removed: when an event gets a new version, add one for it, and give the old ones an upcaster.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kronik import codec
from kronik.events import TYPE_OF, Recorded
from kronik.upcasters import UPCASTERS

SAMPLES = Path(__file__).parent / "samples"
NAMES = sorted(path.name.removesuffix(".json") for path in SAMPLES.glob("*.json") if ".expected" not in path.name)


def _load(name: str) -> Any:
    return json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))


def _read(message: dict[str, Any]) -> Recorded:
    return codec.decode(
        message["subject"],
        (message["text"] if "text" in message else json.dumps(message["body"])).encode(),
        sequence=message["sequence"],
        time=datetime.fromisoformat(message["time"]),
        msg_id=message["headers"].get("Nats-Msg-Id"),
    )


def _as_json(recorded: Recorded) -> Any:
    kind = {"kind": type(recorded.data).__name__}
    return json.loads(msgspec.json.encode({**msgspec.structs.asdict(recorded), **kind}))


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_message_is_read_as_it_always_was(name: str) -> None:
    """What later readers read besides is no change."""
    expected = _load(f"{name}.expected")
    read = _as_json(_read(_load(name)))
    assert {field: read[field] for field in expected} == expected


def test_every_type_and_every_old_version_has_a_sample() -> None:
    sampled = {_load(name)["body"]["type"] for name in NAMES if "body" in _load(name) and "type" in _load(name)["body"]}
    assert {*TYPE_OF.values(), *UPCASTERS} <= sampled


def test_every_expectation_has_its_sample() -> None:
    expectations = {path.name.removesuffix(".expected.json") for path in SAMPLES.glob("*.expected.json")}
    assert expectations == set(NAMES)
