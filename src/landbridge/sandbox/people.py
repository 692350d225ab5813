"""Invented customer accounts, shaped like those of Gigya's ``accounts.search``. Same seed, same people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final
from uuid import UUID


@dataclass(frozen=True, slots=True)
class _Country:
    code: str
    language: str
    dialling: str
    cities: tuple[tuple[str, str], ...]
    first_names: tuple[tuple[str, str], ...]
    last_names: tuple[str, ...]


_COUNTRIES: Final = (
    _Country(
        *("CH", "de", "+41"),
        (("Zürich", "8004"), ("Bern", "3011"), ("Genève", "1204")),
        (("Jürg", "m"), ("Zoë", "f"), ("Urs", "m"), ("Béatrice", "f")),
        ("Müller", "Ammann", "Rüegg", "d'Hondt"),
    ),
    _Country(
        *("ES", "es", "+34"),
        (("Málaga", "29001"), ("Bilbao", "48001"), ("A Coruña", "15001")),
        (("Íñigo", "m"), ("Begoña", "f"), ("José María", "m"), ("Lucía", "f")),
        ("Núñez", "García-Page", "Ibáñez", "Peña"),
    ),
    _Country(
        *("US", "en", "+1"),
        (("Boston", "02108"), ("Austin", "73301"), ("Newark", "07102")),
        (("Mary-Ann", "f"), ("Shaun", "m"), ("Latoya", "f"), ("Bob", "m")),
        ("O'Neill", "Smith", 'King "Jr."', "Lee"),
    ),
    _Country(
        *("JP", "ja", "+81"),
        (("東京", "100-0001"), ("大阪", "530-0001")),
        (("陽子", "f"), ("健太", "m"), ("さくら", "f")),
        ("佐藤", "鈴木", "高橋"),
    ),
    _Country(
        *("GR", "el", "+30"),
        (("Αθήνα", "104 31"), ("Πάτρα", "262 21")),
        (("Ελένη", "f"), ("Γιώργος", "m")),
        ("Παπαδόπουλος", "Νικολάου"),
    ),
)
_INTERESTS: Final = ("ski", "tennis", "cooking", "opera", "hiking", "cycling; off-road", "books, used")
_BEGIN: Final = datetime(2019, 1, 1, tzinfo=UTC)
_SPAN_S: Final = 5 * 365 * 86_400


def people(number: int, *, seed: int = 1) -> Iterator[dict[str, Any]]:
    """Yield ``number`` accounts; some lack fields, some hold quotes, line breaks and letters of many alphabets."""
    random = Random(seed)  # noqa: S311 - invented data, no secrets
    for index in range(number):
        yield _person(random, index)


def _person(random: Random, index: int) -> dict[str, Any]:
    country = random.choice(_COUNTRIES)
    first, gender = random.choice(country.first_names)
    last = random.choice(country.last_names)
    city, postcode = random.choice(country.cities)
    email = f"person{index}@example.com"
    created = _BEGIN + timedelta(seconds=random.randrange(_SPAN_S))
    updated = created + timedelta(days=random.randrange(400))
    profile: dict[str, Any] = {
        "email": email,
        "firstName": first,
        "lastName": last,
        "gender": gender,
        "birthYear": random.randrange(1940, 2006),
        "birthMonth": random.randrange(1, 13),
        "birthDay": random.randrange(1, 29),
        "city": city,
        "zip": postcode,
        "country": country.code,
        "locale": country.language,
    }
    if random.random() < 0.6:  # noqa: PLR2004 - a share of the people
        profile["address"] = (
            f"{random.choice(('Main St', 'Calle Mayor', 'Dorfstrasse'))} {random.randrange(200)}\n2nd floor"
        )
    if random.random() < 0.4:  # noqa: PLR2004 - a share of the people
        number = f"{country.dialling} {random.randrange(10**8, 10**9)}"
        profile["phones"] = [{"type": random.choice(("mobile", "home")), "number": number}]
    if random.random() < 0.3:  # noqa: PLR2004 - a share of the people
        profile["nickname"] = f"{first} the " + random.choice(("great", "quick", '"bold"'))
    return {
        "UID": UUID(int=random.getrandbits(128), version=4).hex,
        "profile": profile,
        "data": {
            "subscribed": random.random() < 0.5,  # noqa: PLR2004 - half of the people
            "score": round(random.random() * 100, 2),
            "interests": random.sample(_INTERESTS, random.randrange(3)),
        },
        "isActive": True,
        "isRegistered": True,
        "created": _iso(created),
        "createdTimestamp": int(created.timestamp() * 1000),
        "lastUpdated": _iso(updated),
        "lastUpdatedTimestamp": int(updated.timestamp() * 1000),
        "loginIDs": {"emails": [email], "unverifiedEmails": []},
    }


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
