"""Windows of time that divide a search among processes: each account was created once, and that never changes."""

from __future__ import annotations

import heapq
import re
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from landbridge.components.base import Split
from landbridge.remote.gigya import Client, page_of

FIELD: Final = "createdTimestamp"

_QUESTIONS_PER_PART: Final = 4
_CLAUSES: Final = re.compile(r"\b(ORDER\s+BY|LIMIT|START|GROUP\s+BY)\b", re.IGNORECASE)

Ask = Callable[[str | None, str], Awaitable[tuple[int, int | None]]]
"""Given a condition and the direction of an order, how many accounts there are, and when the first was created."""


def asker(client: Client, query: Callable[[str | None, str], str]) -> Ask:
    """What asks a site; ``query`` makes a search of ``FIELD`` from a condition and the direction of its order."""

    async def ask(condition: str | None, direction: str) -> tuple[int, int | None]:
        answer = await client.call("accounts.search", {"query": query(condition, direction)}, may_repeat=True)
        page = page_of(answer.body)
        rows = msgspec.json.decode(b"[" + page.elements + b"]", type=list[dict[str, int]])
        return page.total_count, rows[0].get(FIELD) if rows else None

    return ask


def may_be_divided(where: str | None) -> bool:
    """Whether a condition can be put together with others: it has no clauses of its own."""
    return where is None or _CLAUSES.search(where) is None


def condition(split: Split) -> str:
    """What the accounts of a window have in common."""
    since, until = split["since"], split["until"]
    parts = [f"{FIELD} >= {since}" if since is not None else "", f"{FIELD} < {until}" if until is not None else ""]
    return " AND ".join(part for part in parts if part) or f"{FIELD} >= 0"


async def windows(ask: Ask, *, target: int) -> list[Split]:
    """About ``target`` windows with about the same number of accounts, in the order of time; none where one would miss.

    The fullest window is halved in time until there are enough. The first has no beginning and the last no end.
    """
    total, first = await ask(None, "ASC")
    _, last = await ask(None, "DESC")
    if total < target or target < 2 or first is None or last is None or first >= last:  # noqa: PLR2004 - one is all
        return []
    counted = [(-total, first, last + 1)]
    for _ in range(_QUESTIONS_PER_PART * target):
        count, since, until = counted[0]
        middle = (since + until) // 2
        if len(counted) >= target or middle <= since:
            break
        left, _ = await ask(condition({"since": since, "until": middle}), "ASC")
        heapq.heapreplace(counted, (-left, since, middle))
        heapq.heappush(counted, (count + left, middle, until))
    inside, _ = await ask(condition({"since": first, "until": None}), "ASC")
    if inside < total:
        return []  # some accounts do not tell when they were created
    bounds = sorted(since for count, since, _ in counted if count)[1:]
    starts: list[int | None] = [None, *bounds]
    ends: list[int | None] = [*bounds, None]
    return [{"since": since, "until": until} for since, until in zip(starts, ends, strict=True)]
