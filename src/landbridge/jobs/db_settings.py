"""Settings that are kept in the database, each a JSON value under a name."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from landbridge.jobs import db_revisions
from landbridge.jobs.db import AlreadyThere, Transaction, insert_new, now
from landbridge.jobs.db_tables import setting as table

_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


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


def locked(tx: Transaction, name: str) -> int:
    """The number of the state of a setting, which nobody else changes until the transaction ends; 0 for never set."""
    with contextlib.suppress(AlreadyThere):  # a row that is not there cannot be locked; an empty one sets nothing
        insert_new(tx, sa.insert(table).values(name=name, value={}, updated=_NEVER))
    return db_revisions.locked(tx, "setting", name)
