"""What the emulated Responsys holds: a profile list, its extension tables, supplemental tables."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from landbridge.sandbox.responsys.events import Events
from landbridge.sandbox.responsys.faults import Refused
from landbridge.sandbox.state import Collection
from landbridge.sandbox.vendor import Frame

MAX_RECORDS: Final = 200
KEYS: Final[Mapping[str, str]] = {
    "r": "RIID_",
    "e": "EMAIL_ADDRESS_",
    "c": "CUSTOMER_ID_",
    "m": "MOBILE_NUMBER_",
    "e_md5": "EMAIL_MD5_HASH_",
    "e_sha256": "EMAIL_SHA256_HASH_",
}
"""The letters of ``queryAttribute`` and ``qa``."""

FIELDS: Final = (
    *("RIID_", "CUSTOMER_ID_", "EMAIL_ADDRESS_", "EMAIL_DOMAIN_", "EMAIL_FORMAT_", "EMAIL_PERMISSION_STATUS_"),
    *("EMAIL_PERMISSION_REASON_", "EMAIL_DELIVERABILITY_STATUS_", "EMAIL_MD5_HASH_", "EMAIL_SHA256_HASH_"),
    *("MOBILE_NUMBER_", "MOBILE_COUNTRY_", "MOBILE_PERMISSION_STATUS_", "POSTAL_STREET_1_", "POSTAL_STREET_2_"),
    *("CITY_", "STATE_", "POSTAL_CODE_", "COUNTRY_", "POSTAL_PERMISSION_STATUS_", "CREATED_DATE_", "MODIFIED_DATE_"),
)
"""Fields that every list has."""

UID_FIELD: Final = "GIGYA_UID"
OWN_FIELDS: Final = ("FIRST_NAME", "LAST_NAME", "GENDER", "NEWSLETTER", "SCORE", UID_FIELD)
"""Fields that somebody has added to the emulated list."""

MATCHED: Final = (*KEYS.values(), UID_FIELD)
"""Columns by which an import job finds members."""

_HASHES: Final = ("EMAIL_MD5_HASH_", "EMAIL_SHA256_HASH_")
_READ_ONLY: Final = frozenset(("RIID_", *_HASHES, "EMAIL_DOMAIN_", "CREATED_DATE_", "MODIFIED_DATE_"))
STATUS: Final = "EMAIL_PERMISSION_STATUS_"
Record = dict[str, Any]


class Members:
    """The members of the list.

    Args:
        frame: Where they are remembered.
    """

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self.records: Collection = frame.collection("members")
        """Fields of each member by RIID."""
        self.events = Events(frame)
        """What happens to them at the platform; the event feeds tell it."""
        self._by: dict[str, dict[str, list[str]]] = {}
        for riid, record in self.records.items():
            self._index(riid, record)

    def find(self, column: str, value: Any) -> list[str]:
        """RIIDs of the members with this value; addresses are compared without regard to case."""
        wanted = _key(column, value)
        found = self._by.get(column, {}).get(wanted, [])
        return [riid for riid in found if _key(column, self.records.get(riid, {}).get(column)) == wanted]

    def put(self, riid: str | None, changes: Mapping[str, Any]) -> str:
        """Make or change a member; gives its RIID."""
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        number = riid or str(self._frame.number("riid", first=100_001))
        old = self.records.get(
            number, {"RIID_": number, "CREATED_DATE_": now, "EMAIL_DELIVERABILITY_STATUS_": "D", STATUS: "O"}
        )
        record = {**old, **changes, "MODIFIED_DATE_": now}
        address = str(record.get("EMAIL_ADDRESS_") or "").lower()
        record["EMAIL_DOMAIN_"] = address.rpartition("@")[2]
        record["EMAIL_MD5_HASH_"] = hashlib.md5(address.encode(), usedforsecurity=False).hexdigest()
        record["EMAIL_SHA256_HASH_"] = hashlib.sha256(address.encode()).hexdigest()
        self.records[number] = record
        self._index(number, record)
        return number

    def remove(self, riid: str) -> None:
        """Remove a member."""
        del self.records[riid]

    def opt_out(self, riid: str, reason: str) -> None:
        """What a click on the link in a mail does."""
        self.put(riid, {STATUS: "O", "EMAIL_PERMISSION_REASON_": reason})
        self.events.add("OPT_OUT", self.records[riid], SOURCE="LINK", REASON=reason)

    def opt_in(self, riid: str, reason: str) -> None:
        """What a form of the platform does that a member fills in."""
        self.put(riid, {STATUS: "I", "EMAIL_PERMISSION_REASON_": reason})
        self.events.add("OPT_IN", self.records[riid], SOURCE="FORM", REASON=reason)

    def bounce(self, riid: str, reason: str, *, is_hard: bool) -> None:
        """What a mail does that cannot be delivered; after a hard bounce the address counts as undeliverable."""
        if is_hard:
            self.put(riid, {"EMAIL_DELIVERABILITY_STATUS_": "U"})
        kind = "H" if is_hard else "S"
        self.events.add("BOUNCE", self.records[riid], BOUNCE_TYPE=kind, REASON=reason, REASON_CODE="")

    def merge(self, names: Sequence[str], row: Sequence[Any], rule: Mapping[str, Any]) -> str:
        """Merge one record by the call's rule; gives the RIID, or a text that begins with MERGEFAILED."""
        given = {name: value for name, value in zip(names, row, strict=True) if name not in _READ_ONLY}
        whole = dict(zip(names, row, strict=True))
        columns = [rule[name] for name in ("matchColumnName1", "matchColumnName2") if rule.get(name)]
        if not all(whole.get(column) for column in columns):
            return f"MERGEFAILED: Record 1 = no value for {columns[0]}\r\n"
        address = given.get("EMAIL_ADDRESS_")
        if address is not None and address != "" and "@" not in str(address):
            return "MERGEFAILED: Record 1 = Invalid email address\r\n"
        if "E" in str(rule.get("rejectRecordIfChannelEmpty") or "") and not address:
            return "MERGEFAILED: Record 1 = The email channel is empty\r\n"
        matched = self._matched(whole, columns)
        if len(matched) > 1:
            return "MERGEFAILED: Record 1 = Multiple matches found\r\n"
        if STATUS in given:
            status = {rule.get("optinValue") or "I": "I", rule.get("optoutValue") or "O": "O"}.get(given[STATUS])
            if status is None:
                return "MERGEFAILED: Record 1 = Invalid value for EMAIL_PERMISSION_STATUS_\r\n"
            given[STATUS] = status
        if matched:
            return self.put(matched[0], given) if rule.get("updateOnMatch") != "NO_UPDATE" else matched[0]
        if not rule.get("insertOnNoMatch") or any(column in _HASHES for column in columns):
            return "MERGEFAILED: Record 1 = No match found\r\n"
        # The vendor's default for people without a status is an opt-out.
        default = "I" if rule.get("defaultPermissionStatus") == "OPTIN" else "O"
        return self.put(None, {STATUS: default, **given})

    def _matched(self, whole: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
        first, *others = columns
        return [
            riid
            for riid in self.find(first, whole[first])
            if all(_key(each, self.records[riid].get(each)) == _key(each, whole[each]) for each in others)
        ]

    def _index(self, riid: str, record: Mapping[str, Any]) -> None:
        for column in MATCHED:
            if (value := record.get(column)) not in (None, ""):
                found = self._by.setdefault(column, {}).setdefault(_key(column, value), [])
                if riid not in found:
                    found.append(riid)


def checked_rows(record_data: Any, known: Sequence[str] | None) -> tuple[list[str], list[list[Any]]]:
    """Field names and rows of a call's ``recordData``.

    Args:
        record_data: As it was sent.
        known: Fields that there are; None where all are taken.

    Raises:
        Refused: It has another form, too many rows, or a field that there is not.
    """
    data = record_data if isinstance(record_data, dict) else {}
    names, rows = data.get("fieldNames"), data.get("records")
    if not isinstance(names, list) or not isinstance(rows, list) or not names:
        raise Refused("INVALID_REQUEST_CONTENT", "recordData needs fieldNames and records")
    if len(rows) > MAX_RECORDS:
        raise Refused("RECIPIENT_LIMIT_EXCEEDED", f"more than {MAX_RECORDS} records")
    if not all(isinstance(row, list) and len(row) == len(names) for row in rows):
        raise Refused("INVALID_REQUEST_CONTENT", "a record has another number of values than there are fieldNames")
    unknown = [name for name in names if known is not None and name not in known]
    if unknown:
        raise Refused("INVALID_FIELD_NAME", f"{unknown[0]} is not a field")
    return [str(name) for name in names], rows


def _key(column: str, value: Any) -> str:
    text = "" if value is None else str(value)
    return text.lower() if column == "EMAIL_ADDRESS_" else text
