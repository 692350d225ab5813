"""Invented people, shaped like the accounts of ``accounts.search``. Same seed, same people.

Names come from many countries and alphabets; some people lack fields, some hold quotes, line breaks and separators, so
that a dataflow which mistreats them is found out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

from landbridge.gigya_wire.replies import iso


@dataclass(frozen=True, slots=True)
class _Country:
    code: str
    language: str
    zone: str
    dialling: str
    cities: tuple[tuple[str, str], ...]
    first_names: tuple[tuple[str, str], ...]
    last_names: tuple[str, ...]
    streets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Person:
    """An invented person.

    Attributes:
        account: The account, as ``accounts.search`` returns it.
        subscriptions: The subscriptions of the e-mail address, as ``emailAccounts`` shows them.
        lite: Whether the address also has a lite account.
    """

    account: dict[str, Any]
    subscriptions: dict[str, Any]
    lite: bool


_COUNTRIES: Final = (
    _Country(
        *("CH", "de", "Europe/Zurich", "+41"),
        (("Zürich", "8004"), ("Bern", "3011"), ("Genève", "1204")),
        (("Jürg", "m"), ("Zoë", "f"), ("Urs", "m"), ("Béatrice", "f"), ("Reto", "m"), ("Ursina", "f")),
        ("Müller", "Ammann", "Rüegg", "d'Hondt", "Zgraggen"),
        ("Dorfstrasse", "Bahnhofstrasse"),
    ),
    _Country(
        *("DE", "de", "Europe/Berlin", "+49"),
        (("Köln", "50667"), ("Görlitz", "02826"), ("München", "80331")),
        (("Jörg", "m"), ("Änne", "f"), ("Karl-Heinz", "m"), ("Sören", "m"), ("Mareike", "f")),
        ("Groß", "von der Heide", "Schröder", "Weiß", "Şahin"),
        ("Hauptstraße", "Am Mühlbach"),
    ),
    _Country(
        *("ES", "es", "Europe/Madrid", "+34"),
        (("Málaga", "29001"), ("Bilbao", "48001"), ("A Coruña", "15001")),
        (("Íñigo", "m"), ("Begoña", "f"), ("José María", "m"), ("Lucía", "f")),
        ("Núñez", "García-Page", "Ibáñez", "Peña"),
        ("Calle Mayor", "Avenida de la Constitución"),
    ),
    _Country(
        *("FR", "fr", "Europe/Paris", "+33"),
        (("Besançon", "25000"), ("Nîmes", "30000"), ("L'Haÿ-les-Roses", "94240")),
        (("Loïc", "m"), ("Anaïs", "f"), ("François", "m"), ("Maëlle", "f")),
        ("Lefèvre", "Œuvrard", "N'Diaye", "de La Tour"),
        ("rue de l'Église", "boulevard Voltaire"),
    ),
    _Country(
        *("US", "en", "America/New_York", "+1"),
        (("Boston", "02108"), ("Austin", "73301"), ("Newark", "07102")),
        (("Mary-Ann", "f"), ("Shaun", "m"), ("Latoya", "f"), ("Bob", "m"), ("D'Andre", "m")),
        ("O'Neill", "Smith", 'King "Jr."', "Lee", "Null"),
        ("Main St", "5th Avenue; Rear"),
    ),
    _Country(
        *("JP", "ja", "Asia/Tokyo", "+81"),
        (("東京", "100-0001"), ("大阪", "530-0001")),
        (("陽子", "f"), ("健太", "m"), ("さくら", "f")),
        ("佐藤", "鈴木", "高橋", "髙橋"),
        ("千代田", "梅田"),
    ),
    _Country(
        *("GR", "el", "Europe/Athens", "+30"),
        (("Αθήνα", "104 31"), ("Πάτρα", "262 21")),
        (("Ελένη", "f"), ("Γιώργος", "m"), ("Κωνσταντίνος", "m")),
        ("Παπαδόπουλος", "Νικολάου"),
        ("Ερμού", "Οδός Αθηνάς"),
    ),
    _Country(
        *("PL", "pl", "Europe/Warsaw", "+48"),
        (("Łódź", "90-001"), ("Kraków", "30-001")),
        (("Łukasz", "m"), ("Małgorzata", "f"), ("Żaneta", "f")),
        ("Dąbrowski", "Wójcik", "Źrebiec"),
        ("ulica Długa", "plac Wolności"),
    ),
    _Country(
        *("IL", "he", "Asia/Jerusalem", "+972"),
        (("תל אביב", "6100000"), ("חיפה", "3100000")),
        (("נועה", "f"), ("איתי", "m")),
        ("כהן", "לוי"),
        ("רחוב הרצל", "אבן גבירול"),
    ),
    _Country(
        *("BR", "pt", "America/Sao_Paulo", "+55"),
        (("São Paulo", "01000-000"), ("Belém", "66000-000")),
        (("João", "m"), ("Conceição", "f"), ("Antônio", "m")),
        ("Gonçalves", "dos Santos", "Assunção"),
        ("Rua São José", "Avenida Paulista"),
    ),
)
_INTERESTS: Final = ("ski", "tennis", "cooking", "opera", "hiking", "cycling; off-road", "books, used")
_LIKES: Final = (("Opera", "Music"), ("FC Zürich", "Sport"), ("Dune", "Book"), ("Amélie", "Movie"), ("Chess", "Game"))
_BOOKS: Final = ("Momo", "Cien años de soledad", 'The "Trial"', "坊っちゃん")
_TIERS: Final = ("bronze", "silver", "gold")
_SUBSCRIPTIONS: Final = ("newsletter", "offers", "events")
_SOURCES: Final = ("web", "app", "shop", "https://www.example.com/join")
_BEGIN_MS: Final = int(datetime(2019, 1, 1, tzinfo=UTC).timestamp() * 1000)
_SPAN_MS: Final = 5 * 365 * 86_400_000
_DAY_MS: Final = 86_400_000
_UUID_SET: Final = 0x4 << 76 | 0x2 << 62
_UUID_KEPT: Final = ~(0xF << 76 | 0x3 << 62)
"""Random bits become a UUID of version 4, as accounts have it."""


def people(number: int, *, seed: int = 1) -> Iterator[dict[str, Any]]:
    """Yield ``number`` accounts as ``accounts.search`` returns them."""
    return (person.account for person in population(number, seed=seed))


def population(number: int, *, seed: int = 1) -> Iterator[Person]:
    """Yield ``number`` people with what belongs to them."""
    random = Random(seed)  # noqa: S311 - invented data, no secrets
    return (_person(random, index) for index in range(number))


def _person(random: Random, index: int) -> Person:
    chance = random.random
    country = _COUNTRIES[int(chance() * len(_COUNTRIES))]
    first, gender = country.first_names[int(chance() * len(country.first_names))]
    last = country.last_names[int(chance() * len(country.last_names))]
    email = f"person{index}@example.com"
    uid = f"{random.getrandbits(128) & _UUID_KEPT | _UUID_SET:032x}"
    created = _BEGIN_MS + int(chance() * _SPAN_MS)
    registered = created + int(chance() * 600_000)
    updated = registered + int(chance() * 400 * _DAY_MS)
    logged_in = updated - int(chance() * (updated - registered))
    verified = registered + int(chance() * _DAY_MS) if chance() < 0.7 else None  # noqa: PLR2004 - a share of the people
    tier = min(2, int(chance() * chance() * 6))
    points = tier * 1000 + int(chance() * 1000)
    account = {
        "UID": uid,
        **_moment("created", created),
        **_moment("lastUpdated", updated),
        **_moment("oldestDataUpdated", registered),
        **_moment("lastLogin", logged_in),
        **_moment("registered", registered),
        **(_moment("verified", verified) if verified else {}),
        "isActive": chance() >= 0.02,  # noqa: PLR2004 - a share of the people
        "isRegistered": True,
        "isVerified": verified is not None,
        "loginProvider": "site",
        "socialProviders": "site",
        "regSource": _SOURCES[int(chance() * len(_SOURCES))],
        "loginIDs": {"emails": [email], "unverifiedEmails": []},
        "emails": {"verified": [email], "unverified": []} if verified else {"verified": [], "unverified": [email]},
        "identities": [],
        "profile": _profile(random, country, first, last, gender, email),
        "data": {
            "subscribed": chance() < 0.5,  # noqa: PLR2004 - half of the people
            "score": round(chance() * 100, 2),
            "interests": [interest for interest in _INTERESTS if chance() < 0.2],  # noqa: PLR2004 - a share
            "loyalty": {"tier": _TIERS[tier], "points": points, "since": iso(registered)[:10]},
        },
        "preferences": _consents(random, country.language, registered, updated),
        "iRank": int(chance() * 100),
    }
    return Person(account, _subscriptions(random, registered, updated), lite=chance() < 0.1)  # noqa: PLR2004 - a share


def _profile(random: Random, country: _Country, first: str, last: str, gender: str, email: str) -> dict[str, Any]:
    chance = random.random
    city, postcode = country.cities[int(chance() * len(country.cities))]
    year = 1940 + int(chance() * 66)
    profile: dict[str, Any] = {
        "email": email,
        "firstName": first,
        "lastName": last,
        "gender": gender,
        "birthYear": year,
        "birthMonth": 1 + int(chance() * 12),
        "birthDay": 1 + int(chance() * 28),
        "city": city,
        "zip": postcode,
        "country": country.code,
        "locale": country.language,
        "timezone": country.zone,
    }
    if chance() < 0.6:  # noqa: PLR2004 - a share of the people
        street = country.streets[int(chance() * len(country.streets))]
        profile["address"] = f"{street} {int(chance() * 200)}\n2nd floor"
    if chance() < 0.4:  # noqa: PLR2004 - a share of the people
        kind = "mobile" if chance() < 0.7 else "home"  # noqa: PLR2004 - a share of the people
        profile["phones"] = [{"type": kind, "number": f"{country.dialling} {100_000_000 + int(chance() * 9e8)}"}]
    if chance() < 0.3:  # noqa: PLR2004 - a share of the people
        profile["nickname"] = f"{first} the " + ("great", "quick", '"bold"')[int(chance() * 3)]
    if chance() < 0.25:  # noqa: PLR2004 - a share of the people
        profile["likes"] = [
            {"name": name, "category": category, "time": "2023-05-01T10:00:00Z"}
            for name, category in _LIKES
            if chance() < 0.5  # noqa: PLR2004 - half of them
        ]
    if chance() < 0.15:  # noqa: PLR2004 - a share of the people
        profile["favorites"] = {"books": [{"name": _BOOKS[int(chance() * len(_BOOKS))], "category": "Book"}]}
    return profile


def _consents(random: Random, language: str, registered: int, updated: int) -> dict[str, Any]:
    chance = random.random
    consents = {"terms": {"tos": _consent(language, registered, granted=True)}}
    if chance() < 0.8:  # noqa: PLR2004 - a share of the people
        marketing = _consent(language, updated, granted=chance() < 0.6)  # noqa: PLR2004 - a share of the people
        consents["privacy"] = {"marketing": marketing}
    return consents


def _consent(language: str, moment: int, *, granted: bool) -> dict[str, Any]:
    text = iso(moment)
    return {
        "isConsentGranted": granted,
        "docVersion": 1.0,
        "lang": language,
        "lastConsentModified": text,
        "actionTimestamp": text,
        "tags": [],
    }


def _subscriptions(random: Random, registered: int, updated: int) -> dict[str, Any]:
    chance = random.random
    result: dict[str, Any] = {}
    for name in _SUBSCRIPTIONS:
        draw = chance()
        if draw < 0.4:  # noqa: PLR2004 - a share of the people never decided
            continue
        wanted = draw < 0.8  # noqa: PLR2004 - a share of the people
        confirmed = wanted and chance() < 0.8  # noqa: PLR2004 - a share of the people
        result[name] = {
            "email": {
                "isSubscribed": wanted,
                "tags": ["web"] if chance() < 0.3 else None,  # noqa: PLR2004 - a share of the people
                "lastUpdatedSubscriptionState": iso(updated if wanted else registered),
                "doubleOptIn": {
                    "status": "Confirmed" if confirmed else "NotConfirmed",
                    "emailSentTime": iso(registered) if confirmed else None,
                    "confirmTime": iso(updated) if confirmed else None,
                    "doiConditionallyConfirmed": None,
                },
            }
        }
    return result


def _moment(name: str, timestamp_ms: int) -> dict[str, Any]:
    return {name: iso(timestamp_ms), f"{name}Timestamp": timestamp_ms}
