"""Users: people who may log in, with their roles."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from landbridge.errors import AccessRefused
from landbridge.jobs.db import AlreadyThere, Transaction, insert_new, now
from landbridge.jobs.db_tables import user as table
from landbridge.jobs.roles import Role


@dataclass(frozen=True, slots=True)
class UserRow:
    """A user.

    Attributes:
        email: In small letters; nobody else has it.
        password_hash: See ``passwords``; None for one who cannot log in yet.
        enabled: Whether their logins and tokens count.
    """

    id: str
    email: str
    name: str
    role: Role
    password_hash: str | None = field(repr=False)
    enabled: bool
    created: datetime
    updated: datetime
    last_login: datetime | None


def add(tx: Transaction, *, email: str, name: str, role: Role, password_hash: str | None) -> UserRow:
    """Store a new user.

    Raises:
        AccessRefused: LB-8023, there is one with this address.
    """
    moment = now(tx)
    row = UserRow(
        id=uuid.uuid4().hex,
        email=email,
        name=name,
        role=role,
        password_hash=password_hash,
        enabled=True,
        created=moment,
        updated=moment,
        last_login=None,
    )
    try:
        insert_new(tx, sa.insert(table).values({key: getattr(row, key) for key in UserRow.__slots__}))
    except AlreadyThere:
        raise AccessRefused("LB-8023", f"there is a user {email} already", status=409) from None
    return row


def change(tx: Transaction, id: str, **values: Any) -> None:
    """Change columns of a user."""
    tx.execute(sa.update(table).where(table.c.id == id).values(updated=now(tx), **values))


def logged_in(tx: Transaction, id: str, *, password_hash: str | None = None) -> None:
    """Note a login; ``password_hash`` takes the place of one with old parameters."""
    values: dict[str, Any] = {"last_login": now(tx)}
    if password_hash is not None:
        values["password_hash"] = password_hash
    tx.execute(sa.update(table).where(table.c.id == id).values(values))


def remove(tx: Transaction, id: str) -> None:
    """Remove a user, and with them their tokens and sessions."""
    tx.execute(sa.delete(table).where(table.c.id == id))


def get(tx: Transaction, id: str) -> UserRow:
    """The user with this id.

    Raises:
        AccessRefused: LB-8024, there is none.
    """
    row = tx.execute(sa.select(table).where(table.c.id == id)).mappings().one_or_none()
    if row is None:
        raise _not_found(id)
    return _row(row)


def find(tx: Transaction, name: str) -> UserRow:
    """The user with this e-mail address, in any case of letters, or with this id.

    Raises:
        AccessRefused: LB-8024, there is none.
    """
    wanted = sa.select(table).where(sa.or_(table.c.email == name.strip().lower(), table.c.id == name))
    row = tx.execute(wanted).mappings().first()
    if row is None:
        raise _not_found(name)
    return _row(row)


def with_email(tx: Transaction, email: str) -> UserRow | None:
    """The user who logs in with this address."""
    row = tx.execute(sa.select(table).where(table.c.email == email.strip().lower())).mappings().one_or_none()
    return None if row is None else _row(row)


def listing(tx: Transaction, *, after: str | None = None, limit: int = 1000) -> Sequence[UserRow]:
    """Users by e-mail address, those behind the address ``after``."""
    wanted = sa.select(table).order_by(table.c.email).limit(limit)
    if after is not None:
        wanted = wanted.where(table.c.email > after)
    return [_row(row) for row in tx.execute(wanted).mappings()]


def are_there(tx: Transaction) -> bool:
    """Whether there is any user."""
    return tx.execute(sa.select(table.c.id).limit(1)).first() is not None


def enabled_admins(tx: Transaction) -> set[str]:
    """The ids of admins who can log in; none of them changes before the end of the transaction."""
    wanted = sa.select(table.c.id).where(table.c.role == Role.ADMIN, table.c.enabled.is_(True)).order_by(table.c.id)
    return set(tx.execute(wanted.with_for_update(key_share=True)).scalars())


def _row(row: sa.RowMapping) -> UserRow:
    values: dict[str, Any] = dict(row)
    values["role"] = Role(values["role"])
    return UserRow(**values)


def _not_found(name: str) -> AccessRefused:
    return AccessRefused(
        "LB-8024", f'there is no user "{name[:100]}"', hint="`landbridge users list` shows all.", status=404
    )
