"""Settings: everything that is wrong is said at once, in words that say what is right."""

import pytest

from services.infra import settings
from services.infra.settings import ApiSettings, InvalidSettings, RunnerSettings, SchedulerSettings
from services.stack import up

WRONG = {
    "KRONIK_NATS_URL": "localhost:4222",
    "KRONIK_LOG_LEVEL": "loud",
    "KRONIK_LOG_FORMAT": "xml",
    "KRONIK_PORT": "99999",
}


def test_all_that_is_wrong_is_one_message() -> None:
    with pytest.raises(InvalidSettings) as refused:
        settings.read(ApiSettings, WRONG)
    problems = refused.value.problems
    assert [one.partition("=")[0].partition(" ")[0] for one in problems] == [
        "KRONIK_NATS_URL",
        "KRONIK_LOG_FORMAT",
        "KRONIK_LOG_LEVEL",
        "KRONIK_DATABASE_URL",
        "KRONIK_PORT",
    ]
    assert "KRONIK_LOG_LEVEL='loud': may be debug, info, warning, error or critical" in problems
    assert "KRONIK_LOG_FORMAT='xml': may be auto, console or json" in problems
    assert "KRONIK_PORT='99999': expected a whole number from 0 to 65535" in problems


def test_a_word_may_be_in_capitals() -> None:
    read = settings.read(SchedulerSettings, {"KRONIK_NATS_URL": "nats://x", "KRONIK_LOG_LEVEL": "WARNING"})
    assert read.log_level == "warning"


def test_what_several_services_refuse_is_said_once() -> None:
    problems = settings.problems({**WRONG, "KRONIK_SLOTS": "0"}, ApiSettings, RunnerSettings)
    assert len([one for one in problems if "LOG_LEVEL" in one]) == 1
    assert "KRONIK_SLOTS" in " ".join(problems)


def test_up_says_what_it_and_its_services_refuse_before_it_starts() -> None:
    with pytest.raises(InvalidSettings) as refused:
        up._checked({"KRONIK_PORT": "http", "KRONIK_LOG_LEVEL": "loud", "KRONIK_REPLICAS": "x", "KRONIK_JOBS": ""})
    assert {one.partition("=")[0] for one in refused.value.problems} == {
        "KRONIK_PORT",
        "KRONIK_REPLICAS",
        "KRONIK_LOG_LEVEL",
    }


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"KRONIK_REPLICAS": "3"}, "KRONIK_REPLICAS='3': the NATS that `kronik up` starts is one node"),
        ({"KRONIK_JOBS": "no.such.module"}, "KRONIK_JOBS: there is no module 'no.such.module'"),
        ({"KRONIK_JOBS": "+services.dining.nope,mine.py"}, "no module 'services.dining.nope'.*no module 'mine.py'"),
        ({"KRONIK_HEYNABO_CRON": "61 3 * * *"}, "KRONIK_HEYNABO_CRON='61 3 \\* \\* \\*': .*0 to 59"),
    ],
)
def test_up_says_what_can_t_be_here_before_it_starts(environ: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidSettings, match=said):
        up._checked(environ)


def test_up_takes_what_can_be() -> None:
    cluster = {"KRONIK_REPLICAS": "3", "KRONIK_NATS_URL": "nats://x"}
    assert up._checked({**cluster, "KRONIK_JOBS": "+tests.sample_jobs", "KRONIK_HEYNABO_CRON": " "}).replicas == 3


REACHABLE = {"KRONIK_NATS_URL": "nats://x", "KRONIK_DATABASE_URL": "postgres://x"}


@pytest.mark.parametrize("proxies", ["*", "127.0.0.1", "10.0.0.0/8, ::1", "fd00::/8,192.168.1.4"])
def test_proxies_are_addresses(proxies: str) -> None:
    assert settings.read(ApiSettings, {**REACHABLE, "KRONIK_TRUSTED_PROXIES": proxies}).trusted_proxies == proxies


@pytest.mark.parametrize("proxies", ["bogus", "proxy.example.org", "127.0.0.1;::1", "10.0.0.1,", "cafe"])
def test_proxies_that_are_no_addresses_are_refused(proxies: str) -> None:
    with pytest.raises(InvalidSettings, match=r"KRONIK_TRUSTED_PROXIES=.*IP addresses or networks, by comma"):
        settings.read(ApiSettings, {**REACHABLE, "KRONIK_TRUSTED_PROXIES": proxies})
