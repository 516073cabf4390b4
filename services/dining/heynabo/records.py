"""Heynabo's records, read leniently and each by itself. Pure.

Nothing in them can be relied on, so every field is asked for by name and kind. A field that can't be used is a
flaw; a record lacks what it takes (an id, a home, a name) is left out, and that is its flaw. Nothing raises.

What is left out still exists at Heynabo: `present` has the ids of all records that name one, usable or not, and
`complete` says whether all do. Only what is in neither may be taken for gone.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Generic, TypeVar
from zoneinfo import ZoneInfo

from msgspec import Struct, structs

COPENHAGEN = ZoneInfo("Europe/Copenhagen")
LARGEST_ID = 2**31 - 1
LONGEST_TEXT = 500
EARLIEST_BIRTH = date(1900, 1, 1)
ROLES = ("admin", "full", "limited")
EMAIL = re.compile(r"[^\s@<>,;:\"]+@[^\s@<>,;:\"]+\.[^\s@<>,;:\".]+")
LONGEST_EMAIL = 254
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""NUL is no text to Postgres, and half of a surrogate pair is no text to anybody."""


class Location(Struct, frozen=True):
    """A household as Heynabo knows it."""

    heynabo_id: int
    name: str
    address: str


class User(Struct, frozen=True):
    """An inhabitant.

    email: of their account, in lower case; None: they are to have none, or, with email_unclear, what they have is
        to be left as it is. phone, is_admin: of the account.
    """

    heynabo_id: int
    location_id: int
    first_name: str
    last_name: str
    picture_url: str | None
    birth_date: date | None
    email: str | None
    email_unclear: bool
    phone: str | None
    is_admin: bool


class Flaw(Struct, frozen=True):
    """item: the record's name, "user 17", or its place in the answer where it has no id."""

    item: str
    text: str


R = TypeVar("R", Location, User)


class Decoded(Struct, Generic[R], frozen=True):
    """records: the usable ones, their ids distinct. present, complete: see the module."""

    records: list[R]
    present: frozenset[int]
    complete: bool
    flaws: list[Flaw]


class Unusable(Exception):
    """A record lacks what it takes. The message says what."""


class Fields:
    """One record's fields, as far as they can be used; gathers what is wrong with the others."""

    def __init__(self, raw: Mapping[str, object]) -> None:
        self.raw = raw
        self.flaws: list[str] = []

    def text(self, name: str) -> str | None:
        """The field's text in one line, None if it has none. A number is text, too."""
        value = self.raw.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            self.flaws.append(f"{name} is not a text")
            return None
        return self._storable(name, str(value)) or None

    def whole(self, name: str) -> int | None:
        """The field's number, if it is one that an id can be."""
        return identifier(self.raw.get(name))

    def day(self, name: str, latest: date) -> date | None:
        """A day from 1900 to `latest`. An instant is the day that it falls on in Copenhagen."""
        text = self.text(name)
        if text is None:
            return None
        day = _day(text)
        if day is None or not EARLIEST_BIRTH <= day <= latest:
            self.flaws.append(f"{name} {text!r} is not a possible date")
            return None
        return day

    def _storable(self, name: str, text: str) -> str:
        clean = UNSTORABLE.sub("", text)
        if clean != text:
            self.flaws.append(f"{name} had characters that can't be stored; they were removed")
        line = " ".join(clean.split())
        if len(line) > LONGEST_TEXT:
            self.flaws.append(f"{name} was cut to {LONGEST_TEXT} characters")
        return line[:LONGEST_TEXT].rstrip()


def locations(raw: Iterable[object]) -> Decoded[Location]:
    """Heynabo's locations, hidden or not."""
    return _decode("location", raw, _location)


def users(raw: Iterable[object], today: date) -> Decoded[User]:
    """Heynabo's users. Of several with one email the lowest id has the account; the others are flawed."""
    decoded = _decode("user", raw, lambda record_id, fields: _user(record_id, fields, today))
    records, flaws = _one_account_per_email(decoded.records)
    return structs.replace(decoded, records=records, flaws=[*decoded.flaws, *flaws])


def identifier(value: object) -> int | None:
    """A positive 32-bit number, also when it is written as text or as 17.0."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,10}", value.strip()):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 1 <= value <= LARGEST_ID else None


def _decode(kind: str, raw: Iterable[object], make: Callable[[int, Fields], R]) -> Decoded[R]:
    records: dict[int, R] = {}
    present: set[int] = set()
    complete = True
    flaws: list[Flaw] = []
    for place, each in enumerate(raw, 1):
        fields = Fields(each if isinstance(each, dict) else {})
        record_id = fields.whole("id")
        item = f"{kind} {record_id}" if record_id else f"{kind} at place {place}"
        try:
            if record_id is None:
                complete = False
                raise Unusable("has no usable id, so it was left out and nothing was deleted")
            present.add(record_id)
            if record_id in records:
                raise Unusable("is there more than once; the first one was used")
            records[record_id] = make(record_id, fields)
        except Unusable as reason:
            fields.flaws.append(str(reason))
        if fields.flaws:
            flaws.append(Flaw(item, "; ".join(fields.flaws)))
    return Decoded(list(records.values()), frozenset(present), complete, flaws)


def _location(record_id: int, fields: Fields) -> Location:
    street, number = fields.text("street"), fields.text("streetNumber")
    town = " ".join(part for part in (fields.text("zipCode"), fields.text("city")) if part)
    door = " ".join(part for part in (street, number) if part) if street else None
    address = fields.text("address") or door
    if not address:
        raise Unusable("has no address, so it was left as it is")
    return Location(record_id, door or address, f"{address}, {town}" if town and town not in address else address)


def _user(record_id: int, fields: Fields, today: date) -> User:
    first, last = fields.text("firstName") or fields.text("alias"), fields.text("lastName")
    if not first and not last:
        raise Unusable("has no name, so it was left as it is")
    location_id = fields.whole("locationId")
    if location_id is None:
        raise Unusable(f"has no usable locationId ({_shown(fields.raw.get('locationId'))}), so it was left as it is")
    role = fields.text("role")
    if role not in ROLES:
        fields.flaws.append(f"role {_shown(role)} is none of {', '.join(ROLES)}; taken for full")
    email = fields.text("email")
    return User(
        heynabo_id=record_id,
        location_id=location_id,
        first_name=first or "",
        last_name=last or "",
        picture_url=fields.text("avatar"),
        birth_date=fields.day("dateOfBirth", today),
        email=None if role == "limited" else _address(email),
        email_unclear=email is None and bool(fields.raw.get("email")) and role != "limited",
        phone=fields.text("phone"),
        is_admin=role == "admin",
    )


def _shown(value: object) -> str:
    """For a message. What has depth is not drawn: it may be deeper than Python can follow."""
    return f"{value!r:.50}" if value is None or isinstance(value, str | int | float) else type(value).__name__


def _address(text: str | None) -> str | None:
    """The email address that this is, in lower case; people also write remarks there."""
    if text is None or len(text) > LONGEST_EMAIL or not EMAIL.fullmatch(text):
        return None
    return text.lower()


def _day(text: str) -> date | None:
    try:
        if len(text) == len("2000-01-01"):
            return date.fromisoformat(text)
        instant = datetime.fromisoformat(text)
        zoned = instant if instant.tzinfo else instant.replace(tzinfo=COPENHAGEN)
        return zoned.astimezone(UTC).astimezone(COPENHAGEN).date()
    except (ValueError, OverflowError):
        return None


def _one_account_per_email(users: list[User]) -> tuple[list[User], list[Flaw]]:
    holders: dict[str, int] = {}
    for user in sorted(users, key=lambda user: user.heynabo_id):
        if user.email:
            holders.setdefault(user.email, user.heynabo_id)
    kept, flaws = [], []
    for user in users:
        if user.email and holders[user.email] != user.heynabo_id:
            text = f"has the email of user {holders[user.email]}, so no account was made or changed for this one"
            flaws.append(Flaw(f"user {user.heynabo_id}", text))
            user = structs.replace(user, email=None, email_unclear=True)
        kept.append(user)
    return kept, flaws
