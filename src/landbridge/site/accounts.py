"""The account: its two parts in the store, its timestamps, and how values are merged into it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import msgspec

from landbridge.gigya_wire.replies import ApiError, iso
from landbridge.site.store_session import ACCOUNT_COLUMNS, TIMESTAMPS, AccountRow, EmailRow, Session

NEVER: Final = "0001-01-01T00:00:00Z"
MOMENTS: Final = tuple(name.removesuffix("Timestamp") for name in TIMESTAMPS)
"""``created``, ``lastUpdated``, ``lastLogin``, ``registered``, ``verified``, ``oldestDataUpdated``."""

EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")
"""What is taken for an e-mail address."""

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder()
_MAX_DEPTH: Final = 50


def encode(value: Any) -> str:
    """JSON text as it is stored.

    Raises:
        ApiError: 400006; the value holds text that is not Unicode.
    """
    try:
        return _ENCODER.encode(value).decode()
    except (UnicodeError, msgspec.EncodeError, RecursionError) as error:
        raise ApiError(400006, "A value cannot be stored") from error


def decode(text: bytes) -> Any:
    """A stored JSON text."""
    return _DECODER.decode(text)


@dataclass(slots=True)
class Account:
    """A full account in memory.

    Attributes:
        uid: Its UID.
        doc: What a search returns of it.
        extra: What only getAccountInfo shows: password, communications, internal, customIdentifiers …
        id: Its number in the store; None while it is new.
        stored_login_ids: The login identifiers as stored, to see whether they changed.
        stored_columns: The indexed values as stored, to see which of them changed.
    """

    uid: str
    doc: dict[str, Any]
    extra: dict[str, Any] = field(default_factory=dict)
    id: int | None = None
    stored_login_ids: frozenset[tuple[str, str]] = frozenset()
    stored_columns: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, row: AccountRow) -> Account:
        """The account of a stored row."""
        account = cls(row.uid, decode(row.doc), decode(row.extra), row.id)
        account.stored_login_ids = frozenset(login_ids(account))
        account.stored_columns = account.columns()
        return account

    def columns(self) -> dict[str, Any]:
        """What stands in columns of their own besides the document, by ``ACCOUNT_COLUMNS``."""
        email = self.doc.get("profile", {}).get("email")
        values = (email if isinstance(email, str) else None, *(self.doc.get(name) for name in TIMESTAMPS))
        return dict(zip(ACCOUNT_COLUMNS, values, strict=True))

    @property
    def email(self) -> str | None:
        """The address its subscriptions belong to, in lower case."""
        email = self.doc.get("profile", {}).get("email")
        if not isinstance(email, str) or not email:
            emails = self.doc.get("loginIDs", {}).get("emails") or [None]
            email = emails[0]
        return email.lower() if isinstance(email, str) else None

    @property
    def profile(self) -> dict[str, Any]:
        """The profile, created when missing."""
        profile: dict[str, Any] = self.doc.setdefault("profile", {})
        return profile

    def touch(self, now_ms: int) -> None:
        """Set the time of the last update."""
        set_moment(self.doc, "lastUpdated", now_ms)


def new_account(uid: str | None, now_ms: int) -> Account:
    """An account with nothing in it but its UID and its times."""
    uid = uid or uuid4().hex
    doc: dict[str, Any] = {"UID": uid}
    for name in ("created", "lastUpdated", "oldestDataUpdated"):
        set_moment(doc, name, now_ms)
    doc |= {
        "isActive": True,
        "isRegistered": False,
        "isVerified": False,
        "loginProvider": "site",
        "socialProviders": "site",
        "loginIDs": {"emails": [], "unverifiedEmails": []},
        "emails": {"verified": [], "unverified": []},
        "identities": [],
        "profile": {},
        "data": {},
        "preferences": {},
        "iRank": 0,
    }
    return Account(uid, doc)


def set_moment(doc: dict[str, Any], name: str, timestamp_ms: int) -> None:
    """Set a time both as text and as milliseconds."""
    doc[name] = iso(timestamp_ms)
    doc[f"{name}Timestamp"] = timestamp_ms


def login_ids(account: Account) -> Iterable[tuple[str, str]]:
    """The account's login identifiers as pairs of kind and value."""
    given = account.doc.get("loginIDs", {})
    for email in given.get("emails") or ():
        yield "emails", email
    if username := given.get("username"):
        yield "username", username
    if phone := account.doc.get("phoneNumber"):
        yield "phoneNumber", phone
    for name, value in account.extra.get("customIdentifiers", {}).items():
        yield f"custom.{name}", str(value)


def load(session: Session, uid: str) -> Account:
    """The account with a UID.

    Raises:
        ApiError: 403005, as the vendor answers for an unknown UID.
    """
    row = session.account(uid)
    if row is None:
        raise ApiError(403005, "Unauthorized user")
    return Account.of(row)


def save(session: Session, account: Account, now_ms: int) -> None:
    """Store an account with its login identifiers.

    Raises:
        ApiError: 400003; a login identifier belongs to another account.
    """
    identifiers = tuple(dict.fromkeys(login_ids(account)))
    for kind, value in identifiers:
        if (kind, value) not in account.stored_login_ids:
            owner = session.account_by_login(kind, value)
            if owner is not None and owner.id != account.id:
                raise ApiError(400003, f"{kind} already exists")
    doc, extra = encode(account.doc), encode(account.extra)
    columns = account.columns()
    if account.id is None:
        account.id = session.insert_account(
            account.uid, doc=doc, extra=extra, columns=tuple(columns.values()), now_ms=now_ms
        )
        if identifiers:
            session.set_login_ids(account.id, identifiers)
    else:
        stored = account.stored_columns
        changed = {name: value for name, value in columns.items() if name not in stored or stored[name] != value}
        session.update_account(account.id, doc=doc, extra=extra, columns=changed, now_ms=now_ms)
        if frozenset(identifiers) != account.stored_login_ids:
            session.set_login_ids(account.id, identifiers)
    account.stored_login_ids = frozenset(identifiers)
    account.stored_columns = columns


def new_token() -> str:
    """An ``emailAccountToken``: 64 hexadecimal digits."""
    return secrets.token_hex(32)


def put_email(
    session: Session, *, email: str, doc: dict[str, Any], row: EmailRow | None, uid: str, full: bool, now_ms: int
) -> None:
    """Store the e-mail account of an address; ``doc`` holds its subscriptions and, where it is lite, its data."""
    token = row.token if row else new_token()
    if "createdTimestamp" not in doc:
        set_moment(doc, "created", now_ms)
    if "lastUpdatedTimestamp" not in doc:
        set_moment(doc, "lastUpdated", now_ms)
    doc |= {"email": email, "token": token, "UID": uid, "channel": "email"}
    doc["hasFullAccount"] = full
    doc.setdefault("hasLiteAccount", not full)
    text, created, updated = encode(doc), doc["createdTimestamp"], doc["lastUpdatedTimestamp"]
    if row is not None:
        session.update_email_account(row, uid=uid, full=full, doc=text, created=created, updated=updated, now_ms=now_ms)
        return
    session.put_email_account(
        email=email, token=token, uid=uid, full=full, doc=text, created=created, updated=updated, now_ms=now_ms
    )


def merge(target: dict[str, Any], changes: Mapping[str, Any], *, depth: int = 0) -> None:
    """Put ``changes`` into ``target``: objects are merged, a null deletes, arrays and values are replaced.

    Raises:
        ApiError: 400006; the objects are nested deeper than 50.
    """
    if depth > _MAX_DEPTH:
        raise ApiError(400006, "Objects are nested too deep")
    for key, value in changes.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            inner = target.get(key)
            if not isinstance(inner, dict):
                inner = target[key] = {}
            merge(inner, value, depth=depth + 1)
            if not inner and value:
                # All that was there has been deleted; an object sent empty on purpose stays.
                del target[key]
        else:
            target[key] = value


def expand_dotted(given: Mapping[str, Any]) -> dict[str, Any]:
    """Turn dotted keys (``"news.email.isSubscribed": true``) into nested objects."""
    expanded: dict[str, Any] = {}
    for key, value in given.items():
        target = expanded
        *parents, last = key.split(".")
        for parent in parents:
            inner = target.get(parent)
            if not isinstance(inner, dict):
                inner = target[parent] = {}
            target = inner
        inner = expand_dotted(value) if isinstance(value, dict) else value
        if isinstance(inner, dict) and isinstance(target.get(last), dict):
            merge(target[last], inner)
        else:
            target[last] = inner
    return expanded
