"""A result as figures, by what the job's definition says of showing it: no job is known here by name. Pure."""

import re
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from babel.numbers import format_decimal
from kronik.show import Format, Show
from msgspec import UNSET, Struct

from services.words.language import Language

FALLBACK_LIMIT: Final = 5
"""Figures shown of a result whose job does not say what to show."""


class Figure(Struct, frozen=True):
    """One figure of a result, with its name."""

    label: str
    text: str


def figures(result: Any, show: tuple[Show, ...], language: Language) -> list[Figure]:
    """What the job wants shown. A path that leads to null or nowhere is left out."""
    shown = show or fallback(result)
    every = (
        Figure(language.pick(one.label, one.path), said(at(result, one.path), one.format, language)) for one in shown
    )
    return [one for one in every if one.text]


def summary(result: Any, show: tuple[Show, ...], language: Language) -> str:
    """`Orders closed: 45, Transactions: 45`."""
    return ", ".join(f"{one.label}: {one.text}" for one in figures(result, show, language))


def short(result: Any, show: tuple[Show, ...], language: Language) -> str:
    """The figures that have a unit, for a narrow column: `45 trans`, `+5 inhab`."""
    with_unit = (
        (said(at(result, one.path), one.format, language), language.pick(one.short))
        for one in show
        if one.short is not UNSET
    )
    return ", ".join(f"{text} {unit}" for text, unit in with_unit if text)


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


def said(value: Any, format: Format, language: Language) -> str:
    """The value as its format shows it; "" for what is no figure (null, an array, an object)."""
    match value:
        case bool():
            return language.text("yes") if value else language.text("no")
        case int() | float():
            return number(value, format, language)
        case str():
            return value
    return ""


def number(value: float, format: Format, language: Language) -> str:
    """Every digit that it has: 0.0004 is not 0, and 0.99996 is not 1."""
    try:
        exact = Decimal(str(value))
        match format:
            case "money":
                return _money(exact, language)
            case "plus":
                return ("+" if exact >= 0 else "") + _decimal(exact, language)
            case _:
                return _decimal(exact, language)
    except (InvalidOperation, ValueError):  # more digits than a decimal context holds
        return str(value)


def _money(ore: Decimal, language: Language) -> str:
    """Øre as kroner, with decimals only where there are øre left over."""
    kroner = ore / 100
    whole = kroner == kroner.to_integral_value()
    return f"{format_decimal(kroner, '#,##0' if whole else '#,##0.00', locale=language.locale)} kr"


def _decimal(exact: Decimal, language: Language) -> str:
    return format_decimal(exact, locale=language.locale, decimal_quantization=False)


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_+", " ", name).strip().capitalize() or name
