"""How many jobs may run at the same time: kept in the database, since it holds for all workers together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from landbridge.errors import FlowError
from landbridge.jobs import db_audit, db_settings
from landbridge.jobs.db import Transaction

SETTING: Final = "limits"
MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """How many jobs may run at the same time, on all workers together.

    Attributes:
        overall: Of all.
        per_site: Of dataflows that belong to the same site.
        per_account: That use the same account of a remote system: a server's user, a bucket, a site's application.
    """

    overall: int = 32
    per_site: int = 4
    per_account: int = 4

    @classmethod
    def load(cls, tx: Transaction) -> Limits:
        """What is set in the database."""
        found: dict[str, Any] = db_settings.get(tx, SETTING) or {}
        return msgspec.convert(found, cls)

    def save(self, tx: Transaction, *, by: str) -> None:
        """Set it; the workers heed it in their next round. Jobs that are running go on.

        Raises:
            FlowError: LB-1709, a number is not from 1 to ``MOST``.
        """
        numbers: dict[str, int] = msgspec.to_builtins(self)
        wrong = [name for name, number in numbers.items() if not 1 <= number <= MOST]
        if wrong:
            raise FlowError(
                "LB-1709",
                f"the number of jobs {wrong[0].replace('_', ' ')} must be from 1 to {MOST:,}",
                hint="To let nothing run, stop the workers or switch schedulings off.",
            )
        db_settings.put(tx, SETTING, numbers)
        db_audit.note(tx, "limits.change", actor=by, object_kind="setting", object_id=SETTING, details=numbers)
