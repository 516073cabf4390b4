"""Instants as they are typed."""

from datetime import UTC, datetime

from services.cli.usage import BadUsage


def instant(text: str) -> str:
    """In UTC, as the API takes it; this machine's time zone where the text says none. Raises BadUsage."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError):
        raise BadUsage(f"{text}: expected an instant like 2026-12-01T08:00 or 2026-12-01T08:00:00+01:00") from None


def moment(text: str | None) -> str | None:
    """An instant or an event's sequence, as the API takes it for `asOf`. Raises BadUsage."""
    return text if text is None or text.isdecimal() else instant(text)
