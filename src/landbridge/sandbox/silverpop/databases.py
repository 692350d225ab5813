"""Databases and their contacts: columns, keys, matching, and the rules of opting in and out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from landbridge.sandbox.silverpop.envelope import Fault
from landbridge.sandbox.vendor import Frame

TEXT, YES_NO, NUMERIC, DATE, COUNTRY, EMAIL_TYPE, SYSTEM, SMS_PHONE = 0, 1, 2, 3, 5, 7, 9, 15
EMAIL: Final = "EMAIL"
_FIRST_LIST: Final = 50_194
_FIRST_CONTACT: Final = 33_535_067_000  # beyond 32 bits, as at the vendor
_EMAIL_FORM: Final = re.compile(r"[^@\s,;]+@[^@\s,;]+\.[^@\s.,;]+")
_DATE_FORM: Final = re.compile(r"\d{1,2}/\d{1,2}/\d{4}")
_YES: Final = frozenset(("yes", "true", "1"))
_NO: Final = frozenset(("no", "false", "0"))


def now_iso() -> str:
    """This moment, in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def is_email(text: str) -> bool:
    """Whether mail can be sent to it."""
    return _EMAIL_FORM.fullmatch(text) is not None


def stored_value(kind: int, text: str) -> str:
    """The form in which a column of this type keeps a value.

    Raises:
        ValueError: The type does not take it.
    """
    if not text:
        return ""
    if kind == YES_NO:
        if text.lower() not in _YES | _NO:
            raise ValueError("Yes or No")
        return "Yes" if text.lower() in _YES else "No"
    if kind == NUMERIC:
        float(text)
    if kind == DATE and not _DATE_FORM.fullmatch(text):
        raise ValueError("a date")
    return text


@dataclass(slots=True)
class Database:
    """One database. Its contacts are JSON objects: ``id``, ``columns``, opt state, dates in UTC.

    Attributes:
        id: The LIST_ID.
        frame: Where it is remembered.
    """

    id: str
    frame: Frame
    _by_email: dict[str, list[str]] = field(default_factory=dict)
    _by_key: dict[tuple[str, ...], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number, contact in self.contacts.items():
            self._index(number, contact["columns"])

    @property
    def facts(self) -> dict[str, Any]:
        """Name, columns and keys."""
        return self.frame.collection("lists")[self.id]

    @property
    def contacts(self) -> Any:
        """All contacts by recipient id."""
        return self.frame.collection(f"contacts-{self.id}")

    @property
    def name(self) -> str:
        """What people call it."""
        return str(self.facts["name"])

    @property
    def columns(self) -> dict[str, int]:
        """Column types by name, without system columns other than EMAIL."""
        return {each["name"]: each["type"] for each in self.facts["columns"]}

    @property
    def keys(self) -> tuple[str, ...]:
        """The unique key; empty for a flexible database."""
        return tuple(self.facts["keys"])

    def add_column(self, name: str, kind: int, default: str = "") -> None:
        """Add a column.

        Raises:
            Fault: It is there already.
        """
        if name in self.columns:
            raise Fault(f"Column {name} already exists.")
        facts = self.facts
        columns = [*facts["columns"], {"name": name, "type": kind, "default": default}]
        self.frame.collection("lists")[self.id] = {**facts, "columns": columns}

    def checked(self, values: Mapping[str, str]) -> dict[str, str]:
        """The values as the columns keep them.

        Raises:
            Fault: A column does not exist or does not take its value.
        """
        kinds = self.columns
        stored = {}
        for name, text in values.items():
            if name not in kinds:
                raise Fault(f"Error Adding Recipient: |{values.get(EMAIL, '')}|: no column {name}")
            try:
                stored[name] = stored_value(kinds[name], text)
            except ValueError:
                raise Fault(f"Error Adding Recipient: |{values.get(EMAIL, '')}|: value of column {name}") from None
        return stored

    def matches(self, values: Mapping[str, str]) -> list[str]:
        """Recipient ids of the contacts that have these values, the oldest first."""
        if not values:
            return []
        names = tuple(values)
        if names == self.keys:
            found = self._by_key.get(self._key(values))
            return [found] if found is not None else []
        pool: Any = self.contacts
        if EMAIL in values:
            pool = self._by_email.get(values[EMAIL].lower(), [])
        return [number for number in pool if self._has(self.contacts[number]["columns"], values)]

    def insert(self, values: Mapping[str, str], *, opted_in: bool, details: str, created_from: int) -> str:
        """Add a contact; gives its recipient id."""
        number = str(self.frame.number("recipient", first=_FIRST_CONTACT))
        now = now_iso()
        contact: dict[str, Any] = {
            "columns": dict(values),
            "created": now,
            "modified": now,
            "createdFrom": created_from,
            "optedIn": now if opted_in else None,
            "optInDetails": details if opted_in else "",
            "optedOut": None,
            "optOutDetails": "",
            "undeliverable": False,
        }
        self.contacts[number] = contact
        self._index(number, contact["columns"])
        return number

    def update(self, number: str, values: Mapping[str, str]) -> None:
        """Change columns of a contact."""
        contact = self.contacts[number]
        self._unindex(number, contact["columns"])
        changed = {**contact, "columns": {**contact["columns"], **values}, "modified": now_iso()}
        self.contacts[number] = changed
        self._index(number, changed["columns"])

    def remove(self, number: str) -> None:
        """Remove a contact for good."""
        self._unindex(number, self.contacts[number]["columns"])
        del self.contacts[number]

    def opt_out(self, number: str, details: str) -> None:
        """Opt a contact out; one that is out already keeps its date."""
        contact = self.contacts[number]
        if contact["optedOut"] is None:
            now = now_iso()
            self.contacts[number] = {**contact, "optedOut": now, "optOutDetails": details, "modified": now}

    def opt_in(self, number: str, details: str) -> None:
        """Opt a contact in again."""
        contact = self.contacts[number]
        if contact["optedOut"] is None and contact["optedIn"] is not None:
            return
        now = now_iso()
        fresh = {"optedIn": now, "optInDetails": details, "optedOut": None, "optOutDetails": "", "modified": now}
        self.contacts[number] = {**contact, **fresh}

    def mark_undeliverable(self, number: str) -> None:
        """Mail to the contact came back for good."""
        self.contacts[number] = {**self.contacts[number], "undeliverable": True, "modified": now_iso()}

    def _key(self, values: Mapping[str, str]) -> tuple[str, ...]:
        # Addresses are compared without regard to case, other keys as they are.
        return tuple(values[name].lower() if name == EMAIL else values[name] for name in self.keys)

    def _has(self, columns: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
        return all(
            columns.get(name, "").lower() == text.lower() if name == EMAIL else columns.get(name, "") == text
            for name, text in wanted.items()
        )

    def _index(self, number: str, columns: Mapping[str, str]) -> None:
        if EMAIL in columns:
            self._by_email.setdefault(columns[EMAIL].lower(), []).append(number)
        if self.keys and all(name in columns for name in self.keys):
            self._by_key.setdefault(self._key(columns), number)

    def _unindex(self, number: str, columns: Mapping[str, str]) -> None:
        if EMAIL in columns:
            self._by_email[columns[EMAIL].lower()].remove(number)
        if self.keys and all(name in columns for name in self.keys) and self._by_key.get(self._key(columns)) == number:
            del self._by_key[self._key(columns)]


class Databases:
    """All databases of the organisation."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._open: dict[str, Database] = {}

    def __iter__(self) -> Iterator[Database]:
        return (self[number] for number in self._frame.collection("lists"))

    def __getitem__(self, number: str) -> Database:
        """The database with this LIST_ID.

        Raises:
            Fault: 106 it is no id, 108 there is none.
        """
        if not number.isdecimal():
            raise Fault("List ID is not valid.", 106)
        if number not in self._frame.collection("lists"):
            raise Fault(f"List with id {number} Does Not Exist", 108)
        if number not in self._open:
            self._open[number] = Database(number, self._frame)
        return self._open[number]

    def create(self, name: str, columns: Mapping[str, int], *, keys: Sequence[str] = ()) -> Database:
        """Add a database.

        Args:
            name: What people call it.
            columns: Column types by name; EMAIL is always there.
            keys: The unique key; none makes it flexible.

        Raises:
            Fault: 256; the name is taken.
        """
        lists = self._frame.collection("lists")
        if any(facts["name"] == name for facts in lists.values()):
            raise Fault("A List With This Name Already Exists", 256)
        number = str(self._frame.number("list", first=_FIRST_LIST))
        declared = [{"name": EMAIL, "type": SYSTEM, "default": ""}]
        declared += [{"name": each, "type": kind, "default": ""} for each, kind in columns.items()]
        lists[number] = {"name": name, "type": 0, "columns": declared, "keys": list(keys), "created": now_iso()}
        return self[number]
