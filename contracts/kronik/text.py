"""Text from outside made storable: msgspec can't encode a lone surrogate, Postgres can't store NUL."""

ERROR_LIMIT = 8_000
"""Characters of an error message that are kept."""

TRACEBACK_LIMIT = 16_000
"""Characters of a traceback that are kept: of a longer one the beginning and the end."""

_ROOM_FOR_NOTE = 32


def clean(text: str, limit: int = ERROR_LIMIT) -> str:
    """The text with NUL and lone surrogates replaced by U+FFFD and, past limit characters, cut with a note.

    Never longer than limit, so cleaning twice changes nothing. limit: 64 or more.
    """
    if len(text) > limit:
        kept = limit - _ROOM_FOR_NOTE
        text = f"{text[:kept]} … ({len(text) - kept} more characters)"
    if "\0" in text:
        text = text.replace("\0", "�")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def clean_traceback(text: str | None) -> str | None:
    """As `clean`, but what is cut out of a long traceback is its middle: both ends say what happened."""
    if text is None or len(text) <= TRACEBACK_LIMIT:
        return text and clean(text, TRACEBACK_LIMIT)
    head, tail = TRACEBACK_LIMIT // 4, TRACEBACK_LIMIT * 3 // 4 - 2 * _ROOM_FOR_NOTE
    left_out = len(text) - head - tail
    return clean(f"{text[:head]}\n… ({left_out} more characters) …\n{text[-tail:]}", TRACEBACK_LIMIT)
