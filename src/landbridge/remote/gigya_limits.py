"""How many calls a site allows: the tiers of the vendor's acceptable use policy, and calls per account."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

from landbridge.remote.http import PACES, Pace

Tier = Literal["5M", "10M", "20M", "50M", "over50M", "none"]
"""By the number of contacts on the site; ``none`` for no limit, as on a site of one's own."""

TIERS: Final[dict[str, tuple[float | None, float | None]]] = {
    "5M": (10, 120),
    "10M": (15, 180),
    "20M": (20, 280),
    "50M": (30, 420),
    "over50M": (50, 630),
    "none": (None, None),
}
"""Searches and other calls a second that each tier allows."""

IMPORTS_PER_MINUTE: Final = 5
"""More imports of one account within a minute are answered with 503001."""

_SHARE: Final = 0.98
"""So much of the quota is used: the other side's clock need not run like ours."""
_MINUTE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class SitePaces:
    """The paces of one site: searches and other calls are counted apart."""

    searches: Pace
    calls: Pace

    @classmethod
    def of(cls, account: tuple[str, str], tier: Tier) -> SitePaces:
        """The paces that all steps of this process share for the site."""
        searches, calls = (None if rate is None else rate * _SHARE for rate in TIERS[tier])
        return cls(PACES.of((*account, "search"), searches), PACES.of((*account, "call"), calls))

    def for_method(self, method: str) -> Pace:
        """The pace that a call of ``method`` keeps."""
        return self.searches if method.endswith(".search") else self.calls


class ImportLimit:
    """At most IMPORTS_PER_MINUTE calls for one account within a minute; remembers no more than the last minute."""

    def __init__(self, window_s: float = _MINUTE_S) -> None:
        self._window_s = window_s
        self._times: dict[str, deque[float]] = {}
        self._forget_at = 0.0
        self._lock = threading.Lock()

    def reserve(self, uid: str, now: float) -> float:
        """Take the next place of an account; gives the seconds to wait from ``now``, a monotonic time."""
        with self._lock:
            if now >= self._forget_at:
                old = now - self._window_s
                self._times = {key: times for key, times in self._times.items() if times[-1] > old}
                self._forget_at = now + self._window_s
            times = self._times.setdefault(uid, deque(maxlen=IMPORTS_PER_MINUTE))
            at = now
            if len(times) == IMPORTS_PER_MINUTE:
                at = max(now, times[0] + self._window_s)
            times.append(at)
        return at - now

    async def wait(self, uid: str) -> None:
        """Wait until one more call for this account is allowed."""
        delay = self.reserve(uid, time.monotonic())
        if delay > 0:
            await asyncio.sleep(delay)


_IMPORTS: Final[dict[tuple[str, str], ImportLimit]] = {}


def imports_of(account: tuple[str, str]) -> ImportLimit:
    """The import limit that all steps of this process share for a site."""
    return _IMPORTS.setdefault(account, ImportLimit())
