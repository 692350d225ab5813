"""Writes one after another in a thread of their own; those that wait share the next commit."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from landbridge.errors import StorageError
from landbridge.site.store_session import Session

T = TypeVar("T")

MAX_WAITING: Final = 1000
MAX_GROUP: Final = 256
"""Writes that share one commit at most."""

_CLOSE_TIMEOUT_S: Final = 60.0


@dataclass(slots=True)
class Write:
    """One write on its way. The committer sets ``result`` or ``error``."""

    work: Callable[[Session], Any]
    done: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    result: Any = None
    error: BaseException | None = None

    def resolve(self) -> None:
        """Tell the caller; to be run in its event loop."""
        if self.done.done():
            return
        if self.error is not None:
            self.done.set_exception(self.error)
        else:
            self.done.set_result(self.result)


class Writes:
    """The queue of writes and its thread.

    Args:
        commit: Does the writes of a group in one transaction, in the thread; sets what came of each of them.
    """

    def __init__(self, commit: Callable[[list[Write]], None]) -> None:
        self._commit = commit
        self._queue: queue.SimpleQueue[Write | None] = queue.SimpleQueue()
        self._room = asyncio.Semaphore(MAX_WAITING)
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="site-write", daemon=True)
        self._thread.start()

    async def add(self, work: Callable[[Session], T]) -> T:
        """Do a write; returns when it has been committed.

        Raises:
            StorageError: LB-7301; the store is closed or the commit failed.
        """
        loop = asyncio.get_running_loop()
        async with self._room:
            if self._closed:
                raise StorageError("LB-7301", "the site's store is closed")
            future: asyncio.Future[T] = loop.create_future()
            self._queue.put(Write(work, future, loop))
            # A write that is under way is finished even when its caller has gone.
            return await asyncio.shield(future)

    async def add_all(self, works: Iterable[Callable[[Session], None]]) -> None:
        """Do many writes in their order; the next one is made ready while one is done.

        Raises:
            StorageError: See ``add``; the writes after the one that failed are not done.
        """
        under_way: asyncio.Task[None] | None = None
        for work in works:
            if under_way is not None:
                await under_way
            under_way = asyncio.create_task(self.add(work))
            # It is in the queue before the next one is made ready, which blocks the loop.
            await asyncio.sleep(0)
        if under_way is not None:
            await under_way

    def close(self) -> bool:
        """Finish what waits and end the thread; False where that has been done before."""
        if self._closed:
            return False
        self._closed = True
        self._queue.put(None)
        self._thread.join(_CLOSE_TIMEOUT_S)
        return True

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            group, closing = self._group(first)
            self._commit(group)
            by_loop: dict[asyncio.AbstractEventLoop, list[Write]] = {}
            for write in group:
                by_loop.setdefault(write.loop, []).append(write)
            for loop, writes in by_loop.items():
                loop.call_soon_threadsafe(_resolve_all, writes)
            if closing:
                return

    def _group(self, first: Write) -> tuple[list[Write], bool]:
        group = [first]
        while len(group) < MAX_GROUP:
            try:
                following = self._queue.get_nowait()
            except queue.Empty:
                break
            if following is None:
                return group, True
            group.append(following)
        return group, False


def _resolve_all(writes: list[Write]) -> None:
    for write in writes:
        write.resolve()
