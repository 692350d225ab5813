"""Calls for several things at a time: the first one that fails for good ends them all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio

from landbridge.errors import LandbridgeError

T = TypeVar("T")


async def for_each(items: Sequence[T], work: Callable[[T], Awaitable[None]], *, at_a_time: int) -> None:
    """Do ``work`` for each of the items, begun in their order, at most so many at a time.

    Raises:
        LandbridgeError: The first one that ``work`` raised; what is under way is given up, the rest is not begun.
    """
    waiting = iter(items)
    fatal: list[LandbridgeError] = []

    async def worker() -> None:
        for item in waiting:
            try:
                await work(item)
            except LandbridgeError as error:
                fatal.append(error)
                group.cancel_scope.cancel()
                return

    async with anyio.create_task_group() as group:
        for _ in range(min(at_a_time, len(items))):
            group.start_soon(worker)
    if fatal:
        raise fatal[0]
