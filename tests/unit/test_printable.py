"""What a terminal would obey does not get there, and what is visible does."""

import io
import json
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from services.cli import terminal
from services.infra.printable import escaped_in_json, one_line, printable

HARMFUL = {"Cc", "Cf", "Zl", "Zp", "Cs"}
VISIBLE_CF = set(map(chr, [*range(0x600, 0x606), 0x6DD, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD]))
"""Marks of Arabic and Kaithi numbers, which are format characters to Unicode and yet seen."""


def is_harmful(character: str) -> bool:
    return unicodedata.category(character) in HARMFUL and character not in VISIBLE_CF | {"\n", "\t"}


def test_every_control_and_invisible_character_of_unicode_is_taken_out() -> None:
    left = [character for character in map(chr, range(sys.maxunicode + 1)) if is_harmful(printable(character) or "x")]
    assert left == []


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a\x1b]52;c;cm0gLXJmIH4=\x07b", "ab"),
        ("a\x1b]52;c;cm0gLXJmIH4=\x1b\\b", "ab"),
        ("a\x9d52;c;cm0=\x9cb", "ab"),
        ("a\x1b]8;;http://evil.test\x1b\\link\x1b]8;;\x1b\\b", "alinkb"),
        ("a\x1b[31;1mred\x1b[0m\x9b2Jb", "aredb"),
        ("a\x1b[>0;1$pb\x1bcd\x1b(Be", "abde"),
        ("a\x1bP+q544e\x1b\\b\x1b_apc\x07c", "abc"),
        ("never ended \x1b]52;c;AAAA", "never ended 52;c;AAAA"),
        ("nested \x1b\x1b[[31m31mX", "nested 31m31mX"),
        ("bidi \u202egpj.exe\u2066\u200f", "bidi gpj.exe"),
        ("zero\u200b\ufeff\u2060width", "zerowidth"),
        ("tags\U000e0041\U000e0042", "tags"),
        ("lone \ud800 surrogate", "lone  surrogate"),
        ("lines\r\nstay\tas they are", "lines\nstay\tas they are"),
        ("[/x] [bold]markup[/bold] :boom:", "[/x] [bold]markup[/bold] :boom:"),
        ("æøå 👍 ⚠️ 日本語", "æøå 👍 ⚠️ 日本語"),
    ],
)
def test_what_is_left_of_it(text: str, seen: str) -> None:
    assert printable(text) == seen


@given(st.text(st.sampled_from("ab[]0;\x1b\x07\x9b\x9c\x9d\\PX^_m\u202e\n")))
def test_nothing_is_left_to_obey_however_it_is_put_together(text: str) -> None:
    seen = printable(text)
    assert printable(seen) == seen
    assert not any(map(is_harmful, seen))
    assert "\n" not in one_line(text)


@given(st.text().map(lambda text: text.encode("utf-8", "replace").decode()))
def test_json_for_scripts_says_all_of_it(text: str) -> None:
    encoded = escaped_in_json(json.dumps({text: text}, ensure_ascii=False))
    assert json.loads(encoded) == {text: text}
    assert not any(map(is_harmful, encoded))


HOSTILE = "x\x1b]52;c;cm0gLXJmIH4=\x07[/x]\x9b2J\u202e\u200b"


def test_everything_that_is_printed_goes_through_the_one_door() -> None:
    table = terminal.table("Plain", "Text", "Cut")
    table.add_row(HOSTILE, Text(HOSTILE, style="red"), terminal.cut(HOSTILE))
    for thing in (HOSTILE, Text(HOSTILE), Text.assemble((HOSTILE, "bold"), HOSTILE), table):
        for color in ("truecolor", None):
            file = io.StringIO()
            door = terminal.Door(file=file, width=100, color_system=color, force_terminal=True)
            door.print(thing)
            assert "[/x]" in file.getvalue()
            assert not any(character in file.getvalue() for character in "\x07\x9b\u202e\u200b")
            assert "\x1b]" not in file.getvalue()
