"""Searches that are being paged through."""

from __future__ import annotations

import secrets
import time
from array import array
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from landbridge.search import Query
from landbridge.site.replies import invalid
from landbridge.site.store_session import Source

LIFETIME_S: Final = 300.0
"""A cursor lives five minutes between calls."""

MAX_OPEN: Final = 64
"""Each open search keeps eight bytes for each record it found."""


@dataclass(slots=True)
class Snapshot:
    """What a search found when it was opened."""

    query: Query
    source: Source
    ids: array[int]
    page_size: int
    used: float = 0.0


class Cursors:
    """The open searches. A cursor names a search and a position, so that the same one may be sent again."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, Snapshot] = OrderedDict()

    def keep(self, snapshot: Snapshot) -> str:
        """Remember a search; gives the name that its cursors carry."""
        self._drop_old()
        while len(self._open) >= MAX_OPEN:
            self._open.popitem(last=False)
        name = secrets.token_hex(16)
        snapshot.used = time.monotonic()
        self._open[name] = snapshot
        return name

    def find(self, cursor: str) -> tuple[str, Snapshot, int]:
        """The name, the search and the position of a cursor.

        Raises:
            ApiError: 400006; there is no such cursor, or it is older than five minutes.
        """
        self._drop_old()
        name, _, position = cursor.partition("_")
        snapshot = self._open.get(name)
        if snapshot is None or not position.isdecimal() or int(position) > len(snapshot.ids):
            raise invalid("cursorId", "is unknown or has expired")
        snapshot.used = time.monotonic()
        self._open.move_to_end(name)
        return name, snapshot, int(position)

    def _drop_old(self) -> None:
        limit = time.monotonic() - LIFETIME_S
        while self._open and next(iter(self._open.values())).used < limit:
            self._open.popitem(last=False)
