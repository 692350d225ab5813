"""Tells listeners of changes, as they happen: one look at the database for all of them.

Twice a second the few rows of counters are read, and each second, or when a counter says so, the jobs that changed
since. Nobody is waited for: a listener that does not keep up is sent away, and comes back with the place of its last
event.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from time import monotonic
from typing import Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from landbridge.errors import LandbridgeError, StorageError
from landbridge.jobs import db_jobs
from landbridge.jobs.db import Database, all_changes, now
from landbridge.jobs.db_jobs import JobRow
from landbridge.server.api.problems import BUSY
from landbridge.server.api.routing import Threads

MAX_LISTENERS: Final = 100
MARGIN: Final = timedelta(seconds=5)
"""Rows whose transaction was committed later than its time says are found for so long."""

_LOOK_S: Final = 0.5
_PROGRESS_S: Final = 1.0
_MAX_JOBS: Final = 500
_MAX_EVENTS: Final = 200
_MAX_SEEN: Final = 5_000
_LOG: Final = logging.getLogger("landbridge.api")


@dataclass(frozen=True, slots=True)
class News:
    """What changed at one look.

    Attributes:
        areas: Kinds of things that a person or program changed: ``dataflow``, ``scheduling``.
        jobs: Jobs of which anything changed, the earliest change first.
    """

    areas: Sequence[str]
    jobs: Sequence[JobRow]


@dataclass(frozen=True, slots=True)
class _Look:
    """What was read: counters, the time of the last job that was found, and jobs where they were asked for."""

    counts: dict[str, int]
    position: datetime | None
    jobs: Sequence[JobRow] | None


class Feed:
    """The news of one service; it looks only while somebody listens.

    Args:
        database: Where to look.
        threads: What the looks are done in.
    """

    def __init__(self, database: Database, threads: Threads) -> None:
        self._database = database
        self._threads = threads
        self._listeners: set[MemoryObjectSendStream[News]] = set()
        self._closed = False
        self._looking = anyio.Lock()
        self._counts: dict[str, int] | None = None
        self._position: datetime | None = None
        self._next_jobs = 0.0
        self._seen: OrderedDict[tuple[str, datetime], None] = OrderedDict()

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[MemoryObjectReceiveStream[News]]:
        """News from now on. The stream ends when the service does, or when it is not read for too long.

        Raises:
            StorageError: LB-7508, too many listen; LB-7501, the database cannot be used.
        """
        if not self.has_room:
            raise StorageError(BUSY, "too many listen for events", hint="Try again in a moment.")
        sending, receiving = anyio.create_memory_object_stream[News](_MAX_EVENTS)
        self._listeners.add(sending)
        try:
            with receiving:
                if self._counts is None:
                    await self._look_and_tell()  # from here on a change is one
                yield receiving
        finally:
            self._listeners.discard(sending)
            sending.close()

    async def run(self) -> None:
        """Look for news until the task is cancelled."""
        try:
            while not self._closed:
                if self._listeners:
                    await self._try_to_tell()
                else:
                    self._forget()
                await anyio.sleep(_LOOK_S)
        finally:
            for listener in self._listeners:
                listener.close()
            self._listeners.clear()

    def close(self) -> None:
        """Send all listeners away soon, so that a service that stops does not wait for them. Any thread may call it."""
        self._closed = True

    @property
    def has_room(self) -> bool:
        """Whether one more may listen."""
        return len(self._listeners) < MAX_LISTENERS and not self._closed

    async def _try_to_tell(self) -> None:
        try:
            await self._look_and_tell()
        except LandbridgeError as error:
            _LOG.warning("no news: %s", error)
        except Exception:  # noqa: BLE001 - the service goes on, whatever it is
            _LOG.exception("no news")

    async def _look_and_tell(self) -> None:
        async with self._looking:
            news = self._noted(await self._threads.run(partial(self._look, self._counts, self._position)))
        if news.areas or news.jobs:
            self._tell(news)

    def _forget(self) -> None:
        self._counts = self._position = None
        self._next_jobs = 0.0
        self._seen.clear()

    def _tell(self, news: News) -> None:
        for listener in list(self._listeners):
            try:
                listener.send_nowait(news)
            except anyio.WouldBlock:
                self._listeners.discard(listener)
                listener.close()
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                self._listeners.discard(listener)

    def _look(self, counted: dict[str, int] | None, position: datetime | None) -> _Look:
        """Read what there is; it runs in a thread that may be left alone, and so changes nothing."""
        with self._database.read() as tx:
            counts = all_changes(tx)
            changed = counted is not None and counts.get(db_jobs.AREA) != counted.get(db_jobs.AREA)
            if not changed and monotonic() < self._next_jobs:
                return _Look(counts, position, None)
            position = position or now(tx)
            return _Look(counts, position, db_jobs.changed_since(tx, position - MARGIN, limit=_MAX_JOBS))

    def _noted(self, look: _Look) -> News:
        """Remember a look, and say what is new in it."""
        before, self._counts = self._counts, look.counts
        areas = [area for area, count in look.counts.items() if before is not None and before.get(area) != count]
        others = [area for area in areas if area != db_jobs.AREA]
        if look.jobs is None or look.position is None:
            return News(others, [])
        self._next_jobs = monotonic() + _PROGRESS_S
        fresh = [row for row in look.jobs if (row.id, row.updated) not in self._seen]
        self._seen.update(dict.fromkeys((row.id, row.updated) for row in fresh))
        while len(self._seen) > _MAX_SEEN:
            self._seen.popitem(last=False)
        self._position = max([look.position, *(row.updated for row in look.jobs)])
        if len(look.jobs) == _MAX_JOBS:
            self._position = look.jobs[-1].updated + MARGIN  # what comes behind them is for the next look
        return News(others, fresh)
