"""Who did what, in the journal and on the page of who has access."""

from datetime import timedelta
from typing import Any

import pytest

from services.api.access.store import Session, SignIn, Token
from services.api.history.overview import Asked, Stopped
from services.api.panel.views import access, journal
from tests.unit.panel.runs import NOW, a_run, definition
from tests.unit.panel.test_views import DA

_FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def an_asked(**given: Any) -> Asked:
    run = a_run(**given)
    return Asked(**{name: getattr(run, name) for name in Asked.__struct_fields__})


def test_runs_cancellations_and_sign_ins_are_told_newest_first() -> None:
    run = an_asked(triggered_by="ADMIN:1", triggered_at=NOW - timedelta(minutes=3))
    stopped = Stopped(9, "DAILY_MAINTENANCE", NOW - timedelta(minutes=1), "ADMIN:1")
    signed_in = SignIn("1", "Birgitte", NOW - timedelta(minutes=5), "10.0.0.7", _FIREFOX)
    asked = journal.batches([run], [], all_read=True)
    told = journal.entries(asked, [stopped], [], [], [signed_in], {"DAILY_MAINTENANCE": definition()}, DA)
    assert [(one.who, one.text, one.detail) for one in told] == [
        ("Birgitte", "annullerede kørsel 9 af Daglig vedligeholdelse", ""),
        ("Birgitte", "kørte Daglig vedligeholdelse", ""),
        ("Birgitte", "loggede ind med et link", "10.0.0.7 · Firefox, Linux"),
    ]


def test_many_runs_of_the_same_are_one_entry() -> None:
    def at(minutes: int, **given: Any) -> Asked:
        return an_asked(id=1000 - minutes, triggered_at=NOW - timedelta(minutes=minutes), **given)

    ops = [at(n, triggered_by="SERVICE:ops") for n in (1, 3, 7, 40)]
    anna = [at(2, triggered_by="ADMIN:1")]
    runs = sorted([*ops, *anna], key=lambda run: -run.id)
    told = journal.entries(
        journal.batches(runs, [], all_read=True), [], [], [], [], {"DAILY_MAINTENANCE": definition()}, DA
    )
    assert [(one.who, one.text, one.detail) for one in told] == [
        ("tjenesten ops", "kørte Daglig vedligeholdelse 3 gange", "I dag 14:53:00 – 14:59:00"),
        ("Birgitte", "kørte Daglig vedligeholdelse", ""),
        ("tjenesten ops", "kørte Daglig vedligeholdelse", ""),
    ]
    assert "by=SERVICE%3Aops&from=2025-12-10T13%3A53%3A00Z&to=2025-12-10T13%3A59%3A01Z" in told[0].href


def test_where_older_ones_were_not_read_the_number_is_a_least() -> None:
    runs = [an_asked(id=n, triggered_by="SERVICE:ops", triggered_at=NOW) for n in (9, 8, 7)]
    (batch,) = journal.batches(runs, [], all_read=False)
    assert batch.more
    told = journal.entries([batch], [], [], [], [], {"DAILY_MAINTENANCE": definition()}, DA)
    assert told[0].text == "kørte Daglig vedligeholdelse 3 gange eller flere"


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        (_FIREFOX, "Firefox, Linux"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18) AppleWebKit/605 Version/18 Safari/604", "Safari, iPhone"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/130.0 Safari/537.36 Edg/130.0", "Edge, Windows"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/130.0 Safari/537.36 OPR/115.0", "Opera, Windows"),
        ("Mozilla/5.0 (Macintosh) AppleWebKit/537.36 Chrome/130.0 Safari/537.36", "Chrome, macOS"),
        ("Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/130.0 Safari/537.36", "Chrome (headless), Linux"),
        ("Mozilla/5.0 (X11; Linux x86_64) Ubuntu Chromium/130.0 Chrome/130.0 Safari/537.36", "Chromium, Linux"),
        (
            "Mozilla/5.0 (Linux; Android 14) Chrome/130.0 Mobile Safari/537.36 SamsungBrowser/26",
            "Samsung Internet, Android",
        ),
        ("Mozilla/5.0 (compatible; Googlebot/2.1) Chrome/130.0 Safari/537.36", "Googlebot"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("<script>" + "x" * 200, "<script>" + "x" * 52),
        ("", ""),
    ],
)
def test_a_browser_is_said_in_short(agent: str, said: str) -> None:
    assert access.browser(agent) == said


def test_a_token_says_when_it_was_used_last_and_a_session_from_where() -> None:
    token = access.token(Token("crm", "viewer", "laptop", NOW, None, NOW - timedelta(hours=1), "10.0.0.7"), DA)
    assert token.used is not None
    assert (token.used.text, token.place) == ("I dag 14:00", "10.0.0.7")
    assert access.token(Token("crm", "viewer", "laptop", NOW, None), DA).used is None
    session = access.session(
        Session("Anna", "admin", NOW, None, NOW + timedelta(days=14), "10.0.0.7", "", "ab"), "ab", DA
    )
    assert session.until is not None
    assert (session.place, session.until.text, session.own) == ("10.0.0.7", "24. dec 15:00", True)
