"""The consent ledger of a service: who has opted out of what, and when, in the database that all jobs share.

People are known by their UID and by the hash of their address, as ``engine.consent`` makes the keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from landbridge.engine.consent import OptOut
from landbridge.jobs import db_consents
from landbridge.jobs.db import Database


class DatabaseLedger:
    """A ``ConsentLedger`` in the database; the connection is made when a guard first asks.

    Args:
        place: The data folder, or the URL of the database.
    """

    def __init__(self, place: Path | str) -> None:
        self._place = place
        self._database: Database | None = None

    def opt_outs(self, keys: Sequence[str]) -> Mapping[str, Mapping[str, datetime]]:
        """See ``ConsentLedger``.

        Raises:
            StorageError: LB-7501, the database cannot be used: without it nobody knows who has opted out.
        """
        with self._opened().read() as tx:
            return db_consents.opt_outs(tx, keys)

    def keep(self, found: Iterable[OptOut]) -> None:
        """See ``ConsentLedger``.

        Raises:
            StorageError: LB-7501, the database cannot be used.
        """
        latest: dict[tuple[str, str], datetime] = {}
        for item in found:
            place = item.key, item.purpose
            latest[place] = max(item.at, latest.get(place, item.at))
        if latest:
            with self._opened().write() as tx:
                db_consents.keep(tx, latest)

    def close(self) -> None:
        """Let go of the database."""
        if self._database is not None:
            self._database.close()

    def _opened(self) -> Database:
        if self._database is None:
            self._database = Database.open(self._place)
        return self._database
