"""The committed JSON Schemas are those of today's events, and they describe what is really stored."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from kronik.events import TYPE_OF

from services.cli import schemas
from tests.contracts.test_samples import NAMES, SAMPLES

COMMITTED = Path(__file__).parents[2] / "schemas"


def test_what_is_committed_is_current() -> None:
    assert schemas.outdated(COMMITTED) == [], "run: kronik schemas"
    assert {path.name for path in COMMITTED.iterdir()} == {
        *(f"{type}.json" for type in TYPE_OF.values()),
        schemas.ASYNCAPI,
        schemas.OPENAPI,
    }


@pytest.mark.parametrize("type", sorted(TYPE_OF.values()))
def test_a_schema_is_one_and_accepts_every_sample_of_its_type(type: str) -> None:
    schema = json.loads((COMMITTED / f"{type}.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    samples = [body for body in map(_body, NAMES) if body and body["type"] == type and body["source"] != "/kitchen"]
    assert samples
    for body in samples:
        jsonschema.validate(body, schema, cls=jsonschema.Draft202012Validator)


def _body(name: str) -> Any:
    body = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8")).get("body")
    return body if body and "type" in body else None


@pytest.mark.parametrize("broken", [{"specversion": "0.3"}, {"type": "kronik.run.failed.v1"}, {"data": {}}, {"id": ""}])
def test_a_schema_refuses_what_is_not_its_event(broken: dict[str, Any]) -> None:
    schema = json.loads((COMMITTED / "kronik.run.started.v1.json").read_text(encoding="utf-8"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**_body("kronik.run.started.v1"), **broken}, schema)


def test_writing_leaves_exactly_todays_files(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "schemas"
    assert len(schemas.outdated(directory)) == len(TYPE_OF) + 2
    schemas.write(directory)
    (directory / "kronik.run.frozen.v1.json").write_text("{}")
    (directory / "README.md").write_text("stays")
    (directory / "kronik.run.failed.v1.json").write_text("broken")
    assert schemas.outdated(directory) == ["kronik.run.failed.v1.json", "kronik.run.frozen.v1.json"]
    schemas.write(directory)
    assert schemas.outdated(directory) == []
    assert (directory / "README.md").read_text() == "stays"


def test_the_command_checks_and_writes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert schemas.schemas_command(tmp_path, check=True) == 1
    assert list(tmp_path.iterdir()) == []
    assert "kronik.run.started.v1.json" in capfd.readouterr().err
    assert schemas.schemas_command(tmp_path) == 0
    assert schemas.schemas_command(tmp_path, check=True) == 0


def test_a_change_that_readers_trip_over_needs_a_new_version(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    schemas.write(tmp_path)
    file = tmp_path / "kronik.run.failed.v1.json"
    kept = json.loads(file.read_text(encoding="utf-8"))
    kept["$defs"]["Failed"]["properties"]["nowGone"] = {"type": "string"}
    file.write_text(json.dumps(kept))
    assert schemas.incompatible(tmp_path) == ["kronik.run.failed.v1.Failed.nowGone is gone"]
    with pytest.raises(schemas.Incompatible, match="new version"):
        schemas.write(tmp_path)
    assert "nowGone" in file.read_text(encoding="utf-8")
    assert schemas.schemas_command(tmp_path, check=True) == 1
    assert "nowGone is gone" in capfd.readouterr().err


def test_a_change_that_clients_trip_over_needs_a_new_version_of_the_api(tmp_path: Path) -> None:
    schemas.write(tmp_path)
    file = tmp_path / schemas.OPENAPI
    kept = json.loads(file.read_text(encoding="utf-8"))
    kept["paths"]["/api/admin/now-gone"] = {"get": {"responses": {}}}
    file.write_text(json.dumps(kept))
    assert schemas.incompatible(tmp_path) == ["GET /api/admin/now-gone is gone"]
    kept["info"]["version"] = "0"
    file.write_text(json.dumps(kept))
    assert schemas.incompatible(tmp_path) == []
