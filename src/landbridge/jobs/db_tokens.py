"""What proves who makes a request: tokens for programs, sessions of people. Only hashes of the secrets are kept.

A session is a row of kind ``session`` and is deleted when it ends. A token that was revoked stays for a while, so that
one can see what it was.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from landbridge.errors import AccessRefused
from landbridge.jobs.db import Transaction, now
from landbridge.jobs.db_tables import token as table, user
from landbridge.jobs.roles import Role

TokenKind = Literal["api", "session"]


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token or a session, without its secret.

    Attributes:
        name: What it is for; empty for a session.
        role: The most it may do; None where it may do what its user may.
        expires: None for a token that lasts until it is revoked.
        last_used: To the minute.
        email: Its user's.
        user_role: Its user's.
        user_enabled: Whether its user may log in.
    """

    id: str
    user_id: str
    kind: TokenKind
    name: str
    role: Role | None
    created: datetime
    expires: datetime | None
    last_used: datetime | None
    revoked: datetime | None
    email: str
    user_role: Role
    user_enabled: bool


_ROW = sa.select(
    *(column for column in table.c if column.name != "secret_hash"),
    user.c.email,
    user.c.role.label("user_role"),
    user.c.enabled.label("user_enabled"),
).join(user, user.c.id == table.c.user_id)


def add(
    tx: Transaction,
    *,
    user_id: str,
    kind: TokenKind,
    secret_hash: str,
    expires: datetime | None,
    name: str = "",
    role: Role | None = None,
) -> TokenRow:
    """Store a new one."""
    new, moment = uuid.uuid4().hex[:16], now(tx)
    tx.execute(
        sa.insert(table).values(
            id=new,
            user_id=user_id,
            kind=kind,
            name=name,
            secret_hash=secret_hash,
            scopes=None if role is None else {"role": role},
            created=moment,
            expires=expires,
            last_used=moment if kind == "session" else None,
        )
    )
    return _row(tx.execute(_ROW.where(table.c.id == new)).mappings().one())


def with_hash(tx: Transaction, secret_hash: str) -> TokenRow | None:
    """The one whose secret has this hash, whatever its state."""
    row = tx.execute(_ROW.where(table.c.secret_hash == secret_hash)).mappings().one_or_none()
    return None if row is None else _row(row)


def get(tx: Transaction, id: str, *, user_id: str | None = None) -> TokenRow:
    """A token for programs; with ``user_id`` only one of this user.

    Raises:
        AccessRefused: LB-8026, there is none.
    """
    wanted = _ROW.where(table.c.id == id, table.c.kind == "api")
    if user_id is not None:
        wanted = wanted.where(table.c.user_id == user_id)
    row = tx.execute(wanted).mappings().one_or_none()
    if row is None:
        raise unknown(id)
    return _row(row)


def unknown(id: str) -> AccessRefused:
    """The error for an id that no token has, or none that is to be seen."""
    return AccessRefused(
        "LB-8026", f'there is no token "{id[:100]}"', hint="`landbridge tokens list` shows all.", status=404
    )


def listing(
    tx: Transaction, *, user_id: str | None = None, after: str | None = None, limit: int = 1000
) -> Sequence[TokenRow]:
    """Tokens for programs by id, those behind ``after``; with ``user_id`` only those of this user."""
    wanted = _ROW.where(table.c.kind == "api").order_by(table.c.id).limit(limit)
    if user_id is not None:
        wanted = wanted.where(table.c.user_id == user_id)
    if after is not None:
        wanted = wanted.where(table.c.id > after)
    return [_row(row) for row in tx.execute(wanted).mappings()]


def used(tx: Transaction, id: str) -> None:
    """Note that it is used."""
    tx.execute(sa.update(table).where(table.c.id == id).values(last_used=now(tx)))


def revoke(tx: Transaction, id: str) -> None:
    """It counts no more; revoking it again changes nothing."""
    tx.execute(sa.update(table).where(table.c.id == id, table.c.revoked.is_(None)).values(revoked=now(tx)))


def end_session(tx: Transaction, secret_hash: str) -> None:
    """End the session whose secret has this hash, if there is one."""
    tx.execute(sa.delete(table).where(table.c.secret_hash == secret_hash, table.c.kind == "session"))


def end_sessions(tx: Transaction, user_id: str, *, expired_only: bool = False) -> None:
    """End all sessions of a user, or clear away those that are over."""
    ended = sa.delete(table).where(table.c.user_id == user_id, table.c.kind == "session")
    if expired_only:
        ended = ended.where(table.c.expires < now(tx))
    tx.execute(ended)


def _row(row: sa.RowMapping) -> TokenRow:
    values: dict[str, Any] = dict(row)
    scopes = values.pop("scopes") or {}
    values["role"] = Role(scopes["role"]) if "role" in scopes else None
    values["user_role"] = Role(values["user_role"])
    return TokenRow(**values)
