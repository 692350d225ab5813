"""Seeded test data. The same parameters give the same bytes on every machine.

Run as a process of its own (``python -m benchmarks.generate``), so that the harness stays small: what a process has in
memory when it starts another one counts as that one's peak.
"""

from __future__ import annotations

import csv
import io
import json
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from landbridge.site.people import people

_BLOCK_RECORDS = 5_000
_FIRST = (
    "Anna", "Zoë", "José", "Łukasz", "Mary-Jane", "Ñuria", "Søren", "Chloé", "Müslüm", "李娜", "Олена", "Aïcha",
    "Jürg", "Beat", "Dilan", "Noah", "Émile", "Maeve", "Þóra", "Ben", "Σοφία", "Tom", "Yuki", "Ana", "Liam", "Mia",
    "Emma", "Paul",
)  # fmt: skip
_LAST = (
    "Müller", "O'Neill", "Nuñez", "van der Meer", "Øverland", "Smith; Sons", "García Márquez", "Dvořák", "Keller",
    "Weiß", "Å", "Κωνσταντίνου", "Иваненко", "佐藤", "Rossi", "d'Angelo", "Brown|White", "Meier", "Schmid", "Huber",
    "Favre", "Lee",
)  # fmt: skip
_STREET = (
    "Bahnhofstrasse", "Rue de l'Église", 'Chalet "Edelweiß"', "Main St", "Calle Mayor", "Žižkova", "Kärntner Straße",
    "Via Roma", "Grand'Rue", 'Hof "Zur Post"',
)  # fmt: skip
_CITY = ("Zürich", "Genève", "Wien", "München", "Málaga", "Łódź", "Oslo", "London", "Roma", "Brno", "Köln", "Basel")
_COUNTRY = ("CH", "DE", "AT", "FR", "IT", "ES", "GB", "PL", "CZ", "NO")
_TEXT = (
    "Likes long walks,", 'calls it "home";', "reads, cooks,", "naïve façade", "café\tnoir", "ski & snowboard",
    "100 % vegetarian", "🙂 always on time", "father of three", "line one\nline two", "C:\\temp", "tea > coffee",
)  # fmt: skip
_TOPICS = ("ski", "tennis", "running", "cooking", "travel", "music", "gardening", "football")
_PROVIDERS = ("site", "site", "site", "facebook", "google", "apple")


def accounts(count: int, *, seed: int, nulls: float = 0.0) -> Iterator[bytes]:
    """Blocks of JSON lines: nested accounts of about 800 bytes as an identity site returns them.

    Mixed types, non-ASCII letters, quotes, newlines, arrays of objects, and fields that some records lack.

    Args:
        count: Number of records.
        seed: Start of the random numbers.
        nulls: Share of records with an explicit null and an empty object.
    """
    random = Random(seed)
    encode = msgspec.json.Encoder().encode_lines
    block: list[dict[str, Any]] = []
    for number in range(count):
        block.append(_account(random, number, nulls))
        if len(block) == _BLOCK_RECORDS:
            yield encode(block)
            block = []
    if block:
        yield encode(block)


def _account(random: Random, number: int, nulls: float) -> dict[str, Any]:
    draw = random.random
    bits = random.getrandbits(64)
    first = _FIRST[bits % 28]
    last = _LAST[(bits >> 5) % 22]
    when = 1_500_000_000_000 + (bits >> 10) % 250_000_000_000
    day = f"20{17 + (bits >> 40) % 9}-{1 + (bits >> 44) % 12:02}-{1 + (bits >> 48) % 28:02}"
    email = f"user{number}.{(bits >> 16) % 10_000}@example.{'com' if bits & 1 else 'org'}"
    profile: dict[str, Any] = {
        "firstName": first,
        "lastName": last,
        "email": email,
        "birthYear": 1940 + (bits >> 20) % 70,
        "country": _COUNTRY[(bits >> 24) % 10],
        "zip": f"{(bits >> 28) % 100_000:05}",
        "city": _CITY[(bits >> 32) % 12],
    }
    if draw() < 0.6:
        profile["gender"] = "f" if bits & 2 else "m"
    if draw() < 0.8:
        profile["address"] = f"{_STREET[(bits >> 36) % 10]} {bits % 300}\n{profile['zip']} {profile['city']}"
    if draw() < 0.4:
        profile["bio"] = f"{_TEXT[(bits >> 4) % 12]} {_TEXT[(bits >> 9) % 12]}"
    if draw() < 0.5:
        profile["phones"] = [
            {"type": "mobile" if at else "home", "number": f"+41 {(bits >> at) % 10**9:09}"}
            for at in range(1 + (bits >> 13) % 2)
        ]
    data: dict[str, Any] = {
        "newsletter": bool(bits & 4),
        "score": ((bits >> 6) % 100_000) / 1000,
        "points": (bits >> 8) % 50_000,
        "memberCode": (bits >> 12) % 10**8 if draw() < 0.1 else f"M-{(bits >> 12) % 10**8:08}",
        "interests": [
            {"name": _TOPICS[(bits >> at) % 8], "weight": (bits >> at) % 10} for at in range((bits >> 52) % 3)
        ],
    }
    if draw() < nulls:
        profile["nickname"] = None
        data["extension"] = {}
    account: dict[str, Any] = {
        "UID": f"{bits:016x}{number:016x}",
        "created": f"{day}T{bits % 24:02}:{bits % 60:02}:07.120Z",
        "createdTimestamp": when,
        "lastUpdated": f"{day}T23:{bits % 60:02}:59.001Z",
        "isActive": bool(bits & 7),
        "isRegistered": True,
        "isVerified": bool(bits & 8),
        "loginProvider": _PROVIDERS[bits % 6],
        "profile": profile,
        "data": data,
        "emails": {"verified": [email] if bits & 8 else [], "unverified": [] if bits & 8 else [email]},
        "preferences": {"terms": {"site": {"isConsentGranted": True, "docVersion": 2.1, "lastConsentModified": day}}},
    }
    if draw() < 0.9:
        account["subscriptions"] = {"weekly": {"email": {"isSubscribed": bool(bits & 16), "doubleOptIn": day}}}
    return account


CSV_COLUMNS = (
    "RIID", "CUSTOMER_ID", "EMAIL", "FIRST NAME", "LAST NAME", "COUNTRY", "CITY", "ZIP", "STREET", "PHONE", "OPT_IN",
    "SCORE", "LAST_OPEN", "COMMENT", "SOURCE",
)  # fmt: skip


def table(count: int, *, seed: int) -> Iterator[bytes]:
    """Blocks of a CSV file with 15 columns; about a tenth of the cells is empty, some need quotes."""
    random = Random(seed)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for number in range(count):
        writer.writerow(_row(random, number))
        if number % _BLOCK_RECORDS == _BLOCK_RECORDS - 1:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def _row(random: Random, number: int) -> list[Any]:
    draw = random.random
    bits = random.getrandbits(64)
    return [
        number + 10_000_000,
        f"{bits:016x}{number:016x}",
        f"user{number}.{bits % 10_000}@example.com",
        _FIRST[bits % 28],
        _LAST[(bits >> 5) % 22],
        _COUNTRY[(bits >> 24) % 10],
        _CITY[(bits >> 32) % 12] if draw() < 0.9 else "",
        f"{(bits >> 28) % 100_000:05}",
        f"{_STREET[(bits >> 36) % 10]} {bits % 300}" if draw() < 0.8 else "",
        f"+41 {bits % 10**9:09}" if draw() < 0.5 else "",
        "I" if bits & 16 else "O",
        ((bits >> 6) % 100_000) / 1000,
        f"20{17 + (bits >> 40) % 9}-{1 + (bits >> 44) % 12:02}-{1 + (bits >> 48) % 28:02} 07:{bits % 60:02}:00",
        f"{_TEXT[(bits >> 4) % 12]} {_TEXT[(bits >> 9) % 12]}" if draw() < 0.4 else "",
        "web",
    ]


def noise(count: int, *, seed: int) -> Iterator[bytes]:
    """``count`` MiB that do not compress."""
    random = Random(seed)
    for _ in range(count):
        yield random.randbytes(1 << 20)


def changes(count: int, *, seed: int) -> Iterator[bytes]:
    """Blocks of JSON lines: a change of the data of each of the first ``count`` people of a local site."""
    random = Random(seed)
    for person in people(count, seed=seed):
        change = {"UID": person["UID"], "data": {"score": random.randrange(1000), "segment": random.choice(_TOPICS)}}
        yield msgspec.json.encode(change) + b"\n"


GENERATORS: dict[str, Callable[..., Iterator[bytes]]] = {
    "accounts": accounts,
    "changes": changes,
    "noise": noise,
    "table": table,
}


def write(target: Path, *, generator: str, count: int, params: dict[str, Any]) -> None:
    """Write a data file; a name that ends with ``.gz`` is compressed."""
    compressor = zlib.compressobj(6, zlib.DEFLATED, 31) if target.suffix == ".gz" else None
    with target.open("wb") as file:
        for block in GENERATORS[generator](count, **params):
            file.write(compressor.compress(block) if compressor else block)
        if compressor:
            file.write(compressor.flush())


if __name__ == "__main__":
    place, name, how_many, given = sys.argv[1:]
    write(Path(place), generator=name, count=int(how_many), params=json.loads(given))
