"""What a command was asked that makes no sense."""

from kronik import KronikError


class BadUsage(KronikError):
    """An argument that can't be read, or an order that was not confirmed; the message says what is expected."""
