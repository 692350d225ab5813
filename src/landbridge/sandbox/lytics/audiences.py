"""Users of the emulated Lytics, and the audiences they are in by their fields."""

from __future__ import annotations

import re
import secrets
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from landbridge.sandbox.vendor import Frame
from landbridge.search import QueryError, matches, parse
from landbridge.search.query import Condition

User = dict[str, Any]

IDENTIFIERS: Final = ("gigya_uid", "email", "_uid")
"""Fields by which a user is found and merged, the strongest first."""

_ALL: Final = "*"
_FILTER: Final = re.compile(r"\s*FILTER\s+(.*?)(?:\s+FROM\s+(\w+))?(?:\s+ALIAS\s+(\w+))?\s*", re.IGNORECASE | re.DOTALL)
_NOT_SLUG: Final = re.compile(r"[^a-z0-9]+")


class BadFilter(ValueError):
    """A filter that is not understood; the text says why."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Who is in an audience: a filter's condition, its table and its slug, where it names one."""

    holds: Callable[[User], bool]
    table: str
    alias: str | None


@lru_cache(maxsize=256)
def rule_of(filter_ql: str) -> Rule:
    """Read ``FILTER condition [FROM table] [ALIAS slug]``.

    Of the vendor's language comparisons joined by AND, OR and NOT are understood, and ``*`` for everybody.

    Raises:
        BadFilter: It is something else.
    """
    match = _FILTER.fullmatch(filter_ql)
    if match is None:
        raise BadFilter("a filter begins with FILTER")
    text, table, alias = match[1].strip(), match[2] or "user", match[3]
    if text == _ALL:
        return Rule(lambda _: True, table, alias)
    try:
        condition: Condition | None = parse(f"SELECT * FROM user WHERE {text}").where  # noqa: S608 - no database sees it
    except QueryError as error:
        raise BadFilter(str(error)) from None
    return Rule(lambda user: matches(condition, user), table, alias)


class Audiences:
    """What the emulated account holds.

    Args:
        frame: Where it is remembered.
    """

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self.users = frame.collection("users")
        """Fields of each user by Lytics' own id; ids grow in the order of arrival."""
        self.segments = frame.collection("segments")
        """Facts of each audience by its id."""
        self._by: dict[str, dict[str, str]] = {name: {} for name in IDENTIFIERS}
        for key, user in self.users.items():
            self._index(key, user)

    def create(
        self, name: str, filter_ql: str, *, slug: str | None = None, is_public: bool = True, kind: str = "segment"
    ) -> str:
        """Make an audience; gives its id.

        Raises:
            BadFilter: The filter is not understood, or the slug is taken.
        """
        rule = rule_of(filter_ql)
        chosen = slug or rule.alias or _NOT_SLUG.sub("_", name.lower()).strip("_")
        if self.find(chosen):
            raise BadFilter(f"there is an audience {chosen}")
        now = _now()
        key = secrets.token_hex(16)
        self.segments[key] = {
            "id": key,
            "slug_name": chosen,
            "name": name,
            "kind": kind,
            "is_public": is_public,
            "table": rule.table,
            "segment_ql": filter_ql,
            "created": now,
            "updated": now,
            "invalid": False,
        }
        return key

    def change(self, key: str, **facts: Any) -> None:
        """Change facts of an audience: its name, slug or filter."""
        self.segments[key] = {**self.segments[key], **facts, "updated": _now()}

    def find(self, id_or_slug: str) -> dict[str, Any] | None:
        """The audience of this id or slug."""
        if id_or_slug in self.segments:
            return self.segments[id_or_slug]
        return next((each for each in self.segments.values() if each["slug_name"] == id_or_slug), None)

    def members(self, segment: Mapping[str, Any]) -> Iterator[tuple[str, User]]:
        """Users in an audience, with their ids."""
        holds = rule_of(segment["segment_ql"]).holds
        return ((key, user) for key, user in list(self.users.items()) if holds(user))

    def page(self, filter_ql: str, *, start: str, size: int) -> tuple[list[tuple[str, User]], bool]:
        """At most ``size`` users in an audience whose ids are at or after ``start``; and whether it ends with them."""
        holds = rule_of(filter_ql).holds
        ids = list(self.users)
        found: list[tuple[str, User]] = []
        for key in ids[bisect_left(ids, start) :]:
            if not holds(self.users[key]):
                continue
            if len(found) == size:
                return found, False
            found.append((key, self.users[key]))
        return found, True

    def memberships(self, user: User, *, with_private: bool) -> list[str]:
        """Slugs of the audiences a user is in."""
        return [
            segment["slug_name"]
            for segment in self.segments.values()
            if (with_private or segment["is_public"]) and rule_of(segment["segment_ql"]).holds(user)
        ]

    def collect(self, fields: User) -> str:
        """Take fields of a user, merged with what is known by an identifier; gives the user's id."""
        key = next((found for name in IDENTIFIERS if (found := self._found(name, fields.get(name)))), None)
        if key is None:
            key = f"{self._frame.number('user'):016x}"
        self.users[key] = {**self.users.get(key, {}), **fields}
        self._index(key, self.users[key])
        return key

    def by(self, field: str, value: str) -> tuple[str, User] | None:
        """The user with this value in this field."""
        if field in self._by:
            key = self._found(field, value)
            return (key, self.users[key]) if key is not None else None
        return next(((key, user) for key, user in self.users.items() if str(user.get(field)) == value), None)

    def forget(self, key: str) -> None:
        """Remove a user for good."""
        del self.users[key]

    def _found(self, field: str, value: Any) -> str | None:
        """Ids of an index may be stale: a user that has changed since or is gone is not found by them."""
        key = self._by[field].get(str(value)) if value is not None else None
        return key if key is not None and str(value) in _values(self.users.get(key, {}), field) else None

    def _index(self, key: str, user: User) -> None:
        for name in IDENTIFIERS:
            for value in _values(user, name):
                self._by[name][value] = key


def _values(user: Mapping[str, Any], field: str) -> list[str]:
    value = user.get(field)
    return [] if value is None else [str(each) for each in (value if isinstance(value, list) else [value])]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
