"""The audit trail: who changed what, from where. A line is written in the transaction of the change itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from landbridge.jobs.db import Transaction, now
from landbridge.jobs.db_tables import audit as table

ADDRESS: Final[ContextVar[str]] = ContextVar("address", default="")
"""The address that the request at hand came from. The server sets it, so that no function on the way has to carry it;
it is empty on the command line."""


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


@dataclass(frozen=True, slots=True)
class Lines:
    """Which lines are meant: those that fit all that is said.

    Attributes:
        actor: By this one.
        action: This action, or with a dot at its end all of a kind: ``user.``
        object_kind: To a thing of this kind.
        object_id: To the thing with this id or name.
        since: At this instant or later.
        until: Before this instant.
    """

    actor: str | None = None
    action: str | None = None
    object_kind: str | None = None
    object_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """As SQL."""
        named = {"actor": self.actor, "object_kind": self.object_kind, "object_id": self.object_id}
        found: list[sa.ColumnElement[bool]] = [table.c[key] == text for key, text in named.items() if text is not None]
        if self.action is not None:
            whole_kind = self.action.endswith(".")
            found.append(
                table.c.action.startswith(self.action, autoescape=True) if whole_kind else table.c.action == self.action
            )
        if self.since is not None:
            found.append(table.c.at >= self.since)
        if self.until is not None:
            found.append(table.c.at < self.until)
        return found


def note(
    tx: Transaction,
    action: str,
    *,
    actor: str,
    object_kind: str = "",
    object_id: str = "",
    details: Mapping[str, Any] | None = None,
) -> None:
    """Add a line; its address is ``ADDRESS``.

    Args:
        tx: The transaction of the change: both are kept, or neither.
        action: What was done, such as ``dataflow.change``.
        actor: Who did it.
        object_kind: What it was done to, such as ``dataflow``.
        object_id: Which one.
        details: What changed: names and numbers, never a secret or personal data of customers.
    """
    values = {
        "at": now(tx),
        "actor": actor,
        "action": action,
        "object_kind": object_kind,
        "object_id": object_id,
        "address": ADDRESS.get(),
        "details": dict(details) if details else None,
    }
    tx.execute(sa.insert(table).values(values))


def listing(
    tx: Transaction, lines: Lines | None = None, *, before: int | None = None, limit: int = 100
) -> Sequence[AuditRow]:
    """The newest lines first; ``before`` is the id of a line, of which older ones are wanted."""
    query = sa.select(table).where(*(lines or Lines()).conditions()).order_by(table.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(table.c.id < before)
    return [AuditRow(**row) for row in tx.execute(query).mappings()]
