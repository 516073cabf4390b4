"""A made-up co-housing community, as Heynabo would tell of it. Pure: the same seed makes the same people.

A household is drawn from the seed and its own number alone, so a larger community begins with the smaller one.
It has the irregularities of real data that are no errors: house numbers that are text, numbers or absent,
e-mail fields that hold remarks, unknown birth dates, fields that are missing, fields that nobody documented.
"""

from datetime import date, timedelta
from random import Random
from typing import Any

from msgspec import Struct

Record = dict[str, Any]

HOUSEHOLDS = 120
FIRST_LOCATION, FIRST_USER, USERS_PER_HOME = 101, 1001, 10
BORN_BEFORE = date(2026, 1, 1)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


GIRLS = _words(
    "Alma Agnes Anna Astrid Bodil Camilla Clara Ditte Ella Emma Esther Freja Gry Hanne Ida Ingrid Johanne Josefine"
    " Karen Karla Kirsten Laura Lene Liv Maja Marie Merle Nanna Olivia Pernille Rikke Signe Sofie Solveig Thea Vigga"
)
BOYS = _words(
    "Aksel Albert Anders Anton Asger Bjørn Carl Christian Elias Emil Erik Frederik Gustav Hans Jens Johan Jørgen"
    " Kasper Lars Lauge Magnus Malthe Mikkel Niels Noah Oskar Ole Peter Rasmus Storm Søren Thomas Valdemar Villads"
)
SURNAMES = _words(
    "Andersen Bach Bech Bjerre Brandt Christensen Dahl Dam Eskildsen Friis Frost Gregersen Hansen Hedegaard Holm"
    " Iversen Jensen Juhl Kjær Kofoed Krogh Larsen Lassen Lund Madsen Mikkelsen Møller Nielsen Nygaard Olsen Overgaard"
    " Poulsen Ravn Riis Schmidt Skov Sørensen Thomsen Toft Vestergaard Winther Østergaard Åkjær"
)
LANES = ("Skrænten", "Engkanten", "Bakkekammen", "Stibroen")
HOMES = (((1, 0), 25), ((2, 0), 25), ((2, 1), 15), ((2, 2), 20), ((1, 1), 10), ((2, 3), 5))
"""(adults, children) of a household, with weights."""

ASCII = str.maketrans({"æ": "ae", "ø": "oe", "å": "aa", "Æ": "ae", "Ø": "oe", "Å": "aa"})


class Community(Struct, frozen=True):
    """Heynabo's two lists: decoded JSON objects with the keys of its API."""

    locations: list[Record]
    users: list[Record]


def community(seed: int, households: int = HOUSEHOLDS) -> Community:
    """The community of this seed. `households` is at least 1."""
    homes = [_home(seed, number) for number in range(households)]
    return Community([location for location, _ in homes], [user for _, users in homes for user in users])


def _home(seed: int, number: int) -> tuple[Record, list[Record]]:
    draw = Random(f"{seed}/{number}")
    location = _location(draw, number)
    adults, children = draw.choices([home for home, _ in HOMES], [weight for _, weight in HOMES])[0]
    surnames = draw.sample(SURNAMES, 2)
    people = [_adult(draw, surnames[i]) for i in range(adults)]
    people += [_child(draw, surnames[0]) for _ in range(children)]
    first = FIRST_USER + number * USERS_PER_HOME
    return location, [_user(draw, first + i, location["id"], person) for i, person in enumerate(people)]


def _location(draw: Random, number: int) -> Record:
    lane, house = LANES[number % len(LANES)], number // len(LANES) + 1
    extension = draw.choice(("A", "B")) if draw.random() < 0.1 else ""
    location: Record = {
        "id": FIRST_LOCATION + number,
        "type": "location",
        "address": f"{lane} {house}{extension}",
        "street": lane,
        "streetNumber": draw.choice((house, str(house))) if not extension else f"{house}{extension}",
        "floor": draw.choice((None, None, None, "st.", "1")),
        "ext": None,
        "map": None,
        "city": "Bakkerup",
        "zipCode": draw.choice(("4999", "4999", None)),
        "typeId": 1,
        "hidden": draw.random() < 0.05,
    }
    if draw.random() < 0.03:
        location |= {"address": f"{lane}, over værkstedet ({house})", "street": None, "streetNumber": None}
    if draw.random() < 0.2:
        location["coordinates"] = {"lat": 55.6, "lng": 11.9}
    if draw.random() < 0.1:
        del location["map"], location["ext"]
    return location


def _adult(draw: Random, surname: str) -> Record:
    born = BORN_BEFORE - timedelta(days=draw.randint(24 * 365, 82 * 365))
    first = draw.choice(GIRLS + BOYS)
    phone = " ".join(f"{draw.randint(10, 99)}" for _ in range(4))
    return {
        "firstName": first,
        "lastName": surname,
        "dateOfBirth": None if draw.random() < 0.05 else born.isoformat(),
        "role": "admin" if draw.random() < 0.04 else "full",
        "phone": draw.choice((phone, phone, f"+45 {phone}", f"{phone} (efter kl. 17)", None)),
        "emergencyContact": draw.choice((None, None, "Naboen har nøgle")),
    }


def _child(draw: Random, surname: str) -> Record:
    born = BORN_BEFORE - timedelta(days=draw.randint(60, 17 * 365))
    return {
        "firstName": draw.choice(GIRLS + BOYS),
        "lastName": surname,
        "dateOfBirth": born.isoformat(),
        "role": "limited",
        "phone": None,
        "emergencyContact": None,
    }


def _user(draw: Random, user_id: int, location_id: int, person: Record) -> Record:
    user: Record = {
        "id": user_id,
        "type": "user",
        "email": _email(draw, user_id, person),
        **person,
        "description": draw.choice(("", None, "Synger i koret")),
        "uiStorage": None,
        "roles": draw.choice((None, [], ["kitchen"])),
        "avatar": draw.choice((None, f"https://heynabo.example/avatars/{user_id}.jpg")),
        "alias": None,
        "locationId": location_id,
        "isFirstLogin": draw.random() < 0.1,
        "lastLogin": draw.choice((None, "2026-09-14T17:21:09.000Z")),
        "inviteSent": "2024-08-01T08:00:00.000Z",
        "created": "2024-08-01T08:00:00.000Z",
    }
    if draw.random() < 0.2:
        user["pronouns"] = "de/dem"
    if draw.random() < 0.1:
        del user["alias"], user["uiStorage"], user["description"]
    return user


def _email(draw: Random, user_id: int, person: Record) -> str | None:
    name = f"{person['firstName']}.{person['lastName']}".translate(ASCII).lower()
    address = f"{name}.{user_id}@example.org"
    if person["role"] == "limited":
        return draw.choice((None, None, address))
    if person["role"] == "full" and draw.random() < 0.04:
        return draw.choice((None, "har ikke mail"))
    return draw.choice((address, address, address.title()))
