"""Text from outside made storable: msgspec can't encode a lone surrogate, Postgres can't store NUL."""

ERROR_LIMIT = 8_000
"""Characters of an error message that are kept."""

_ROOM_FOR_NOTE = 32


def clean(text: str, limit: int = ERROR_LIMIT) -> str:
    """The text with NUL and lone surrogates replaced by U+FFFD and, past limit characters, cut with a note.

    Never longer than limit, so cleaning twice changes nothing. limit: 64 or more.
    """
    if len(text) > limit:
        kept = limit - _ROOM_FOR_NOTE
        text = f"{text[:kept]} … ({len(text) - kept} more characters)"
    text = text.replace("\0", "�")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
