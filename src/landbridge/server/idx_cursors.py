"""Searches that clients page through."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from landbridge.gigya_wire.cursors import Cursors
from landbridge.gigya_wire.replies import invalid
from landbridge.search import Query

Key = str | tuple[str, int]


@dataclass(frozen=True, slots=True)
class OpenSearch:
    """What a search found when it was opened: keys only, in their order."""

    api_key: str
    query: Query
    keys: Sequence[Key]
    page_size: int

    @property
    def size(self) -> int:
        """How many records it found."""
        return len(self.keys)


class OpenSearches:
    """The open searches of a service; threads may use it at once. They end with the service, or after five minutes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cursors: Cursors[OpenSearch] = Cursors()

    def keep(self, found: OpenSearch) -> str:
        """Remember a search; gives the name that its cursors carry."""
        with self._lock:
            return self._cursors.keep(found)

    def find(self, cursor: str, *, api_key: str) -> tuple[str, OpenSearch, int]:
        """The name, the search and the position of a cursor.

        Raises:
            ApiError: 400006; the site has no such cursor, or it is older than five minutes.
        """
        with self._lock:
            name, found, position = self._cursors.find(cursor)
        if found.api_key != api_key:
            raise invalid("cursorId", "is unknown or has expired")
        return name, found, position
