"""Tells of a database that is away: once when it goes, now and then while it stays away, and once when it is back.

Everything that needs the database fails meanwhile, several times a second. What they say of it is left out of the log
as long as ``is_on``; see ``server.logs``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from time import monotonic
from typing import Final

LOGGER: Final = "landbridge.database"

_LOG = logging.getLogger(LOGGER)
_REMINDER_S: Final = 60.0
_LINGERS_S: Final = 15.0
"""Longer than an attempt to connect takes: what began while the database was away may say so after it is back."""


class Outage:
    """Whether the database is away now, as those know who use it; told by any thread.

    Args:
        clock: Seconds, for what takes time.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._began: float | None = None
        self._told = 0.0
        self._over: float | None = None

    @property
    def is_on(self) -> bool:
        """Whether it is away, or was until a moment ago."""
        return self._began is not None or (self._over is not None and self._clock() - self._over < _LINGERS_S)

    def failed(self, reason: str) -> None:
        """Somebody could not use the database."""
        with self._lock:
            moment = self._clock()
            if self._began is None:
                self._began = self._told = moment
                text = "the database is away; jobs, schedules and calls wait for it: %s"
            elif moment - self._told >= _REMINDER_S:
                self._told = moment
                text = f"the database is away for {moment - self._began:.0f} s now: %s"
            else:
                return
        _LOG.error(text, reason, extra={"code": "LB-7501"})

    def worked(self) -> None:
        """Somebody could use the database."""
        if self._began is None:
            return
        with self._lock:
            if self._began is None:
                return
            seconds = self._clock() - self._began
            self._began, self._over = None, self._clock()
        _LOG.warning("the database is back after %.0f s", seconds)
