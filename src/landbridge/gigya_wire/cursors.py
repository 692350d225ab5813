"""Searches that are being paged through."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from landbridge.gigya_wire.replies import invalid

LIFETIME_S: Final = 300.0
"""A cursor lives five minutes between calls."""

MAX_OPEN: Final = 64
"""Each open search keeps the keys of the records that it found."""

_POSITION_DIGITS: Final = 12


class Pageable(Protocol):
    """What a search found when it was opened."""

    @property
    def size(self) -> int:
        """How many records it found."""


Found = TypeVar("Found", bound=Pageable)


@dataclass(slots=True)
class _Open(Generic[Found]):
    found: Found
    used: float


class Cursors(Generic[Found]):
    """The open searches. A cursor names a search and a position, so that the same one may be sent again."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, _Open[Found]] = OrderedDict()

    def keep(self, found: Found) -> str:
        """Remember a search; gives the name that its cursors carry."""
        self._drop_old()
        while len(self._open) >= MAX_OPEN:
            self._open.popitem(last=False)
        name = secrets.token_hex(16)
        self._open[name] = _Open(found, time.monotonic())
        return name

    def find(self, cursor: str) -> tuple[str, Found, int]:
        """The name, the search and the position of a cursor.

        Raises:
            ApiError: 400006; there is no such cursor, or it is older than five minutes.
        """
        self._drop_old()
        name, _, position = cursor.partition("_")
        known = self._open.get(name)
        usable = position.isdecimal() and len(position) <= _POSITION_DIGITS
        if known is None or not usable or int(position) > known.found.size:
            raise invalid("cursorId", "is unknown or has expired")
        known.used = time.monotonic()
        self._open.move_to_end(name)
        return name, known.found, int(position)

    def _drop_old(self) -> None:
        limit = time.monotonic() - LIFETIME_S
        while self._open and next(iter(self._open.values())).used < limit:
            self._open.popitem(last=False)
