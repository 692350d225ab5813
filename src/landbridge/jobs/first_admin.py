"""The first user: who has the set-up link makes the first admin, once."""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime, timedelta
from typing import Any, Final

from landbridge.errors import AccessRefused
from landbridge.jobs import db_settings, db_users, users
from landbridge.jobs.db import Transaction, exclusive, now
from landbridge.jobs.db_users import UserRow
from landbridge.jobs.roles import Role
from landbridge.jobs.tokens import hash_of

LINK_LIFE: Final = timedelta(hours=1)
SETTING: Final = "setup_link"


def is_needed(tx: Transaction) -> bool:
    """Whether nobody can log in yet."""
    return not db_users.are_there(tx)


def new_link(tx: Transaction) -> str:
    """The secret of a new set-up link; an older one ends. It is good for an hour and for one use.

    Raises:
        AccessRefused: LB-8028, there are users already.
    """
    if not is_needed(tx):
        raise AccessRefused(
            "LB-8028", "there are users already", hint="`landbridge users add` and `users password` help further."
        )
    secret = secrets.token_urlsafe(32)
    kept = {"hash": hash_of(secret), "expires": (now(tx) + LINK_LIFE).isoformat()}
    db_settings.put(tx, SETTING, kept)
    return secret


def make(tx: Transaction, secret: str, *, email: str, name: str, password_hash: str) -> UserRow:
    """Make the first admin; the link is used up.

    Raises:
        AccessRefused: LB-8008, the link is not valid; LB-8022, the address or name cannot be used.
    """
    check(tx, secret)
    if not exclusive(tx, SETTING) or not is_needed(tx):
        raise _invalid()
    row = users.add(tx, email=email, name=name, role=Role.ADMIN, password_hash=password_hash, by="setup link")
    db_settings.put(tx, SETTING, None)
    return row


def check(tx: Transaction, secret: str) -> None:
    """Refuse a link that is not valid, before anything costly is done for it.

    Raises:
        AccessRefused: LB-8008, it is wrong, was used, has expired, or was replaced.
    """
    kept: dict[str, Any] | None = db_settings.get(tx, SETTING)
    right = kept is not None and hmac.compare_digest(kept["hash"], hash_of(secret))
    if kept is None or not right or datetime.fromisoformat(kept["expires"]) <= now(tx):
        raise _invalid()


def _invalid() -> AccessRefused:
    return AccessRefused(
        "LB-8008",
        "the set-up link is not valid",
        hint="`landbridge users setup-link` prints a new one, as long as there is no user.",
    )
