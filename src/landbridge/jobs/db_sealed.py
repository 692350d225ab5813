"""All that is sealed in the database: columns named ``sealed``, whatever their table, and some settings.

Those are the credentials of sites, and a known text that tells whether a key is the right one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import sqlalchemy as sa

from landbridge.jobs import db_settings
from landbridge.jobs.db import Transaction
from landbridge.jobs.db_tables import metadata, site

_PART: Final = 500
"""Rows that are held at a time."""

_CHECK: Final = "keyCheck"


def check_value(tx: Transaction) -> bytes | None:
    """The known text, sealed; None where no service has run yet."""
    found = db_settings.get(tx, _CHECK)
    return found["sealed"].encode() if found else None


def put_check_value(tx: Transaction, sealed: bytes) -> None:
    """Keep the known text."""
    db_settings.put(tx, _CHECK, {"sealed": sealed.decode()})


def any_value(tx: Transaction) -> bytes | None:
    """Something that is sealed; None where nothing is."""
    for table in metadata.sorted_tables:
        if "sealed" in table.c:
            found = tx.execute(sa.select(table.c.sealed).where(table.c.sealed.is_not(None)).limit(1)).scalar()
            if found is not None:
                return bytes(found)
    for settings in tx.execute(sa.select(site.c.settings)).scalars():
        if settings and "sealed" in settings:
            return str(settings["sealed"]).encode()
    return None


def reseal(tx: Transaction, change: Callable[[bytes], bytes]) -> int:
    """Put ``change`` of each sealed value in its place; gives how many there were."""
    done = sum(_reseal(tx, table, change) for table in metadata.sorted_tables if "sealed" in table.c)
    for api_key, settings in tx.execute(sa.select(site.c.api_key, site.c.settings)).all():
        if settings and "sealed" in settings:
            anew = {**settings, "sealed": change(settings["sealed"].encode()).decode()}
            tx.execute(sa.update(site).where(site.c.api_key == api_key).values(settings=anew))
            done += 1
    if (known := check_value(tx)) is not None:
        put_check_value(tx, change(known))
    return done


def _reseal(tx: Transaction, table: sa.Table, change: Callable[[bytes], bytes]) -> int:
    keys = list(table.primary_key.columns)
    some = sa.select(*keys, table.c.sealed).where(table.c.sealed.is_not(None)).order_by(*keys).limit(_PART)
    done = 0
    wanted = some
    while rows := tx.execute(wanted).all():
        for *key, sealed in rows:
            same_row = [column == value for column, value in zip(keys, key, strict=True)]
            tx.execute(sa.update(table).where(*same_row).values(sealed=change(sealed)))
        done += len(rows)
        last = [sa.literal(value) for value in rows[-1][:-1]]
        wanted = some.where(sa.tuple_(*keys) > sa.tuple_(*last))
    return done
