"""What Kronik's services wrote in English is said in the reader's language, whatever varies in it."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

import pytest
from kronik import Params
from kronik.codec import decode
from kronik.endings import next_event
from kronik.events import BadTrigger, Failed, Pause, Retirement, Schedule
from kronik.run import Run
from msgspec import Meta
from msgspec.structs import replace

from services.api.history.projections import Parked, read
from services.infra import cron
from services.infra.cron import InvalidSchedule
from services.log.stored import Stored
from services.runner.attempt import as_params
from services.scheduler import queues
from services.scheduler.decisions import Circumstances, Skip, decide
from services.scheduler.timeline import Due
from services.words import sentences
from services.words.language import language
from tests.unit.panel.test_views import DA, EN

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
PAUSES = [Pause(), Pause(reason="flytning"), Pause(by="ADMIN:1"), Pause(by="ADMIN:1", reason="flytning (igen)")]


def skips() -> list[str]:
    """Reasons as the scheduler writes them."""
    late = [Due(NOW - timedelta(hours=27 - n), plan(), None) for n in range(3)]
    found = []
    for pause in PAUSES:
        found += decide([Due(NOW, plan(), pause)], Circumstances(NOW))
        found += decide([Due(NOW - timedelta(hours=3), plan(), None)], Circumstances(NOW, paused=pause))
    found += decide(late, Circumstances(NOW))
    found += decide(late, Circumstances(NOW), more=True)
    found += decide([replaced(late[0], catch_up="none")], Circumstances(NOW))
    found += decide([replaced(late[0], deadline_ms=60_000)], Circumstances(NOW))
    found += decide([replaced(Due(NOW, plan(), None), catch_up="none")], Circumstances(NOW, unserved=True))
    found += decide([replaced(Due(NOW, plan(), None), overlap="skip")], Circumstances(NOW, open_run=7))
    found += decide(late, Circumstances(NOW, unserved=True, waiting_run=41, queued=1))
    many = [replaced(Due(NOW - timedelta(minutes=200 - n), plan(), None), catch_up="all") for n in range(105)]
    found += decide(many, Circumstances(NOW))
    return [one.reason for one in found if isinstance(one, Skip)]


def plan() -> Schedule:
    return Schedule(expression="0 2 * * *", tz="Europe/Copenhagen")


def replaced(due: Due, **fields: Any) -> Due:
    return replace(due, schedule=replace(due.schedule, **fields))


def ends() -> list[str]:
    queued = Run(id=3, job_type="CLEAN_UP", origin="cron", triggered_by="CRON", triggered_at=NOW, params={})
    found = [next_event(queued, finding, ["A", "B"]) for finding in ("unknown", "unclaimed", "lost", "silent")]
    found += [
        next_event(queued, "unknown", []),
        queues.retired("CLEAN_UP", Retirement(by="ADMIN:1")),
        queues.retired("CLEAN_UP", Retirement(by="ADMIN:1", reason="væk")),
    ]
    return [one.error for one in found if isinstance(one, Failed)]


def refusals() -> list[str]:
    found = []
    for expression in (
        "x" * 200,
        "@daily",
        "0 2 * * ?",
        "0 2 * *",
        "0 0 31 2 *",
        "61 * * * *",
        "0 2 * 13 *",
        "*/100 * * * *",
        "0 5-2 * * *",
        "0 5-2/2 * * *",
        "0 2 * * MON#1,TUE",
        "0 2 1 * MON#1",
    ):
        with pytest.raises(InvalidSchedule) as refused:
            cron.parse(expression)
        found.append(str(refused.value).partition(": ")[2])
    return found


class Asked(Params, frozen=True):
    month: Annotated[str, Meta(max_length=7, pattern="^2")]
    size: Annotated[int, Meta(ge=1, le=5)] = 1
    step: Annotated[int, Meta(multiple_of=5)] = 5
    day: date | None = None
    at: Annotated[datetime, Meta(tz=True)] | None = None
    mode: Literal["fast", "slow"] = "fast"
    names: Annotated[list[str], Meta(min_length=1)] | None = None
    ratio: float | None = None


def misfits() -> list[str]:
    """What the runner says of params that do not fit."""
    every: list[dict[str, Any]] = [
        *({}, {"month": 1}, {"month": "2026", "more": 1}, {"month": "2" * 9}, {"month": "x"}),
        *({"month": "2", **more} for more in ({"size": 0}, {"size": 9}, {"step": 3}, {"day": "x"}, {"at": "x"})),
        *({"month": "2", **more} for more in ({"mode": "x"}, {"names": []}, {"names": [1]}, {"ratio": "x"})),
        {"month": "2", "at": "2026-11-27T06:00:00"},
    ]
    queued = Run(id=3, job_type="CLEAN_UP", origin="cron", triggered_by="CRON", triggered_at=NOW, params={})
    return [str(as_params(Asked, replace(queued, params=params))) for params in every]


def unreadable() -> list[str]:
    """What is said of triggers that can't be read."""
    deep, nul = b'{"a":' * 200 + b"1" + b"}" * 200, b'{"a": "\\u0000"}'
    bodies = (
        *(b"[]", b"7", b"null", b'"x"', b'{"a":', b"{a: 1}", b'{"a": 1}}', b"1e", deep, nul, b" " * 300_000),
        *(b'{"specversion": 1}', b'{"specversion": "1.0", "data_base64": "x"}', b'{"specversion": "1.0", "data": 1}'),
        b'{"specversion": "1.0", "type": "kronik.run.triggered.v1", "data": {"userId": "1"}}',
        b'{"specversion": "1.0", "type": "kronik.run.triggered.v1", "data": {"params": []}}',
        b'{"triggeredBy": "ADMIN:7"}',
    )
    found = [decode("jobs.trigger.CLEAN_UP.ops", body, sequence=1, time=NOW).data for body in bodies]
    return [one.problem for one in found if isinstance(one, BadTrigger)]


def parked() -> list[str]:
    """Why messages are no events."""
    subjects = (
        "jobs.run.CLEAN_UP.7.started",
        "jobs.nonsense",
        "jobs.slot.CLEAN_UP.paused",
        "jobs.trigger.CLEAN_UP.x.y",
    )
    kind = (
        b'{"specversion": "1.0", "id": "a", "source": "/x", "time": "2026-11-27T06:00:00Z", "type": "%s", "data": {}}'
    )
    bodies = (b"no event", b"{}", b'{"id": 1}', kind % b"kronik.run.started.v1", kind % b"kronik.schedule.changed.v1")
    stored = [Stored(1, subject, NOW, body, expects=subject) for subject in subjects for body in bodies]
    found = [read(one) for one in (*stored, Stored(1, subjects[0], NOW, b"{}"))]
    return [one.problem for one in found if isinstance(one, Parked)]


@pytest.mark.parametrize("text", [*skips(), *ends(), *refusals(), *misfits(), *unreadable(), *parked()])
def test_every_sentence_is_known_and_its_danish_has_no_english_left(text: str) -> None:
    english = sentences.known(text, EN)
    danish = sentences.known(text, DA)
    assert english == text.replace("ADMIN:1", "Birgitte")
    assert danish not in (None, text)
    assert not set((danish or "").split()) & {"the", "The", "of", "and", "was", "is", "are", "this", "must"}


def test_what_a_job_says_stays_as_it_is() -> None:
    assert sentences.said("ConnectionError: reset by peer", DA) == "ConnectionError: reset by peer"
    assert sentences.said("asked for by ADMIN:1", DA) == "asked for by Birgitte"
    assert sentences.said("Gave up after 3 attempts: timed out after 1.5 s", DA) == (
        "Opgivet efter 3 forsøg: tiden løb ud efter 1.5 s"
    )


def test_every_sentence_has_a_danish_one_with_the_same_gaps() -> None:
    for template in sentences.ALL:
        danish = language("da").text(template)
        assert danish != template
        assert {part.split(")")[0] for part in danish.split("%(")[1:]} == {
            part.split(")")[0] for part in template.split("%(")[1:]
        }
