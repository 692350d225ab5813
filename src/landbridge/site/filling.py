"""Filling an empty site with invented people."""

from __future__ import annotations

from hashlib import sha256

from landbridge.site.accounts import encode
from landbridge.site.people import Person, population
from landbridge.site.store import Store
from landbridge.site.store_session import TIMESTAMPS, Session


async def fill(store: Store, number: int, *, seed: int, now_ms: int) -> int:
    """Put ``number`` people into a store that has no accounts; how many were put in."""

    def filled(session: Session) -> int:
        if session.count_accounts():
            return 0
        for person in population(number, seed=seed):
            _put(session, person, now_ms)
        return number

    return 0 if await store.read(Session.count_accounts) else await store.fill(filled)


def _put(session: Session, person: Person, now_ms: int) -> None:
    account = person.account
    uid, email = account["UID"], account["profile"]["email"]
    columns = (email, *(account.get(name) for name in TIMESTAMPS))
    number = session.insert_account(uid, doc=encode(account), extra="{}", columns=columns, now_ms=now_ms)
    session.add_login_id(number, "emails", email)
    # The token follows from the UID, so that the same seed gives the same tokens.
    token = sha256(uid.encode()).hexdigest()
    row = {
        "subscriptions": person.subscriptions,
        "email": email,
        **{name: account[name] for name in ("created", "createdTimestamp", "lastUpdated", "lastUpdatedTimestamp")},
        "token": token,
        "UID": uid,
        "channel": "email",
        "hasFullAccount": True,
        "hasLiteAccount": person.lite,
    }
    session.put_email_account(
        email=email,
        token=token,
        uid=uid,
        full=True,
        doc=encode(row),
        created=account["createdTimestamp"],
        updated=account["lastUpdatedTimestamp"],
        now_ms=now_ms,
    )
