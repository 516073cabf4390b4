"""compose.yaml, as far as it can be checked without Docker: what it names is there."""

import re
from typing import Any

import msgspec
import pytest
import yaml

from services.cli.__main__ import COMMANDS
from services.cli.nats_config import CERTIFICATE_FILES, NatsConfigSettings
from services.cli.setup import MigrateSettings
from services.infra import settings
from tests.docs.markdown import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if service.get("image") == "kronik")

READS: dict[str, type[msgspec.Struct]] = {
    "api": settings.ApiSettings,
    "scheduler": settings.SchedulerSettings,
    "runner": settings.RunnerSettings,
    "provision": settings.ProvisionSettings,
    "migrate": MigrateSettings,
    "nats-config": NatsConfigSettings,
}
HEYNABO = {f"KRONIK_HEYNABO_{name}" for name in ("URL", "USERNAME", "PASSWORD", "CRON")}


def _environment(service: str) -> dict[str, str]:
    """As Docker would pass it, every variable of .env being `secret`; `:-` makes one empty."""
    given = SERVICES[service].get("environment", {})
    return {name: re.sub(r"\$\{\w+(:[?-][^}]*)?\}", "secret", str(value)) for name, value in given.items()}


@pytest.mark.parametrize("service", sorted(READS))
def test_a_service_has_a_command_and_the_settings_it_needs(service: str) -> None:
    assert SERVICES[service]["command"][0] == service
    assert service in COMMANDS
    settings.read(READS[service], _environment(service))


@pytest.mark.parametrize("service", sorted(READS))
def test_a_service_is_given_nothing_that_it_does_not_read(service: str) -> None:
    read = {f"KRONIK_{field.name.upper()}" for field in msgspec.structs.fields(READS[service])}
    also = {"KRONIK_DATABASE_URL", *HEYNABO} if service == "runner" else set()
    assert set(_environment(service)) <= read | also


def test_what_a_service_waits_for_is_there() -> None:
    awaited = {name for service in SERVICES.values() for name in service.get("depends_on", {})}
    assert awaited <= set(SERVICES)


def test_every_volume_is_declared() -> None:
    mounted = {volume.partition(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    named = {volume for volume in mounted if not volume.startswith(".")}
    assert named == set(COMPOSE["volumes"])
    assert [path for path in mounted - named if not (ROOT / path).exists()] == []


def test_every_variable_is_in_the_example() -> None:
    used = set(re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text(encoding="utf-8")))
    example = (ROOT / "deploy" / "env.example").read_text(encoding="utf-8")
    assert used == set(re.findall(r"^(?:# )?(\w+)=", example, re.MULTILINE))


def test_each_service_comes_as_its_own_user_to_every_node() -> None:
    for service, user in (
        ("provision", "provisioner"),
        ("cli", "operator"),
        *((s, s) for s in ("api", "scheduler", "runner")),
    ):
        urls = _environment(service)["KRONIK_NATS_URL"].split(",")
        assert urls == [f"nats://{user}:secret@nats-{node}:4222" for node in (1, 2, 3)], service


def test_the_servers_include_what_nats_config_writes() -> None:
    """nats-server looks for an included file from the including one's directory on, even behind a slash."""
    included = re.findall(r"^\s*include (\S+)$", (ROOT / "deploy" / "nats.conf").read_text(), re.MULTILINE)
    written = SERVICES["nats-config"]["command"][-1]
    ((volume, place),) = (each.split(":")[:2] for each in SERVICES["nats-config"]["volumes"])
    for node in ("nats-1", "nats-2", "nats-3"):
        mounts = dict(each.split(":")[:2] for each in SERVICES[node]["volumes"])
        config = SERVICES[node]["command"][-1]
        assert mounts["./deploy/nats.conf"] == config
        beside = mounts[volume] + written.removeprefix(place).rpartition("/")[0]
        assert {f"{config.rpartition('/')[0]}/{name}" for name in included} == {
            mounts[volume] + written.removeprefix(place),
            f"{beside}/routes.conf",
        }


def test_the_nodes_have_the_certificates_that_nats_config_writes() -> None:
    conf = (ROOT / "deploy" / "nats.conf").read_text()
    files = re.findall(r'^ *(?:ca|cert|key)_file: "(.*)/(.*)"$', conf, re.MULTILINE)
    for node in ("nats-1", "nats-2", "nats-3"):
        mounts = dict(each.split(":")[:2] for each in SERVICES[node]["volumes"])
        assert {directory for directory, _ in files} == {mounts["nats-accounts"]}
    assert {name for _, name in files} == {*CERTIFICATE_FILES.values()} - {CERTIFICATE_FILES["authority_key"]}
    assert "verify: true" in conf


def test_nobody_outside_asks_a_server_how_it_does() -> None:
    conf = (ROOT / "deploy" / "nats.conf").read_text()
    assert re.findall(r'^http.*"(.*)"$', conf, re.MULTILINE) == ["127.0.0.1:8222"]
    assert all("ports" not in SERVICES[node] for node in ("nats-1", "nats-2", "nats-3", "postgres"))
