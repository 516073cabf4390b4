"""Text from outside made harmless to a terminal, which obeys what is written to it.

An escape sequence may write the clipboard (OSC 52), move the cursor or rename the window; one C1 character begins the
same; bidirectional and invisible characters show a line as another one. What is visible stays, and so do new line and
tab. Source: ECMA-48; Unicode's general categories Cc, Cf, Zl, Zp and Cs.
"""

import re
from typing import Final

_STRING: Final = r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90-\x9f]*(?:\x07|\x1b\\|\x9c)"
_CSI: Final = r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
_SHORT: Final = r"\x1b[ -/]*[0-~]"
_SEQUENCE: Final = re.compile(f"{_STRING}|{_CSI}|{_SHORT}")

_CONTROLS: Final = "\x00-\x08\x0b-\x1f\x7f-\x9f"
_INVISIBLE: Final = (
    "\xad\u061c\u070f\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f"
)
_SURROGATES: Final = "\ud800-\udfff"
_HARMFUL: Final = re.compile(f"[{_CONTROLS}{_INVISIBLE}{_SURROGATES}]")
_NEW_LINES: Final = re.compile(r"\s*[\n\t]\s*")


def printable(text: str) -> str:
    """The text without escape sequences, control and invisible characters; doing it twice changes nothing."""
    return _HARMFUL.sub("", _SEQUENCE.sub("", text))


def one_line(text: str) -> str:
    """Printable, and no line break with which data could pass for a line of ours."""
    return _NEW_LINES.sub(" ", printable(text).strip())


def escaped_in_json(json: str) -> str:
    """The same JSON document, with what a terminal would obey written as `\\uXXXX`. json: of one value, as encoded."""
    return _HARMFUL.sub(lambda found: _escape(found[0]), json)


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in zip(units[::2], units[1::2], strict=True))
