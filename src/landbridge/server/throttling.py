"""Logins that fail slow down: for one account, and for one address that they come from.

What is counted is in the memory of the process: it ends with it, and several services on one database count for
themselves. An attempt counts from its beginning, so that many at the same moment are not free.
"""

from __future__ import annotations

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from landbridge.errors import AccessRefused

FREE_FOR_ACCOUNT: Final = 5
FREE_FOR_ADDRESS: Final = 20
"""Failed attempts without a delay. People mistype, and many of them may share the address of an office."""

MAX_DELAY_S: Final = 300.0
FORGOTTEN_S: Final = 3600.0
"""An account or address without attempts for so long begins anew."""

_MAX_ENTRIES: Final = 10_000
_IPV6_NETWORK: Final = 64


@dataclass(slots=True)
class _Attempts:
    count: int = 0
    blocked_until: float = 0.0
    last: float = 0.0


class LoginThrottle:
    """Counts attempts to log in; threads may use it at once.

    Args:
        clock: Seconds that only go forward.
        max_entries: Accounts and addresses that are remembered; of more the ones unused for longest are forgotten.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, max_entries: int = _MAX_ENTRIES) -> None:
        self._clock = clock
        self._max_entries = max_entries
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], _Attempts] = OrderedDict()

    def begin(self, account: str, address: str) -> None:
        """Count an attempt, which is a failed one until ``succeeded`` says otherwise.

        Raises:
            AccessRefused: LB-8007, it has to wait; it does not count then.
        """
        keys = self._keys(account, address)
        with self._lock:
            moment = self._clock()
            wait = max(self._attempts(key, moment).blocked_until for key, _ in keys) - moment
            if wait > 0:
                seconds = math.ceil(wait)
                raise AccessRefused(
                    "LB-8007",
                    "there were too many logins that failed",
                    hint=f"Try again in {seconds} s.",
                    status=429,
                    retry_after_s=seconds,
                )
            for key, free in keys:
                found = self._attempts(key, moment)
                found.count, found.last = found.count + 1, moment
                if found.count >= free:
                    found.blocked_until = moment + min(MAX_DELAY_S, 2.0 ** min(found.count - free, 16))

    def succeeded(self, account: str, address: str) -> None:
        """The attempt that has begun last was a good one."""
        keys = self._keys(account, address)
        with self._lock:
            self._known.pop(keys[0][0], None)
            # Only its own attempt is taken back: else who has one account could try out those of others.
            found = self._known.get(keys[1][0])
            if found is not None:
                found.count -= 1
                found.blocked_until = 0.0

    def __len__(self) -> int:
        return len(self._known)

    def _attempts(self, key: tuple[str, str], moment: float) -> _Attempts:
        found = self._known.get(key)
        if found is None or moment - found.last > FORGOTTEN_S:
            found = self._known[key] = _Attempts(last=moment)
        self._known.move_to_end(key)
        while len(self._known) > self._max_entries:
            self._known.popitem(last=False)
        return found

    @staticmethod
    def _keys(account: str, address: str) -> list[tuple[tuple[str, str], int]]:
        return [
            (("account", account.strip().lower()[:320]), FREE_FOR_ACCOUNT),
            (("address", _network(address)), FREE_FOR_ADDRESS),
        ]


def _network(address: str) -> str:
    """An address as it is counted: of IPv6 the network, of which everybody has a whole one."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, _IPV6_NETWORK), strict=False))
    return str(found)
