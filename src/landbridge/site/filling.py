"""Filling an empty site with invented people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from hashlib import sha256
from itertools import islice
from typing import Any, Final

from landbridge.site.accounts import encode
from landbridge.site.people import Person, population
from landbridge.site.store import Store
from landbridge.site.store_session import TIMESTAMPS, Session

_PART: Final = 5000
_KIND: Final = "filling"


async def fill(store: Store, number: int, *, seed: int, now_ms: int) -> None:
    """Put ``number`` people into a store that has no accounts; goes on where an earlier filling was interrupted."""

    def begun(session: Session) -> tuple[int, bool]:
        return session.count_accounts(), session.document(_KIND, str(seed)) is not None

    present, unfinished = await store.read(begun)
    if present and not unfinished:
        return
    people = islice(population(number, seed=seed), present, None)

    def parts() -> Iterator[Callable[[Session], None]]:
        yield lambda session: session.put_document(_KIND, str(seed), "{}")
        while part := tuple(islice(people, _PART)):
            yield partial(_put_all, people=part, now_ms=now_ms)

    await store.fill(parts())
    await store.write(lambda session: session.delete_document(_KIND, str(seed)))


def _put_all(session: Session, *, people: Sequence[Person], now_ms: int) -> None:
    session.add_people([_account(person, now_ms) for person in people], [_address(person, now_ms) for person in people])


def _account(person: Person, now_ms: int) -> Sequence[Any]:
    account = person.account
    moments = (account.get(name) for name in TIMESTAMPS)
    return account["UID"], encode(account), account["profile"]["email"], *moments, now_ms


def _address(person: Person, now_ms: int) -> Sequence[Any]:
    account = person.account
    uid, email = account["UID"], account["profile"]["email"]
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
    return email, token, uid, encode(row), account["createdTimestamp"], account["lastUpdatedTimestamp"], now_ms
