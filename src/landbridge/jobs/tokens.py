"""Secrets by which requests prove who makes them: tokens for programs, sessions of people.

A secret is 32 random bytes, shown once. As nobody can guess it, a plain SHA-256 of it is enough to keep.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from landbridge.errors import AccessRefused
from landbridge.jobs import db_audit, db_tokens, db_users
from landbridge.jobs.db import Database, Transaction, now
from landbridge.jobs.db_tokens import TokenRow
from landbridge.jobs.roles import Caller, Role

PREFIX: Final = "lb_"
"""What the tokens of programs begin with, so that scanners for secrets find them."""

DEFAULT_LIFE: Final = timedelta(days=90)
MAX_LIFE: Final = timedelta(days=3650)

_MAX_NAME: Final = 100
_MAX_SECRET: Final = 200
_NOTED_EVERY: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class SessionLife:
    """How long a session lasts.

    Attributes:
        whole: From the login on.
        idle: Without a request.
    """

    whole: timedelta = timedelta(hours=12)
    idle: timedelta = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Issued:
    """A new token or session with its secret, which nobody can see again."""

    row: TokenRow
    secret: str = field(repr=False)


def add(
    tx: Transaction,
    *,
    user_id: str,
    name: str,
    most: Role,
    by: str,
    role: Role | None = None,
    life: timedelta | None = DEFAULT_LIFE,
) -> Issued:
    """Make a token for a program.

    Args:
        tx: The transaction.
        user_id: Whose it is; it may do what they may, at most.
        name: What it is for.
        most: The role of whoever makes it; no token is made that may do more.
        by: Who makes it.
        role: The most it may do; None for the role of its user at each time.
        life: When it ends; None for a token that lasts until it is revoked, which only admins make.

    Raises:
        AccessRefused: LB-8024, there is no such user; LB-8027, its name, role or time cannot be.
    """
    user = db_users.get(tx, user_id)
    wanted = role or user.role
    name = name.strip()
    if not name or len(name) > _MAX_NAME or not name.isprintable():
        raise _unfit(f"a token needs a name of up to {_MAX_NAME} characters")
    if not user.role.may(wanted) or not most.may(wanted):
        raise _unfit(f"a token of {user.email} cannot have the role {wanted}", hint="Choose a smaller role.")
    if life is None and not most.may(Role.ADMIN):
        raise _unfit("only an admin makes a token that never expires", hint="Give a number of days.")
    if life is not None and not timedelta(0) < life <= MAX_LIFE:
        raise _unfit(f"a token lasts 1 to {MAX_LIFE.days} days")
    secret = PREFIX + secrets.token_urlsafe(32)
    expires = None if life is None else now(tx) + life
    row = db_tokens.add(
        tx, user_id=user.id, kind="api", name=name, secret_hash=hash_of(secret), expires=expires, role=role
    )
    details = {"name": name, "user": user.email, "role": wanted, "expires": expires.isoformat() if expires else None}
    db_audit.note(tx, "token.add", actor=by, object_kind="token", object_id=row.id, details=details)
    return Issued(row, secret)


def check_reach(caller: Caller, token_id: str) -> None:
    """Refuse that a token touches another one, unless it is an admin's: who finds one must not end the others.

    Raises:
        AccessRefused: LB-8026, as if there were none.
    """
    if not _reaches_others(caller) and token_id != caller.token_id:
        raise db_tokens.unknown(token_id)


def seen_by(tx: Transaction, caller: Caller, *, everybody: bool, after: str | None, limit: int) -> Sequence[TokenRow]:
    """The tokens that a caller may see, in the order of their ids: one's own; of everybody where an admin asks for it.

    A token that is no admin's sees itself only.
    """
    if not _reaches_others(caller):
        own = db_tokens.get(tx, caller.token_id, user_id=caller.user_id)
        return [own] if after is None or own.id > after else []
    return db_tokens.listing(tx, user_id=None if everybody else caller.user_id, after=after, limit=limit)


def revoke(tx: Transaction, id: str, *, by: str, user_id: str | None = None) -> TokenRow:
    """End a token at once; with ``user_id`` only one of this user.

    Raises:
        AccessRefused: LB-8026, there is none.
    """
    row = db_tokens.get(tx, id, user_id=user_id)
    db_tokens.revoke(tx, id)
    details = {"name": row.name, "user": row.email}
    db_audit.note(tx, "token.revoke", actor=by, object_kind="token", object_id=id, details=details)
    return db_tokens.get(tx, id)


def caller_of(database: Database, secret: str, *, life: SessionLife, address: str = "") -> Caller | None:
    """Who makes a request with this token or session; None where it counts nothing.

    Args:
        database: Where it is looked up; nothing is remembered, so that a revoked token ends at once.
        secret: What came with the request.
        life: How long sessions last.
        address: Where the request comes from.
    """
    if len(secret) > _MAX_SECRET:
        return None
    with database.read() as tx:
        row, moment = db_tokens.with_hash(tx, hash_of(secret)), now(tx)
    if row is None or row.revoked or not row.user_enabled or (row.expires is not None and row.expires <= moment):
        return None
    is_session = row.kind == "session"
    unused = moment - (row.last_used or row.created)
    if is_session and unused >= life.idle:
        return None
    if row.last_used is None or unused >= _NOTED_EVERY:
        with database.write() as tx:
            db_tokens.used(tx, row.id)
    role = row.user_role if row.role is None or row.role.may(row.user_role) else row.role
    name = row.email if is_session else f"{row.email} (token {row.name})"
    return Caller(name=name, role=role, user_id=row.user_id, address=address, is_session=is_session, token_id=row.id)


def _reaches_others(caller: Caller) -> bool:
    return caller.is_session or caller.role.may(Role.ADMIN)


def csrf_token(session_secret: str) -> str:
    """What a browser's requests have to carry besides the session's cookie: only who can read replies knows it."""
    return hmac.new(session_secret.encode(), b"landbridge csrf", hashlib.sha256).hexdigest()


def hash_of(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _unfit(message: str, *, hint: str = "") -> AccessRefused:
    return AccessRefused("LB-8027", message, hint=hint, status=422)
