"""Queries in the search language of the API, from a step's parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

from pydantic import AfterValidator

from landbridge.errors import FlowError
from landbridge.records.path import parse

_ITEM: Final = re.compile(r"(?P<path>[^\s,;()'\"]+)(?:\s+(?:as\s+)?(?P<alias>[^\s,;()'\"]+))?", re.IGNORECASE)
_NAME: Final = re.compile(r"[A-Za-z_][\w-]*")

OBJECTS: Final = frozenset(
    [
        "profile",
        "data",
        "preferences",
        "subscriptions",
        "communications",
        "loginIDs",
        "emails",
        "password",
        "lastLoginLocation",
        "rbaPolicy",
        "groups",
        "internal",
        "customIdentifiers",
        "counters",
        "profile.favorites",
        "profile.oidcData",
        "profile.samlData",
        "profile.lastLoginLocation",
        "lastLoginLocation.coordinates",
        "preferences.terms",
        "preferences.privacy",
        "preferences.other",
    ]
)
"""Paths that hold objects, so that what is in them is known only when it is read."""


@dataclass(frozen=True, slots=True)
class Selected:
    """One item of a select list: a field or an object, and its new name at the same place."""

    path: str
    alias: str | None = None

    @property
    def root(self) -> str:
        """The outermost field."""
        return self.path.partition(".")[0]

    @property
    def target(self) -> str:
        """Where the value stands in the record: an alias keeps the objects around it."""
        if self.alias is None:
            return self.path
        parent = self.path.rpartition(".")[0]
        return f"{parent}.{self.alias}" if parent else self.alias

    def __str__(self) -> str:
        return self.path if self.alias is None else f"{self.path} AS {self.alias}"


def parse_select(text: str) -> list[Selected]:
    """Read a select list; blanks around commas and a missing AS do not matter.

    Raises:
        ValueError: An item is neither a field nor a field with an alias.
    """
    found = []
    for part in text.split(","):
        match = _ITEM.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"{part.strip()!r} is not a field; write field, object, * or field as name")
        path = match["path"]
        if path != "*":
            try:
                parse(path)
            except FlowError as error:
                raise ValueError(error.message) from None
        found.append(Selected(path, match["alias"]))
    return found


def _is_select(text: str) -> str:
    parse_select(text)
    return text


SelectList = Annotated[str, AfterValidator(_is_select)]
"""A parameter with a select list."""


def known_columns(items: Sequence[Selected]) -> list[str] | None:
    """The columns that a select list gives, where all of it are single values; else None."""
    if any(item.path == "*" or item.path in OBJECTS for item in items):
        return None
    return list(dict.fromkeys(item.target for item in items))


def source_name(text: str) -> str:
    """A name after FROM.

    Raises:
        ValueError: It cannot be one.
    """
    name = text.strip()
    if not _NAME.fullmatch(name):
        raise ValueError(f"{text!r} is not the name of a table or object type")
    return name


def literal(value: str | float | bool) -> str:
    """A value as it stands in a query."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    for character, written in (("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        escaped = escaped.replace(character, written)
    return f'"{escaped}"'


def build(
    items: Iterable[Selected | str],
    source: str,
    *,
    conditions: Iterable[str | None] = (),
    order_by: str | None = None,
    limit: int | None = None,
) -> str:
    """A query. Several conditions must all hold; a single one is left as it is, with whatever clauses follow it."""
    # No database sees this text: it goes to the API, which only reads by it, with the rights of the application.
    text = f"SELECT {', '.join(map(str, items))} FROM {source}"  # noqa: S608
    given = [condition.strip() for condition in conditions if condition and condition.strip()]
    if given:
        text += " WHERE " + (given[0] if len(given) == 1 else " AND ".join(f"({condition})" for condition in given))
    if order_by is not None:
        text += f" ORDER BY {order_by}"
    if limit is not None:
        text += f" LIMIT {limit}"
    return text


def epoch_ms(instant: datetime) -> int:
    """Milliseconds since 1970, as the API's timestamps count."""
    return int(instant.timestamp() * 1000)


def iso(instant: datetime) -> str:
    """A moment as the API writes it; ``instant`` is in UTC."""
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
