"""What happens to members of the emulated Responsys, and how the event feeds tell it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from landbridge.sandbox.responsys.definitions import EventKind
from landbridge.sandbox.state import Collection
from landbridge.sandbox.vendor import Frame

ACCOUNT: Final = "4711"
_COMMON: Final = (
    *("EVENT_TYPE_ID", "ACCOUNT_ID", "LIST_ID", "RIID", "CUSTOMER_ID", "EVENT_CAPTURED_DT", "EVENT_STORED_DT"),
    *("CAMPAIGN_ID", "LAUNCH_ID"),
)
_CONSENT: Final = (*_COMMON, "EMAIL", "EMAIL_FORMAT", "SOURCE", "REASON", "CONTACT_INFO")
COLUMNS: Final[Mapping[EventKind, tuple[str, ...]]] = {
    "OPT_OUT": _CONSENT,
    "OPT_IN": _CONSENT,
    "BOUNCE": (
        *_COMMON,
        *("EMAIL", "EMAIL_FORMAT", "BOUNCE_TYPE", "REASON", "REASON_CODE", "SUBJECT", "CONTACT_INFO"),
    ),
}
"""Columns of each feed, as the vendor's page lists them."""

_TYPES: Final[Mapping[EventKind, str]] = {"OPT_OUT": "6", "OPT_IN": "7", "BOUNCE": "2"}
"""The vendor's numbers are not public; consumers go by the name of the file."""

_DATE: Final = "%d-%b-%Y %H:%M:%S"


class Events:
    """What has happened, in its order.

    Args:
        frame: Where it is remembered.
    """

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self.all: Collection = frame.collection("events")
        """Events by their number."""

    def add(self, kind: EventKind, member: Mapping[str, Any], **facts: str) -> None:
        """Note what has happened to a member.

        Args:
            kind: What it is.
            member: Fields of the member.
            **facts: Further columns of the feed.
        """
        # The vendor's page says that bounces do not tell the customer's id.
        customer = "" if kind == "BOUNCE" else str(member.get("CUSTOMER_ID_") or "")
        self.all[str(self._frame.number("event"))] = {
            "kind": kind,
            "at": datetime.now(ZoneInfo("UTC")).isoformat(),
            "RIID": str(member["RIID_"]),
            "CUSTOMER_ID": customer,
            "EMAIL": str(member.get("EMAIL_ADDRESS_") or ""),
            **facts,
        }

    @property
    def last(self) -> int:
        """The number of the latest event; 0 for none."""
        return max(map(int, self.all), default=0)

    def rows(self, kind: EventKind, *, after: int, until: int, zone: str) -> list[Sequence[str]]:
        """Rows of a feed: events of a kind in this span of numbers, with dates in a zone."""
        return [
            _row(kind, event, zone)
            for number, event in self.all.items()
            if event["kind"] == kind and after < int(number) <= until
        ]


def _row(kind: EventKind, event: Mapping[str, Any], zone: str) -> Sequence[str]:
    moment = datetime.fromisoformat(event["at"]).astimezone(ZoneInfo(zone)).strftime(_DATE)
    fixed = {
        "EVENT_TYPE_ID": _TYPES[kind],
        "ACCOUNT_ID": ACCOUNT,
        "LIST_ID": "1",
        "EVENT_CAPTURED_DT": moment,
        "EVENT_STORED_DT": moment,
        "EMAIL_FORMAT": "H",
    }
    found = {**event, **fixed}
    # The vendor turns line breaks within texts into spaces.
    return [" ".join(str(found.get(name, "")).splitlines()) for name in COLUMNS[kind]]
