"""Sites: the API keys under which the ``idx.*`` methods keep dataflows, and the credentials for calling them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from landbridge.errors import FlowError
from landbridge.jobs.db import AlreadyThere, Transaction, insert_new, now
from landbridge.jobs.db_tables import site as table


@dataclass(frozen=True, slots=True)
class SiteRow:
    """A site.

    Attributes:
        site_id: Its number.
        data_center: Not used by the service itself.
        settings: See ``server.idx_sites``.
    """

    api_key: str
    site_id: int
    name: str
    data_center: str
    settings: dict[str, Any] = field(repr=False)
    created: datetime
    updated: datetime


def add(tx: Transaction, api_key: str, *, name: str, settings: dict[str, Any]) -> SiteRow:
    """Store a new site under the next number.

    Raises:
        FlowError: LB-1782, there is one with this API key.
    """
    moment = now(tx)
    last = tx.execute(sa.select(sa.func.max(table.c.site_id))).scalar() or 0
    row = SiteRow(api_key, last + 1, name, "", settings, moment, moment)
    try:
        insert_new(tx, sa.insert(table).values({key: getattr(row, key) for key in SiteRow.__slots__}))
    except AlreadyThere:
        raise FlowError("LB-1782", f'there is a site with the API key "{api_key}" already') from None
    return row


def put_settings(tx: Transaction, api_key: str, settings: dict[str, Any]) -> None:
    """Replace the settings of a site."""
    tx.execute(sa.update(table).where(table.c.api_key == api_key).values(settings=settings, updated=now(tx)))


def listing(tx: Transaction) -> Sequence[SiteRow]:
    """All sites by their number; the first one also stands for dataflows that name no known site."""
    wanted = sa.select(table).where(table.c.settings.is_not(None)).order_by(table.c.site_id)
    return [SiteRow(**row._mapping) for row in tx.execute(wanted)]  # noqa: SLF001 - SQLAlchemy's public name
