"""What the emulated CheetahMail holds: subscribers, the lists that they are on or have left, suppressed addresses."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

from landbridge.sandbox.cheetahmail.switches import Switches
from landbridge.sandbox.state import Collection
from landbridge.sandbox.vendor import Frame

MASTER: Final = "0"
"""The list of everybody; a load into it overwrites fields, also with nothing."""

EMAIL: Final = "EMAIL"
Type = Literal["STRING", "NUMBER", "DECIMAL", "DATE"]
FIELDS: Final[Mapping[str, Type]] = {
    "UID": "STRING",
    "FNAME": "STRING",
    "LNAME": "STRING",
    "CITY": "STRING",
    "ZIP": "STRING",
    "COUNTRY": "STRING",
    "GENDER": "STRING",
    "BIRTHDAY": "DATE",
    "SCORE": "NUMBER",
    "SPENT": "DECIMAL",
    "SOURCE": "STRING",
    "HTML": "STRING",
}
"""Fields of the emulated account, besides the address."""

REASONS: Final[Mapping[str, str]] = {
    "a": "abuse complaint",
    "b": "persistent bounces",
    "d": "deleted by an administrator",
    "e": "mail to the remove address",
    "i": "API",
    "k": "bulk unsubscribe",
    "r": "reply to a mailing",
    "w": "web link",
}
_SUPPRESSING: Final = frozenset("ab")
_DATE: Final = "%d-%b-%Y"
_LONGEST: Final = 255
_ADDRESS: Final = re.compile(r"[^@\s,;<>\"]+@[^@\s,;<>\"]+\.[A-Za-z]{2,}")
By = Literal["person", "api", "load"]
Record = dict[str, Any]


class Illegal(Exception):
    """What was given cannot be taken; the text is what stands behind ``err:``."""


def checked(name: str, text: str) -> str:
    """A value as the field takes it; nothing empties it.

    Raises:
        Illegal: The field is not there, or the value is not of its type.
    """
    kind = FIELDS.get(name)
    if kind is None:
        raise Illegal("field:name:illegal")
    if name == "HTML" and text not in ("", "0", "1"):
        raise Illegal("HTML:invalid")
    if len(text) > _LONGEST:
        raise Illegal("data:value too large for column")
    try:
        if kind == "NUMBER" and text:
            int(text)
        if kind == "DECIMAL" and text:
            float(text)
    except ValueError:
        raise Illegal("data:invalid number") from None
    if kind == "DATE" and text and not is_date(text):
        raise Illegal("data:invalid date")
    return text


def is_date(text: str) -> bool:
    """Whether a text is a date as the platform writes it: 01-Jan-2015."""
    try:
        datetime.strptime(text, _DATE).replace(tzinfo=UTC)
    except ValueError:
        return False
    return True


def is_address(text: str) -> bool:
    """Whether a text can be an e-mail address."""
    return _ADDRESS.fullmatch(text) is not None


def today() -> str:
    """The date as the platform writes it."""
    return datetime.now(UTC).strftime(_DATE)


class Subscribers:
    """Everybody the platform knows.

    A subscriber is ``{"id", "email", "fields": {NAME: text}, "lists": {id: {"since", "left", "reason"}}}``; ``left`` is
    None for who is on the list.

    Args:
        frame: Where they are remembered.
        switches: What is switched now.
        changed: Told when there is something new to export.
    """

    def __init__(self, frame: Frame, switches: Callable[[], Switches], changed: Callable[[], None]) -> None:
        self._frame = frame
        self._switches = switches
        self._changed = changed
        self.records: Collection = frame.collection("subscribers")
        """Subscribers by id."""
        self.suppressed: Collection = frame.collection("suppressed")
        """Suppressed addresses in lower case, with the reason."""
        self.events: Collection = frame.collection("events")
        """What happened, for the exports, by number."""
        self._by_address: dict[str, str] = {}
        self._by_field: dict[tuple[str, str], str] = {}
        for number, record in self.records.items():
            self._index(number, record)

    def find(self, address: str) -> str | None:
        """The id of the subscriber with this address, whatever its case."""
        return self._by_address.get(address.lower())

    def find_by(self, column: str, value: str) -> str | None:
        """The id of the subscriber with this value of a field, or with this address."""
        if column == EMAIL:
            return self.find(value)
        return self._by_field.get((column, value)) if value else None

    def write(self, number: str | None, email: str, fields: Mapping[str, str], *, by: By) -> str:
        """Make or change a subscriber; gives the id. An empty text empties a field."""
        old = self.records.get(number) if number else None
        if old is None:
            number = str(self._frame.number("subscriber", first=2_094_000_001))
            old = {"id": number, "email": "", "fields": {}, "lists": {}}
        assert number is not None  # noqa: S101 - set above
        self._forget(number, old)
        merged = {name: text for name, text in {**old["fields"], **fields}.items() if text != ""}
        record = {**old, "email": email, "fields": merged}
        self.records[number] = record
        self._index(number, record)
        if old["email"] and old["email"] != email:
            self._tell("address", record, by, OLD_EMAIL=old["email"])
        if merged != old["fields"] or old["email"] != email:
            self._tell("change", record, by, ID=number)
        return number

    def subscribe(self, number: str, list_id: str, *, by: By) -> None:
        """Put a subscriber on a list."""
        record = self.records[number]
        fact = record["lists"].get(list_id)
        if list_id == MASTER or (fact and fact["left"] is None):
            return
        lists = {**record["lists"], list_id: {"since": today(), "left": None, "reason": ""}}
        self.records[number] = {**record, "lists": lists}
        self._tell("subscribe", record, by, LIST=list_id)

    def unsubscribe(self, number: str, list_id: str, reason: str) -> None:
        """Take a subscriber off a list; a complaint or a dead address is suppressed as well."""
        record = self.records[number]
        if reason in _SUPPRESSING:
            self.suppressed[record["email"].lower()] = {"reason": reason, "date": today()}
        fact = record["lists"].get(list_id, {"since": "", "left": None})
        if fact["left"] is not None:
            return
        lists = {**record["lists"], list_id: {"since": fact["since"], "left": today(), "reason": reason}}
        self.records[number] = {**record, "lists": lists}
        # An export names everybody who has left, whoever did it: the reason tells.
        self._tell("unsubscribe", record, "person", LIST=list_id, REASON=reason)

    def unsubscribe_everywhere(self, number: str, reason: str) -> None:
        """Take a subscriber off all lists, and suppress the address."""
        record = self.records[number]
        for list_id in record["lists"]:
            self.unsubscribe(number, list_id, reason)
        self.suppressed[record["email"].lower()] = {"reason": reason, "date": today()}

    def delete(self, number: str) -> None:
        """Remove a subscriber, as an administrator does."""
        record = self.records[number]
        for list_id, fact in record["lists"].items():
            if fact["left"] is None:
                self._tell("unsubscribe", record, "person", LIST=list_id, REASON="d")
        self._forget(number, record)
        del self.records[number]

    def is_suppressed(self, address: str) -> bool:
        """Whether no mail may go to this address, ever."""
        return address.lower() in self.suppressed

    def has_left(self, number: str, list_id: str) -> bool:
        """Whether a subscriber was on the list and has left it."""
        fact = self.records[number]["lists"].get(list_id)
        return fact is not None and fact["left"] is not None

    def note(self, kind: str, **facts: str) -> None:
        """Remember something for the exports that concerns no single subscriber."""
        self.events[str(self._frame.number("event"))] = {"kind": kind, "DATE": today(), **facts}
        self._changed()

    def _tell(self, kind: str, record: Mapping[str, Any], by: By, **facts: str) -> None:
        if by == "person" or self._switches().exports_own_changes:
            self.note(kind, UID=record["fields"].get("UID", ""), EMAIL=record["email"], **facts)

    def _index(self, number: str, record: Mapping[str, Any]) -> None:
        self._by_address[record["email"].lower()] = number
        self._by_field |= dict.fromkeys(record["fields"].items(), number)

    def _forget(self, number: str, record: Mapping[str, Any]) -> None:
        if self._by_address.get(record["email"].lower()) == number:
            del self._by_address[record["email"].lower()]
        for pair in record["fields"].items():
            if self._by_field.get(pair) == number:
                del self._by_field[pair]
