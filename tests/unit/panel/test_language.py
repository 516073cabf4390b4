"""Which language, and that Danish says everything that English does."""

from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from services.words import language as module
from services.words.language import choose, language

WORDS = Path(module.__file__).parent
PANEL = WORDS.parent / "api" / "panel"


@pytest.mark.parametrize(
    ("asked", "remembered", "accepted", "code"),
    [
        ("en", "da", "da", "en"),
        (None, "en", "da", "en"),
        ("xx", "en", "da", "en"),
        ("xx", "yy", "", "da"),
        (None, None, "en-GB,en;q=0.9", "en"),
        (None, None, "en;q=0.5,da;q=0.8", "da"),
        (None, None, "de,fr;q=0.5", "da"),
        (None, None, "de,en;q=0.5", "en"),
        (None, None, "en;q=0", "da"),
        (None, None, "en;q=nonsense,;;,", "da"),
        (None, None, "DA-dk", "da"),
    ],
)
def test_the_address_goes_before_the_cookie_before_the_browser_before_danish(
    asked: str | None, remembered: str | None, accepted: str, code: str
) -> None:
    assert choose(asked, remembered, accepted).code == code


def test_numbers_choose_between_one_and_many() -> None:
    assert language("da").count("%(n)d warning", "%(n)d warnings", 1) == "1 advarsel"
    assert language("da").count("%(n)d warning", "%(n)d warnings", 3) == "3 advarsler"


def test_danish_has_every_text_and_no_other() -> None:
    with (WORDS / "translations" / "da.po").open("rb") as source:
        catalogue = read_po(source, locale="da")
    translated = {message.id for message in catalogue if message.id and all(_strings(message.string))}
    assert translated == _written()


def _written() -> set[object]:
    keywords = {"_": None, "text": None, "say": None, "marked": None, "ngettext": (1, 2), "count": (1, 2)}
    methods = [("**.py", "python"), ("templates/**.html", "jinja2.ext:babel_extract")]
    found = [one for at in (WORDS, PANEL) for one in extract_from_dir(at, method_map=methods, keywords=keywords)]
    return {message for _, _, message, _, _ in found}


def _strings(string: object) -> tuple[object, ...]:
    return tuple(string) if isinstance(string, list | tuple) else (string,)
