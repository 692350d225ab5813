"""The edge between two tasks: a queue that is bounded in bytes, so that memory stays flat for any input size."""

from __future__ import annotations

from collections import deque
from typing import Final, TypeAlias

import anyio

from landbridge.components.base import FileEvent
from landbridge.records import Batch

Item: TypeAlias = Batch | FileEvent

MAX_BYTES: Final = 32 << 20
"""What may wait on one edge, in bytes; a single item may exceed it when nothing else waits."""

MAX_ITEMS: Final = 4
"""What may wait on one edge, in items: lazy columns do not tell their size."""


class Ended(Exception):
    """All senders have closed and everything was received."""


class NotWanted(Exception):
    """The receiver takes no more: it has reached its limit."""


class Aborted(Exception):
    """Another step failed, or the job was cancelled."""


class Channel:
    """Items of one edge in order. ``senders`` is how many ``close`` calls end it."""

    def __init__(self, *, senders: int = 0, max_bytes: int = MAX_BYTES) -> None:
        self.senders = senders
        self.records = 0
        """Number of records that were sent."""
        self._max_bytes = max_bytes
        self._items: deque[tuple[Item, int]] = deque()
        self._bytes = 0
        self._wanted = True
        self._aborted = False
        self._changed = anyio.Event()

    async def send(self, item: Item) -> None:
        """Add an item, waiting for room.

        Raises:
            NotWanted: The receiver takes no more.
            Aborted: The job has ended early.
        """
        weight = weigh(item)
        while self._wanted and not self._aborted and self._is_full(weight):
            await self._changed.wait()
        if self._aborted:
            raise Aborted
        if not self._wanted:
            raise NotWanted
        if isinstance(item, Batch):
            self.records += item.num_rows
        self._items.append((item, weight))
        self._bytes += weight
        self._notify()

    async def receive(self) -> Item:
        """Take the next item.

        Raises:
            Ended: There is and will be none.
            Aborted: The job has ended early.
        """
        while not self._items and self.senders and not self._aborted:
            await self._changed.wait()
        if self._aborted:
            raise Aborted
        if not self._items:
            raise Ended
        item, weight = self._items.popleft()
        self._bytes -= weight
        self._notify()
        return item

    def close(self) -> None:
        """One sender has sent all it has."""
        self.senders -= 1
        self._notify()

    def decline(self) -> None:
        """The receiver takes no more; what waits is dropped."""
        self._wanted = False
        self._items.clear()
        self._bytes = 0
        self._notify()

    def abort(self) -> None:
        """End the edge at once for both sides."""
        self._aborted = True
        self._items.clear()
        self._notify()

    def _is_full(self, weight: int) -> bool:
        return bool(self._items) and (self._bytes + weight > self._max_bytes or len(self._items) >= MAX_ITEMS)

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


def weigh(item: Item) -> int:
    """Approximate memory of an item in bytes."""
    if isinstance(item, Batch):
        return item.nbytes
    return len(item) if isinstance(item, bytes) else 0
