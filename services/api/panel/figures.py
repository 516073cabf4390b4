"""A result as figures, by what the job's definition says of showing it: no job is known here by name."""

import re
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from babel.numbers import format_decimal
from kronik.show import Format, Show
from msgspec import UNSET

from services.words.language import Language

FALLBACK_LIMIT: Final = 5
"""Figures shown of a result whose job does not say what to show."""


def summary(result: Any, show: tuple[Show, ...], language: Language) -> str:
    """`Orders closed: 45, Transactions: 45`. A path that leads to null or nowhere is left out."""
    shown = show or fallback(result)
    figures = (
        (language.pick(one.label, one.path), figure(at(result, one.path), one.format, language)) for one in shown
    )
    return ", ".join(f"{label}: {text}" for label, text in figures if text)


def short(result: Any, show: tuple[Show, ...], language: Language) -> str:
    """The figures that have a unit, for a narrow column: `45 trans`, `+5 inhab`."""
    figures = (
        (figure(at(result, one.path), one.format, language), language.pick(one.short))
        for one in show
        if one.short is not UNSET
    )
    return ", ".join(f"{text} {unit}" for text, unit in figures if text)


def fallback(result: Any) -> tuple[Show, ...]:
    """The first plain values of a result, named by their fields: `householdsCreated` → `Households created`."""
    if not isinstance(result, dict):
        return ()
    plain = [name for name, value in result.items() if _is_plain(value) and "." not in name]
    return tuple(Show(name, {"en": _words(name)}) for name in plain[:FALLBACK_LIMIT])


def at(result: Any, path: str) -> Any:
    """What stands at the path, steps joined by dots; None where it leads nowhere."""
    for step in path.split("."):
        if not isinstance(result, dict):
            return None
        result = result.get(step)
    return result


def figure(value: Any, format: Format, language: Language) -> str:
    """The value as its format shows it; "" for what is no figure (null, an array, an object)."""
    match value:
        case bool():
            return language.text("yes") if value else language.text("no")
        case int() | float():
            return _number(value, format, language)
        case str():
            return value
    return ""


def _number(value: float, format: Format, language: Language) -> str:
    try:
        number = Decimal(str(value))
        match format:
            case "money":
                return _money(number, language)
            case "plus":
                return ("+" if number >= 0 else "") + _decimal(number, language)
            case _:
                return _decimal(number, language)
    except InvalidOperation:  # more digits than a decimal context holds
        return str(value)


def _money(ore: Decimal, language: Language) -> str:
    """Øre as kroner, with decimals only where there are øre left over."""
    kroner = ore / 100
    whole = kroner == kroner.to_integral_value()
    return f"{format_decimal(kroner, '#,##0' if whole else '#,##0.00', locale=language.locale)} kr"


def _decimal(number: Decimal, language: Language) -> str:
    return format_decimal(number, locale=language.locale)


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_+", " ", name).strip().capitalize() or name
