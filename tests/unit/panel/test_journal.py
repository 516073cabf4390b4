"""Who did what, in the journal and on the page of who has access."""

from datetime import timedelta

import pytest

from services.api.access.store import Session, SignIn, Token
from services.api.history.overview import Stopped
from services.api.panel.views import access, journal
from tests.unit.panel.runs import NOW, a_run, definition
from tests.unit.panel.test_views import DA

_FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def test_runs_cancellations_and_sign_ins_are_told_newest_first() -> None:
    run = a_run(triggered_by="ADMIN:1", triggered_at=NOW - timedelta(minutes=3))
    stopped = Stopped(9, "DAILY_MAINTENANCE", NOW - timedelta(minutes=1), "ADMIN:1")
    signed_in = SignIn("1", "Birgitte", NOW - timedelta(minutes=5), "10.0.0.7", _FIREFOX)
    told = journal.entries([run], [stopped], [], [], [signed_in], {"DAILY_MAINTENANCE": definition()}, DA)
    assert [(one.who, one.text, one.detail) for one in told] == [
        ("Birgitte", "annullerede kørsel 9 af Daglig vedligeholdelse", ""),
        ("Birgitte", "kørte Daglig vedligeholdelse", ""),
        ("Birgitte", "loggede ind med et link", "10.0.0.7 · Firefox, Linux"),
    ]


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
