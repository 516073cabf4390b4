"""What old versions of events become; what every upcaster relies on is tested with made-up ones."""

from typing import Any

import pytest
from kronik import codec
from kronik.errors import InvalidEvent
from kronik.events import TYPE_OF, BadTrigger, Started, Triggered, Unknown
from kronik.upcasters import UPCASTERS, Upcaster, upcast

from tests.unit.contracts.events_at import T0

OLD_STARTED = {"tryNumber": 2, "incarnation": "host-1", "timeoutMs": 1000}


def _named(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "attempt": data["tryNumber"]}


MADE_UP: dict[str, Upcaster] = {
    "kronik.run.started.v-1": ("kronik.run.started.v0", lambda data: {"tryNumber": 1, **data}),
    "kronik.run.started.v0": ("kronik.run.started.v1", _named),
    "kronik.run.triggered.v0": ("kronik.run.triggered.v1", lambda data: {"params": data["arguments"]}),
    "kronik.run.started.v8": ("kronik.run.started.v9", lambda data: data),
}


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    for old, upcaster in MADE_UP.items():
        monkeypatch.setitem(UPCASTERS, old, upcaster)


def _body(type: str, data: object) -> bytes:
    return codec._encoder.encode(
        {"specversion": "1.0", "id": "x", "source": "/test", "type": type, "time": T0, "data": data}
    )


def test_every_upcaster_leads_to_a_type_of_today() -> None:
    for old in UPCASTERS:
        seen = [old]
        while seen[-1] in UPCASTERS:
            seen.append(UPCASTERS[seen[-1]][0])
            assert len(set(seen)) == len(seen), f"{old} goes in circles"
        assert seen[-1] in TYPE_OF.values()


def test_an_old_type_climbs_version_by_version() -> None:
    assert upcast("kronik.run.started.v-1", {}, MADE_UP) == ("kronik.run.started.v1", {"tryNumber": 1, "attempt": 1})
    assert upcast("kronik.run.started.v1", {"attempt": 1}, MADE_UP) == ("kronik.run.started.v1", {"attempt": 1})


@pytest.mark.usefixtures("made_up")
def test_an_old_run_event_is_read_as_todays() -> None:
    body = _body("kronik.run.started.v0", OLD_STARTED)
    event = codec.decode("jobs.run.A.1.started", body, sequence=2, time=T0).data
    assert event == Started(attempt=2, incarnation="host-1", timeout_ms=1000)


@pytest.mark.usefixtures("made_up")
def test_an_old_event_belongs_on_its_own_subject_only() -> None:
    with pytest.raises(InvalidEvent, match="does not belong"):
        codec.decode("jobs.run.A.1.failed", _body("kronik.run.started.v0", OLD_STARTED), sequence=2, time=T0)


@pytest.mark.usefixtures("made_up")
@pytest.mark.parametrize("data", [None, [], "x", 7, {}, {"tryNumber": "two"}])
def test_odd_data_of_an_old_type_is_an_invalid_event(data: object) -> None:
    with pytest.raises(InvalidEvent):
        codec.decode("jobs.run.A.1.started", _body("kronik.run.started.v0", data), sequence=2, time=T0)


@pytest.mark.usefixtures("made_up")
def test_an_upcaster_to_nowhere_leaves_the_event_unknown() -> None:
    body = _body("kronik.run.started.v8", {"attempt": 1})
    event = codec.decode("jobs.run.A.1.started", body, sequence=2, time=T0).data
    assert event == Unknown("kronik.run.started.v8", {"attempt": 1})


@pytest.mark.usefixtures("made_up")
def test_an_old_trigger_of_kroniks_own_is_upcasted_too() -> None:
    body = _body("kronik.run.triggered.v0", {"arguments": {"month": "2026-10"}})
    assert codec.decode("jobs.trigger.A.cron", body, sequence=1, time=T0).data == Triggered(params={"month": "2026-10"})
    odd = codec.decode("jobs.trigger.A.cron", _body("kronik.run.triggered.v0", {}), sequence=1, time=T0).data
    assert isinstance(odd, BadTrigger)
    assert "triggered.v0" in odd.problem
