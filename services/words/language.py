"""Kronik's languages. What is written in the code is English; `translations/<language>.po` has the others.

The catalogues are read as they are at the first use: nothing has to be compiled before a start.
"""

import gettext
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Final, Literal

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from msgspec import Struct

Code = Literal["da", "en"]

LANGUAGES: Final[dict[Code, str]] = {"da": "Dansk", "en": "English"}
"""Every language of the panel, by its code, with its own name for itself."""

_DEFAULT: Final = "da"
_LOCALE: Final[dict[Code, str]] = {"da": "da_DK", "en": "en_GB"}


class Language(Struct, frozen=True):
    """One language. locale: what Babel formats numbers and dates by."""

    code: Code
    locale: str
    texts: gettext.NullTranslations

    def text(self, message: str) -> str:
        return self.texts.gettext(message)

    def count(self, one: str, many: str, count: int) -> str:
        """`one` or `many`, whichever `count` asks for, with the number in it: `count("%(n)d run", "%(n)d runs", 3)`."""
        return self.texts.ngettext(one, many, count) % {"n": count}

    def pick(self, texts: dict[str, str], otherwise: str = "") -> str:
        """The text in this language, else in English, else in whichever there is."""
        return texts.get(self.code) or texts.get("en") or next(filter(None, texts.values()), otherwise)


@cache
def language(code: Code) -> Language:
    """The language of this code, one of LANGUAGES."""
    return Language(code, _LOCALE[code], _texts(code))


def _texts(code: Code) -> gettext.NullTranslations:
    if code == "en":
        return gettext.NullTranslations()
    compiled = BytesIO()
    with files(__package__).joinpath("translations", f"{code}.po").open("rb") as source:
        write_mo(compiled, read_po(source, locale=code))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def marked(text: str) -> str:
    """The text itself, marked for the catalogue: to be said later."""
    return text


def choose(asked: str | None, remembered: str | None, accepted: str) -> Language:
    """The language asked for in the address, else the remembered one, else what the browser prefers, else Danish.

    accepted: the Accept-Language header.
    """
    return language(known(asked) or known(remembered) or _preferred(accepted))


def known(code: str | None) -> Code | None:
    """The code itself, if it is one of LANGUAGES."""
    return next((one for one in LANGUAGES if one == code), None)


def _preferred(accepted: str) -> Code:
    """Of the panel's languages the one with the greatest q; the first named where they are equal."""
    best: Code = _DEFAULT
    best_weight = 0.0
    for part in accepted.split(","):
        tag, _, parameters = part.partition(";")
        code, weight = known(tag.strip().lower().split("-")[0]), _weight(parameters)
        if code is not None and weight > best_weight:
            best, best_weight = code, weight
    return best


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    try:
        return float(value) if name == "q" else 1.0
    except ValueError:
        return 0.0
