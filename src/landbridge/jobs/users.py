"""What may be done to users."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from landbridge.errors import AccessRefused
from landbridge.jobs import db_audit, db_tokens, db_users
from landbridge.jobs.db import Transaction
from landbridge.jobs.db_users import UserRow
from landbridge.jobs.roles import Role
from landbridge.records.mail_address import ADDRESS

_MAX_EMAIL: Final = 320
_MAX_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class UserChange:
    """What is to change of a user; None for what stays."""

    name: str | None = None
    role: Role | None = None
    enabled: bool | None = None


def add(tx: Transaction, *, email: str, role: Role, password_hash: str | None, by: str, name: str = "") -> UserRow:
    """Store a new user.

    Args:
        tx: The transaction.
        email: Their address; it is kept in small letters.
        role: What they may do.
        password_hash: Of ``passwords.hashed``; None for one who gets a password later.
        by: Who adds them.
        name: For people.

    Raises:
        AccessRefused: LB-8022, the address or name cannot be used; LB-8023, there is one with this address.
    """
    row = db_users.add(tx, email=address(email), name=_name(name), role=role, password_hash=password_hash)
    _note(tx, "user.add", row, by=by, details={"role": row.role})
    return row


def change(tx: Transaction, id: str, wanted: UserChange, *, by: str) -> UserRow:
    """Change a user. Switching one off ends their sessions, and their tokens count no more until they are back.

    Raises:
        AccessRefused: LB-8022, the name cannot be used; LB-8024, there is none; LB-8025, no admin would be left.
    """
    before = db_users.get(tx, id)
    after = replace(
        before,
        name=before.name if wanted.name is None else _name(wanted.name),
        role=before.role if wanted.role is None else wanted.role,
        enabled=before.enabled if wanted.enabled is None else wanted.enabled,
    )
    changed = {
        key: getattr(after, key) for key in ("name", "role", "enabled") if getattr(after, key) != getattr(before, key)
    }
    if not changed:
        return before
    if after.role is not Role.ADMIN or not after.enabled:
        _keep_an_admin(tx, before)
    db_users.change(tx, id, **changed)
    if not after.enabled:
        db_tokens.end_sessions(tx, id)
    _note(tx, "user.change", before, by=by, details=changed)
    return db_users.get(tx, id)


def set_password(tx: Transaction, id: str, password_hash: str, *, by: str) -> None:
    """Give a user another password, of ``passwords.hashed``. All their sessions end.

    Raises:
        AccessRefused: LB-8024, there is none.
    """
    row = db_users.get(tx, id)
    db_users.change(tx, id, password_hash=password_hash)
    db_tokens.end_sessions(tx, id)
    _note(tx, "user.password", row, by=by)


def remove(tx: Transaction, id: str, *, by: str) -> None:
    """Remove a user with their tokens and sessions. What they did stays in the audit trail.

    Raises:
        AccessRefused: LB-8024, there is none; LB-8025, no admin would be left.
    """
    row = db_users.get(tx, id)
    _keep_an_admin(tx, row)
    db_users.remove(tx, id)
    _note(tx, "user.remove", row, by=by, details={"role": row.role})


def address(text: str) -> str:
    """An e-mail address as it is kept.

    Raises:
        AccessRefused: LB-8022, it is not one.
    """
    found = text.strip().lower()
    if len(found) > _MAX_EMAIL or not ADDRESS.fullmatch(found) or not found.isprintable():
        raise AccessRefused("LB-8022", "this is not an e-mail address", hint="One is ada@example.com.", status=422)
    return found


def _name(text: str) -> str:
    found = text.strip()
    if len(found) > _MAX_NAME or not found.isprintable():
        raise AccessRefused("LB-8022", f"the name of a user is one line of up to {_MAX_NAME} characters", status=422)
    return found


def _keep_an_admin(tx: Transaction, row: UserRow) -> None:
    if row.role is Role.ADMIN and row.enabled and db_users.enabled_admins(tx) <= {row.id}:
        raise AccessRefused(
            "LB-8025", f"{row.email} is the last admin", hint="Make somebody else an admin first.", status=409
        )


def _note(tx: Transaction, action: str, row: UserRow, *, by: str, details: dict[str, Any] | None = None) -> None:
    db_audit.note(
        tx, action, actor=by, object_kind="user", object_id=row.id, details={"email": row.email, **(details or {})}
    )
