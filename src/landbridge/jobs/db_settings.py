"""Settings that are kept in the database, each a JSON value under a name."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from landbridge.jobs.db import AlreadyThere, Transaction, insert_new, now
from landbridge.jobs.db_tables import setting as table


def get(tx: Transaction, name: str) -> Any:
    """The value, or None."""
    return tx.execute(sa.select(table.c.value).where(table.c.name == name)).scalar()


def put(tx: Transaction, name: str, value: Any) -> None:
    """Set a value."""
    moment = now(tx)
    try:
        insert_new(tx, sa.insert(table).values(name=name, value=value, updated=moment))
    except AlreadyThere:
        tx.execute(sa.update(table).where(table.c.name == name).values(value=value, updated=moment))
