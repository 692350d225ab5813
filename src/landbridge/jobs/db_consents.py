"""Opt-outs: of each person and purpose the last one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from landbridge.jobs.db import Transaction
from landbridge.jobs.db_tables import consent as table

_PART: Final = 500
"""Keys of one statement; SQLite once allowed 999 values."""


def opt_outs(tx: Transaction, keys: Sequence[str]) -> dict[str, dict[str, datetime]]:
    """The opt-outs of these keys by key and purpose; keys without one are missing."""
    found: dict[str, dict[str, datetime]] = {}
    for start in range(0, len(keys), _PART):
        wanted = sa.select(table).where(table.c.key.in_(keys[start : start + _PART]))
        for row in tx.execute(wanted):
            found.setdefault(row.key, {})[row.purpose] = row.at
    return found


def keep(tx: Transaction, opt_outs: Mapping[tuple[str, str], datetime]) -> None:
    """Remember opt-outs by key and purpose; a later one that is known stays."""
    dialect = postgresql if tx.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table)
    statement = statement.on_conflict_do_update(
        index_elements=[table.c.key, table.c.purpose],
        set_={"at": statement.excluded.at},
        where=statement.excluded.at > table.c.at,
    )
    # In order, so that two jobs never wait for each other's rows.
    rows = [{"key": key, "purpose": purpose, "at": at} for (key, purpose), at in sorted(opt_outs.items())]
    tx.execute(statement, rows)
