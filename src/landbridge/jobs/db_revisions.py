"""In which state something is that people change, for changes that are based on one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

import sqlalchemy as sa

from landbridge.jobs.db import Transaction
from landbridge.jobs.db_tables import alert_rule, connection, dataflow, scheduling, setting

Thing = Literal["dataflow", "scheduling", "connection", "alert_rule", "setting"]

_STATES: Final[Mapping[Thing, tuple[sa.Column[Any], sa.Column[Any]]]] = {
    "dataflow": (dataflow.c.id, dataflow.c.version),
    "scheduling": (scheduling.c.id, scheduling.c.revision),
    "connection": (connection.c.name, connection.c.revision),
    "alert_rule": (alert_rule.c.id, alert_rule.c.updated),
    "setting": (setting.c.name, setting.c.updated),
}


def current(tx: Transaction, thing: Thing, id: str) -> int:
    """The number of the state of something; 0 where there is no such thing."""
    key, state = _STATES[thing]
    return number(tx.execute(sa.select(state).where(key == id)).scalar())


def locked(tx: Transaction, thing: Thing, id: str) -> int:
    """The number of the state of something, which nobody else changes until the transaction ends.

    Returns:
        0 where there is no such thing.
    """
    key, state = _STATES[thing]
    # A file has one writer at a time anyway; the driver leaves this out. What refers to the row may still be added:
    # a lock of the key as well would wait for the planner, which adds jobs, while that waits for a row changed here.
    return number(tx.execute(sa.select(state).where(key == id).with_for_update(key_share=True)).scalar())


def number(state: int | datetime | None) -> int:
    """A state as a number: an instant by its microseconds."""
    if isinstance(state, datetime):
        return int((state - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)
    return state or 0
