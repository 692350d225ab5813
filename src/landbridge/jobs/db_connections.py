"""Stored connections: the parameters of remote systems. Their secrets are in ``sealed``."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from landbridge.dataflow.problems import UNKNOWN_CONNECTION
from landbridge.errors import FlowError
from landbridge.jobs import db_audit
from landbridge.jobs.db import AlreadyThere, Transaction, insert_new, now
from landbridge.jobs.db_tables import connection as table


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """A connection; see ``dataflow.connections.Connection``.

    Attributes:
        sealed: Its secrets by parameter, encrypted; None without any.
        revision: Counts its changes.
    """

    id: str
    name: str
    kind: str
    params: dict[str, Any]
    sealed: bytes | None = field(repr=False)
    revision: int
    created: datetime
    updated: datetime
    updated_by: str


def add(
    tx: Transaction, name: str, *, kind: str, params: dict[str, Any], sealed: bytes | None, by: str
) -> ConnectionRow:
    """Store a new connection.

    Raises:
        FlowError: LB-1763, there is one of this name.
    """
    moment = now(tx)
    row = ConnectionRow(
        id=uuid.uuid4().hex,
        name=name,
        kind=kind,
        params=params,
        sealed=sealed,
        revision=1,
        created=moment,
        updated=moment,
        updated_by=by,
    )
    try:
        insert_new(tx, sa.insert(table).values({key: getattr(row, key) for key in ConnectionRow.__slots__}))
    except AlreadyThere:
        raise FlowError(
            "LB-1763",
            f'there is a connection "{name}" already',
            hint=f"Choose another name, or change it: landbridge connections set {name}",
        ) from None
    details = {"type": kind, "params": sorted(params), "secrets": sealed is not None}
    db_audit.note(tx, "connection.add", actor=by, object_kind="connection", object_id=name, details=details)
    return row


def change(tx: Transaction, row: ConnectionRow, *, params: dict[str, Any], sealed: bytes | None, by: str) -> None:
    """Give a connection, as it was read, new parameters.

    Raises:
        FlowError: LB-1768, somebody else changed it since.
    """
    done = tx.execute(
        sa.update(table)
        .where(table.c.id == row.id, table.c.revision == row.revision)
        .values(params=params, sealed=sealed, revision=row.revision + 1, updated=now(tx), updated_by=by)
    )
    if not done.rowcount:
        raise FlowError(
            "LB-1768",
            f'the connection "{row.name}" was changed by {row.updated_by or "somebody"} meanwhile',
            hint="Look at it again and repeat the change.",
        )
    changed = sorted(key for key in {*row.params, *params} if row.params.get(key) != params.get(key))
    details = {"params": changed, "secrets": sealed is not None}
    db_audit.note(tx, "connection.change", actor=by, object_kind="connection", object_id=row.name, details=details)


def find(tx: Transaction, name: str) -> ConnectionRow:
    """The connection of this name.

    Raises:
        FlowError: LB-1761, there is none.
    """
    row = tx.execute(sa.select(table).where(table.c.name == name)).one_or_none()
    if row is None:
        raise FlowError(
            UNKNOWN_CONNECTION, f'there is no connection "{name}"', hint="`landbridge connections list` shows all."
        )
    return ConnectionRow(**row._mapping)  # noqa: SLF001 - the public name of a row's columns in SQLAlchemy


def named(tx: Transaction, names: Collection[str]) -> Sequence[ConnectionRow]:
    """Those of these connections that exist."""
    return [ConnectionRow(**row._mapping) for row in tx.execute(sa.select(table).where(table.c.name.in_(names)))]  # noqa: SLF001 - see find


def listing(tx: Transaction, *, limit: int = 1000, after: str | None = None) -> Sequence[ConnectionRow]:
    """Connections by name; ``after`` is the name of the last one that was listed."""
    wanted = sa.select(table).order_by(table.c.name).limit(limit)
    if after is not None:
        wanted = wanted.where(table.c.name > after)
    return [ConnectionRow(**row._mapping) for row in tx.execute(wanted)]  # noqa: SLF001 - see find


def remove(tx: Transaction, name: str, *, by: str) -> None:
    """Remove a connection.

    Raises:
        FlowError: LB-1761, there is none of this name.
    """
    find(tx, name)
    tx.execute(sa.delete(table).where(table.c.name == name))
    db_audit.note(tx, "connection.remove", actor=by, object_kind="connection", object_id=name)
