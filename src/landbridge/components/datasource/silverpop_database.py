"""Whether a database is fit for a step: its key, its columns, its time zone; and making what it lacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from landbridge.components.check import Finding
from landbridge.errors import FlowError
from landbridge.remote.silverpop_lists import TYPE_NAMES, YES_NO, ListFacts

EMAIL: Final = "EMAIL"
_CLOCK_TOLERANCE: Final = timedelta(minutes=10)
_TYPES: Final = {
    "text": 0,
    "yesno": 1,
    "numeric": 2,
    "date": 3,
    "time": 4,
    "country": 5,
    "phone": 16,
    "smsphone": 15,
    "timestamp": 17,
}
"""Column types that a step may ask for, and their numbers."""


@dataclass(frozen=True, slots=True)
class WantedColumn:
    """A column that a step needs; ``kind`` is None where any type will do."""

    name: str
    kind: int | None = None

    @classmethod
    def of(cls, text: str) -> WantedColumn:
        """From ``NAME`` or ``NAME:type``.

        Raises:
            ValueError: There is no such type.
        """
        name, colon, kind = text.rpartition(":")
        if not colon:
            return cls(text.strip())
        plain = kind.strip().lower().replace("/", "").replace(" ", "").replace("_", "")
        if plain not in _TYPES:
            raise ValueError(f'"{kind.strip()}" is not a type of column; there are {", ".join(_TYPES)}')
        return cls(name.strip(), _TYPES[plain])


def keys_of(facts: ListFacts, sync_fields: Sequence[str] | None) -> list[str]:
    """The columns by which contacts are matched: the step's own, else the database's key.

    Raises:
        FlowError: LB-1521; there are none, or the database lacks one.
    """
    keys = list(sync_fields or facts.keys)
    if not keys:
        raise FlowError(
            "LB-1521",
            f'the database "{facts.name}" has no unique key, so contacts cannot be matched',
            hint="Set syncFields to the column that holds the UID.",
        )
    missing = facts.lacks(keys)
    if missing:
        raise FlowError(
            "LB-1521",
            f'the database "{facts.name}" has no column {", ".join(missing)}, by which contacts are matched',
            hint="Correct syncFields, or add the column: landbridge check FLOW --create",
        )
    return keys


def wanted_columns(
    columns: Sequence[str], *, keys: Sequence[str] | None, newsletters: Sequence[str]
) -> dict[str, int | None]:
    """All columns that a step names, and their types where it says so."""
    wanted = {each.name: each.kind for each in map(WantedColumn.of, columns)}
    for name in keys or ():
        wanted.setdefault(name, None)
    return wanted | dict.fromkeys(newsletters, YES_NO)


def examined(facts: ListFacts, wanted: Mapping[str, int | None], *, keys: Sequence[str] | None) -> Iterator[Finding]:
    """What a test finds of a database."""
    yield Finding("database", "ok", f'"{facts.name}" with {facts.size:,} contacts')
    yield _key_finding(facts, keys)
    for name, kind in wanted.items():
        if name not in facts.columns:
            hint = "Names are compared with regard to case. `--create` adds it."
            yield Finding(f"column {name}", "failed", "the database does not have it", hint)
        elif kind is not None and facts.columns[name] != str(kind):
            present = _type_name(facts.columns[name])
            message = f"is of type {present} instead of {_type_name(str(kind))}"
            hint = "The type of a column cannot be changed: use another column, or let the platform's owner replace it."
            yield Finding(f"column {name}", "failed", message, hint)
        else:
            yield Finding(f"column {name}", "ok", _type_name(facts.columns[name]))


def _key_finding(facts: ListFacts, sync_fields: Sequence[str] | None) -> Finding:
    keys = list(sync_fields or facts.keys)
    if not keys:
        hint = "Set syncFields to the column that holds the UID."
        return Finding("key", "failed", "the database has no unique key, and the step names no syncFields", hint)
    if [key.upper() for key in keys] == [EMAIL]:
        hint = "Use the UID as key: somebody who changes the address becomes a second contact otherwise."
        return Finding("key", "warning", "contacts are matched by their address", hint)
    return Finding("key", "ok", f"contacts are matched by {', '.join(keys)}")


def zone_finding(facts: ListFacts, *, confirmed: bool, now: datetime | None = None) -> Finding:
    """Whether the API user may be on GMT, in which all dates are read and written.

    The API does not tell. A change in the future proves that the user is on another zone; else it is for a person to
    look it up.
    """
    hint = "Set the API user's time zone to GMT in the platform (Settings, User), then set gmtConfirmed."
    changed = _moment(facts.last_modified)
    if changed is not None and changed - (now or datetime.now(UTC)) > _CLOCK_TOLERANCE:
        return Finding("time zone", "failed", "the API user is not on GMT: its last change is in the future", hint)
    if confirmed:
        return Finding("time zone", "ok", "GMT, as the step confirms")
    return Finding("time zone", "warning", "whether the API user is on GMT cannot be seen from here", hint)


def _moment(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%m/%d/%y %I:%M %p").replace(tzinfo=UTC)
    except ValueError:
        return None


def _type_name(number: str) -> str:
    return TYPE_NAMES.get(int(number), number) if number.isdecimal() else number
