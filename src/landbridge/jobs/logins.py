"""Logins: a session begins by a password and ends by a logout, by another password, or by itself.

Checking a password takes some 50 ms of a processor, so no function here does it within a transaction.
"""

from __future__ import annotations

import secrets

from landbridge.errors import AccessRefused
from landbridge.jobs import db_audit, db_tokens, db_users, passwords, users
from landbridge.jobs.db import Database, Transaction, now
from landbridge.jobs.db_users import UserRow
from landbridge.jobs.tokens import Issued, SessionLife, hash_of


def log_in(database: Database, email: str, password: str, *, life: SessionLife, instead_of: str = "") -> Issued:
    """Begin a session; its secret is always a new one.

    It takes the same time and says the same whether the address, the password, or both are wrong, and for a user who
    is switched off.

    Args:
        database: Where users are.
        email: Theirs, in any case of letters.
        password: As it was typed.
        life: How long the session lasts.
        instead_of: The secret of a session that this one replaces.

    Raises:
        AccessRefused: LB-8006, and a line in the audit trail. An address that nobody has is not written there: it may
            be a password that was typed into the wrong field.
    """
    with database.read() as tx:
        found = db_users.with_email(tx, email)
    user = found if found is not None and found.enabled else None
    if not passwords.is_right(password, user.password_hash if user else None) or user is None:
        raise _refused(database, found)
    anew = _renewed_hash(user, password)
    with database.write() as tx:
        if _is_still(tx, user):
            db_users.logged_in(tx, user.id, password_hash=anew)
            db_tokens.end_session(tx, hash_of(instead_of))
            db_audit.note(tx, "session.begin", actor=user.email, object_kind="user", object_id=user.id)
            return _begun(tx, user, life)
    raise _refused(database, found)  # it was changed at the same moment


def log_out(tx: Transaction, secret: str, *, by: str, user_id: str) -> None:
    """End a session."""
    db_tokens.end_session(tx, hash_of(secret))
    db_audit.note(tx, "session.end", actor=by, object_kind="user", object_id=user_id)


def change_own_password(database: Database, user_id: str, old: str, new: str, *, life: SessionLife) -> Issued:
    """Change a password by who knows it. All their sessions end, and a new one begins.

    Raises:
        AccessRefused: LB-8006, the old one is wrong; LB-8021, the new one is not good enough.
    """
    with database.read() as tx:
        user = db_users.get(tx, user_id)
    if not passwords.is_right(old, user.password_hash):
        raise _refused(database, user)
    hashed = passwords.hashed(new, email=user.email)
    with database.write() as tx:
        if _is_still(tx, user):
            users.set_password(tx, user.id, hashed, by=user.email)
            return _begun(tx, user, life)
    raise _refused(database, user)  # it was changed at the same moment


def _is_still(tx: Transaction, user: UserRow) -> bool:
    """Whether a user, as read before the password was checked, may log in by the same password now."""
    now_known = db_users.with_email(tx, user.email)
    return (
        now_known is not None
        and now_known.enabled
        and (now_known.id, now_known.password_hash) == (user.id, user.password_hash)
    )


def _begun(tx: Transaction, user: UserRow, life: SessionLife) -> Issued:
    secret = secrets.token_urlsafe(32)
    db_tokens.end_sessions(tx, user.id, expired_only=True)
    row = db_tokens.add(tx, user_id=user.id, kind="session", secret_hash=hash_of(secret), expires=now(tx) + life.whole)
    return Issued(row, secret)


def _refused(database: Database, user: UserRow | None) -> AccessRefused:
    with database.write() as tx:
        # Who it was is not known: whose account it was about is the object.
        details = {"email": user.email} if user else None
        about = user.id if user else ""
        db_audit.note(tx, "session.refuse", actor="unknown", object_kind="user", object_id=about, details=details)
    return AccessRefused("LB-8006", "the e-mail address or the password is wrong", status=401)


def _renewed_hash(user: UserRow, password: str) -> str | None:
    """A new hash of a password that is right, where the kept one has old parameters."""
    if user.password_hash is None or not passwords.is_outdated(user.password_hash):
        return None
    try:
        return passwords.hashed(password)
    except AccessRefused:
        return None  # it was good enough when it was set, and stays so until it is changed
