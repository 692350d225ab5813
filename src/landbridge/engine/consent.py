"""Consent in records: which fields say it, who withdrew it when, and which records would raise it without a new yes.

A write may lower consent freely. It may raise it only where the record carries the time of a consent that is newer
than the last known opt-out of the same person for the same purpose.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from landbridge.errors import StorageError
from landbridge.records import Batch, columns as col
from landbridge.records.consents import FLAGS, moment, yes_or_no
from landbridge.records.objects import ABSENT, get
from landbridge.records.path import Path as FieldPath, parse, write

CONSENT_OBJECTS: Final = tuple(FLAGS)
"""The outermost objects of an account that tell consents."""

_ADDRESSES: Final = ("profile.email", "email")
_ESCAPE: Final = "\\u00"
"""In JSON text a letter of a key may be written so."""


@dataclass(frozen=True, slots=True)
class ConsentField:
    """A field of records that tells a consent, where it is not one of the identity site's own.

    Attributes:
        field: Where it stands.
        granted: The values that mean yes, as text; any other value means no.
        purpose: Name of the consent: that of the site's field without its last member, such as
            ``subscriptions.news.email``, so that both directions speak of the same thing.
        time: The field that tells when it was given.
    """

    field: str
    granted: tuple[str, ...]
    purpose: str
    time: str | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """How a record names a person: fields with the UID and the e-mail address."""

    uid: str = "UID"
    addresses: tuple[str, ...] = _ADDRESSES


@dataclass(frozen=True, slots=True)
class OptOut:
    """A person has withdrawn a consent. ``key`` is one of ``keys``; ``at`` is in UTC."""

    key: str
    purpose: str
    at: datetime


class ConsentLedger(Protocol):
    """Remembers the last opt-out of each person for each purpose."""

    def opt_outs(self, keys: Sequence[str]) -> Mapping[str, Mapping[str, datetime]]:
        """The opt-outs of these keys by key and purpose; keys without one may be missing."""

    def keep(self, found: Iterable[OptOut]) -> None:
        """Remember opt-outs, durably; of two for the same key and purpose the later one counts."""


class MemoryLedger:
    """A ledger for the length of a process."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, datetime]] = {}

    def opt_outs(self, keys: Sequence[str]) -> Mapping[str, Mapping[str, datetime]]:
        """See ConsentLedger."""
        return {key: self._known[key] for key in keys if key in self._known}

    def keep(self, found: Iterable[OptOut]) -> None:
        """See ConsentLedger."""
        for item in found:
            self._is_news(item)

    def _is_news(self, item: OptOut) -> bool:
        purposes = self._known.setdefault(item.key, {})
        known = purposes.get(item.purpose)
        if known is not None and known >= item.at:
            return False
        purposes[item.purpose] = item.at
        return True


class FileLedger(MemoryLedger):
    """A ledger in a file of JSON lines, which grows by what is new. Addresses stand in it as hashes only.

    Args:
        path: The file; made when the first opt-out is kept, readable by its owner only.

    Raises:
        StorageError: LB-7007, the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        try:
            lines = path.read_bytes().splitlines() if path.exists() else []
            for line in lines:
                key, purpose, at = msgspec.json.decode(line, type=tuple[str, str, datetime])
                self._is_news(OptOut(key, purpose, at))
        except (OSError, msgspec.DecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "a line of it is not an opt-out"
            raise StorageError(
                "LB-7007",
                f'the consent ledger "{path}" cannot be read: {reason}',
                hint="Without it nobody knows who has opted out, so nothing was written. Restore it from a copy.",
            ) from None

    def keep(self, found: Iterable[OptOut]) -> None:
        """See ConsentLedger."""
        lines = [
            msgspec.json.encode((item.key, item.purpose, item.at)) + b"\n" for item in found if self._is_news(item)
        ]
        if not lines:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(b"".join(lines))
            file.flush()
            os.fsync(file.fileno())


@dataclass(frozen=True, slots=True)
class Consents:
    """One consent of every record of a batch.

    Attributes:
        purpose: Its name.
        granted: true, false, or null where the record does not tell.
        time_columns: Fields that tell when it was given or withdrawn, best first.
    """

    purpose: str
    granted: pa.Array
    time_columns: tuple[pa.Array, ...] = ()

    def times(self, rows: Sequence[int]) -> list[datetime | None]:
        """When the consent of these records was given or withdrawn, in UTC; None where the record does not tell."""
        picked = [col.plain_text(column.take(pa.array(rows, pa.int64()))).to_pylist() for column in self.time_columns]
        return [
            next((time for texts in picked if (time := moment(texts[at])) is not None), None) for at in range(len(rows))
        ]

    def said(self, granted: bool) -> pa.Array:
        """For every record whether it says so."""
        return pc.fill_null(self.granted if granted else pc.invert(self.granted), False)

    def rows(self, granted: bool) -> list[int]:
        """The numbers of the records that say so."""
        found: list[int] = pc.indices_nonzero(self.said(granted)).to_pylist()
        return found


def consents_of(batch: Batch, declared: Sequence[ConsentField]) -> Iterator[Consents]:
    """The consents that a batch tells: those of the identity site's own fields, and the declared ones.

    Where one of the site's own fields is declared, the declaration counts in its place.
    """
    told = [_declared(batch, item) for item in declared]
    replaced = {_dotted(parse(item.field)): consents.granted for item, consents in zip(declared, told, strict=True)}
    for field, consents in _natural(batch):
        values = replaced.get(field)
        granted = consents.granted
        # The same field may be spelt as one key with dots, which is not where the declaration looks.
        kept = granted if values is None else pc.if_else(pc.is_valid(values), pa.scalar(None, pa.bool_()), granted)
        yield Consents(consents.purpose, kept, consents.time_columns)
    yield from told


def withdrawals(batch: Batch, item: ConsentField, before: Sequence[Mapping[str, Any] | None]) -> list[bool]:
    """For each record whether it says no to a declared consent that the target has, as ``before`` tells."""
    path = parse(item.field)
    refused = _declared(batch, item).said(granted=False).to_pylist()
    found = []
    for says_no, account in zip(refused, before, strict=True):
        value = get(account, path) if says_no and isinstance(account, dict) else ABSENT
        text = str(value).lower() if isinstance(value, bool) else str(value)
        found.append(value is not ABSENT and value is not None and text in item.granted)
    return found


def _declared(batch: Batch, item: ConsentField) -> Consents:
    values = col.plain_text(batch.get(parse(item.field)))
    granted = pc.is_in(values, value_set=pa.array(item.granted, pa.string()))
    granted = pc.if_else(pc.is_valid(values), granted, pa.scalar(None, pa.bool_()))
    *stem, last = parse(item.field)
    flag, times = FLAGS.get(str(stem[0]) if stem else "", ("", ()))
    beside = [(*stem, time) for time in times] if last == flag else []
    told = ([parse(item.time)] if item.time else []) + beside
    return Consents(item.purpose, granted, tuple(batch.get(path) for path in told))


def _natural(batch: Batch) -> Iterator[tuple[str, Consents]]:
    """The consents in the identity site's own fields, with the dotted name of the field."""
    # The same place may be spelt in two ways: as objects, or as one key with dots, which imports accept.
    spelt = [(_dotted(parse(name)), name) for name in batch.names]
    names = dict(spelt)
    for dotted, name in spelt:
        root, _, rest = dotted.partition(".")
        if root not in FLAGS:
            continue
        flag, times = FLAGS[root]
        stem, _, last = dotted.rpartition(".")
        if rest and last == flag:
            columns = tuple(batch.column(names[f"{stem}.{time}"]) for time in times if f"{stem}.{time}" in names)
            yield dotted, Consents(stem, yes_or_no(batch.column(name)), columns)
        elif col.is_json(batch.column(name)) and name not in batch.markers:
            for consents in _within(dotted, batch.column(name), flag, times):
                yield f"{consents.purpose}.{flag}", consents


def opting_out(batch: Batch, declared: Sequence[ConsentField]) -> int:
    """How many records say no to something."""
    said: pa.Array | None = None
    for consents in consents_of(batch, declared):
        no = consents.said(granted=False)
        said = no if said is None else pc.or_(said, no)
    return said.true_count if said is not None else 0


def keys_of(batch: Batch, rows: Sequence[int], person: Person) -> list[tuple[str, ...]]:
    """The names under which the ledger knows the persons of these records."""
    index = pa.array(rows, pa.int64())

    def texts(field: str) -> list[str | None]:
        found: list[str | None] = col.plain_text(batch.get(_spelt(batch, field)).take(index)).to_pylist()
        return found

    uids = texts(person.uid)
    addresses = [texts(field) for field in person.addresses]
    return [
        (
            *((f"uid:{uids[at]}",) if uids[at] else ()),
            *(f"mail:{_hashed(text)}" for column in addresses if (text := column[at])),
        )
        for at in range(len(rows))
    ]


def raised(
    batch: Batch, ledger: ConsentLedger, *, declared: Sequence[ConsentField] = (), person: Person | None = None
) -> list[int]:
    """The numbers of the records that would raise a consent without a newer yes than the last known opt-out."""
    found: set[int] = set()
    for consents in consents_of(batch, declared):
        rows = consents.rows(granted=True)
        if not rows:
            continue
        keys = keys_of(batch, rows, person or Person())
        known = ledger.opt_outs([key for several in keys for key in several])
        concerned = []
        for row, several in zip(rows, keys, strict=True):
            outs = [out for key in several if (out := known.get(key, {}).get(consents.purpose)) is not None]
            if outs:
                concerned.append((row, max(outs)))
        times = consents.times([row for row, _ in concerned]) if concerned else []
        found |= {row for (row, out), time in zip(concerned, times, strict=True) if time is None or time <= out}
    return sorted(found)


def withdrawn(
    batch: Batch, *, at: datetime, declared: Sequence[ConsentField] = (), person: Person | None = None
) -> list[OptOut]:
    """The opt-outs that a batch tells; those without a time count from ``at``."""
    found = []
    for consents in consents_of(batch, declared):
        rows = consents.rows(granted=False)
        if rows:
            times = consents.times(rows)
            for time, keys in zip(times, keys_of(batch, rows, person or Person()), strict=True):
                found += [OptOut(key, consents.purpose, time or at) for key in keys]
    return found


def _within(dotted: str, column: pa.Array, flag: str, times: Sequence[str]) -> Iterator[Consents]:
    """The consents within objects that are whole in one column."""
    text = col.json_text(column)
    named = pc.or_(pc.match_substring(text, flag), pc.match_substring(text, _ESCAPE))
    rows: list[int] = pc.indices_nonzero(pc.fill_null(named, False)).to_pylist()
    if not rows:
        return
    flags: dict[str, list[Any]] = {}
    moments: dict[str, list[Any]] = {}
    for row, value in zip(rows, col.to_values(column.take(pa.array(rows, pa.int64()))), strict=True):
        for stem, holder in _holders(value, dotted, flag):
            flags.setdefault(stem, [ABSENT] * len(column))[row] = holder[flag]
            time = next((holder[name] for name in times if isinstance(holder.get(name), str)), ABSENT)
            moments.setdefault(stem, [ABSENT] * len(column))[row] = time
    for stem, told in flags.items():
        yield Consents(stem, yes_or_no(col.from_values(told)), (col.from_values(moments[stem]),))


def _holders(value: Any, stem: str, flag: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(value, Mapping):
        for name, member in value.items():
            dotted = f"{stem}.{name}"
            if name == flag:
                yield stem, value
            elif dotted.endswith(f".{flag}"):  # "news.email.isSubscribed" as one key, as imports may have it
                yield dotted.removesuffix(f".{flag}"), {flag: member}
            else:
                yield from _holders(member, dotted, flag)


def _spelt(batch: Batch, field: str) -> FieldPath:
    """The path of a field, in the spelling of the batch where that differs in upper and lower case only."""
    path = parse(field)
    written = write(path)
    same = [name for name in batch.names if name.lower() == written.lower()]
    return parse(same[0]) if same and written not in batch.names else path


def _dotted(path: FieldPath) -> str:
    return ".".join(str(key) for key in path)


def _hashed(address: str) -> str:
    return hashlib.sha256(address.strip().casefold().encode()).hexdigest()
