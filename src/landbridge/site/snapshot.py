"""What a search found, for paging through it."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from landbridge.search import Query
from landbridge.site.store_session import Source


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a search found when it was opened; eight bytes for each record."""

    query: Query
    source: Source
    ids: array[int]
    page_size: int

    @property
    def size(self) -> int:
        """How many records it found."""
        return len(self.ids)
