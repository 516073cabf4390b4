"""How a result is shown, as data: the panel draws a summary for a job it has never seen."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

Format = Literal["number", "plus", "money"]
Text = dict[str, str]
"""A text per language: {"da": ..., "en": ...}."""


class Show(Struct, frozen=True, omit_defaults=True):
    """One figure of a result in the panel.

    path: where it stands in the result's JSON, steps joined by dots: "scaffold.created".
        A path that leads to null or nowhere is left out.
    label: its name per language, in front of the figure: "Orders closed: 45".
    format: `number`; `plus` puts a sign in front; `money` is øre, shown as kroner.
    short: a unit per language. A figure that has one is shown in the history's
        Result column, the unit behind it: "45 trans".
    """

    path: str
    label: Text
    format: Format = "number"
    short: Text | UnsetType = UNSET
