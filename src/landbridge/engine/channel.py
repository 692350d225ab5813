"""The edge between two tasks: a queue that is bounded in bytes, so that memory stays flat for any input size."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import suppress
from typing import Final, TypeAlias

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
    """Items of one edge in order, between any two of: tasks of the event loop and worker threads.

    A thread uses ``put`` and ``take``, a task ``send`` and ``receive``. Where two threads are joined, an item changes
    hands without the event loop taking part.

    Args:
        senders: How many ``close`` calls end it.
        max_bytes: What may wait at most.
    """

    def __init__(self, *, senders: int = 0, max_bytes: int = MAX_BYTES) -> None:
        self.senders = senders
        self.records = 0
        """Number of records that were sent."""
        self._max_bytes = max_bytes
        self._items: deque[tuple[Item, int]] = deque()
        self._bytes = 0
        self._wanted = True
        self._aborted = False
        self._changed = threading.Condition()
        self._tasks: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def send(self, item: Item) -> None:
        """Add an item, waiting for room.

        Raises:
            NotWanted: The receiver takes no more.
            Aborted: The job has ended early.
        """
        weight = weigh(item)
        while (change := self._offer(item, weight)) is not None:
            await change.wait()

    def put(self, item: Item) -> None:
        """The same as ``send`` for a worker thread."""
        weight = weigh(item)
        with self._changed:
            while not self._add(item, weight):
                self._changed.wait()

    async def receive(self) -> Item:
        """Take the next item.

        Raises:
            Ended: There is and will be none.
            Aborted: The job has ended early.
        """
        while isinstance(found := self._ask(), asyncio.Event):
            await found.wait()
        return found

    def take(self) -> Item:
        """The same as ``receive`` for a worker thread."""
        with self._changed:
            while (item := self._next()) is None:
                self._changed.wait()
            return item

    @property
    def is_wanted(self) -> bool:
        """Whether the receiver takes more."""
        return self._wanted

    def close(self) -> None:
        """One sender has sent all it has."""
        with self._changed:
            self.senders -= 1
            self._notify()

    def decline(self) -> None:
        """The receiver takes no more; what waits is dropped."""
        with self._changed:
            self._wanted = False
            self._drop()

    def abort(self) -> None:
        """End the edge at once for both sides."""
        with self._changed:
            self._aborted = True
            self._drop()

    def _offer(self, item: Item, weight: int) -> asyncio.Event | None:
        with self._changed:
            return None if self._add(item, weight) else self._watched()

    def _ask(self) -> Item | asyncio.Event:
        with self._changed:
            item = self._next()
            return self._watched() if item is None else item

    # What follows is called with the lock held.

    def _add(self, item: Item, weight: int) -> bool:
        if self._aborted:
            raise Aborted
        if not self._wanted:
            raise NotWanted
        if self._items and (self._bytes + weight > self._max_bytes or len(self._items) >= MAX_ITEMS):
            return False
        if isinstance(item, Batch):
            self.records += item.num_rows
        self._items.append((item, weight))
        self._bytes += weight
        self._notify()
        return True

    def _next(self) -> Item | None:
        if self._aborted:
            raise Aborted
        if self._items:
            item, weight = self._items.popleft()
            self._bytes -= weight
            self._notify()
            return item
        if not self.senders:
            raise Ended
        return None

    def _drop(self) -> None:
        self._items.clear()
        self._bytes = 0
        self._notify()

    def _watched(self) -> asyncio.Event:
        change = asyncio.Event()
        self._tasks.append((asyncio.get_running_loop(), change))
        return change

    def _notify(self) -> None:
        self._changed.notify_all()
        for loop, change in self._tasks:
            with suppress(RuntimeError):  # the loop is gone, and so is the task that waited
                loop.call_soon_threadsafe(change.set)
        self._tasks.clear()


def weigh(item: Item) -> int:
    """Approximate memory of an item in bytes."""
    if isinstance(item, Batch):
        return item.nbytes
    return len(item) if isinstance(item, bytes) else 0
