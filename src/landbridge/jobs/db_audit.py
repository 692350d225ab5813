"""The audit trail: who changed what, from where. A line is written in the transaction of the change itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from landbridge.jobs.db import Transaction, now
from landbridge.jobs.db_tables import audit as table


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One line of the trail; ``details`` name what changed, never a secret or personal data of customers."""

    id: int
    at: datetime
    actor: str
    action: str
    object_kind: str
    object_id: str
    address: str
    details: Mapping[str, Any] | None


def note(
    tx: Transaction,
    action: str,
    *,
    actor: str,
    object_kind: str = "",
    object_id: str = "",
    address: str = "",
    details: Mapping[str, Any] | None = None,
) -> None:
    """Add a line.

    Args:
        tx: The transaction of the change: both are kept, or neither.
        action: What was done, such as ``dataflow.change``.
        actor: Who did it.
        object_kind: What it was done to, such as ``dataflow``.
        object_id: Which one.
        address: Where the request came from.
        details: What changed.
    """
    values = {
        "at": now(tx),
        "actor": actor,
        "action": action,
        "object_kind": object_kind,
        "object_id": object_id,
        "address": address,
        "details": dict(details) if details else None,
    }
    tx.execute(sa.insert(table).values(values))


def listing(tx: Transaction, *, before: int | None = None, limit: int = 100) -> Sequence[AuditRow]:
    """The newest lines first; ``before`` is the id of a line, of which older ones are wanted."""
    query = sa.select(table).order_by(table.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(table.c.id < before)
    return [AuditRow(**row) for row in tx.execute(query).mappings()]
