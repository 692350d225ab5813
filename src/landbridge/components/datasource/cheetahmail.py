"""Subscribers of CheetahMail, by its legacy HTTP API."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Final, Literal, Self
from urllib.parse import urlsplit

import anyio
from pydantic import field_validator, model_validator

from landbridge.components.base import Forecast, RecordError, RecordWriter, StepServices, Verdict
from landbridge.components.check import Finding
from landbridge.components.datasource import gigya_calls as calls
from landbridge.components.datasource.cheetahmail_load import load_files
from landbridge.components.datasource.cheetahmail_subscriber import EMAIL, Change, Person, SubscriberWrites
from landbridge.components.datasource.parallel import for_each
from landbridge.components.params import Address, ComponentParams, Param
from landbridge.components.registry import component
from landbridge.records import Batch, consents
from landbridge.remote.cheetahmail import APP_URL, URL, CheetahMailLogin, Client, client
from landbridge.remote.cheetahmail_errors import RecordRefused
from landbridge.remote.endpoint import LOOPBACK

MASTER: Final = "0"
_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]*")
_NOBODY: Final = "landbridge-check@example.com"
_UNIT_PER_CONNECTION: Final = 25
_MOST_WAITING: Final = 10_000


class CheetahMailParams(ComponentParams):
    """Parameters of the writer."""

    url: Address = Param(
        "Address of the API's host for single calls. http:// only on this machine.",
        default=URL,
        example="https://ebm.cheetahmail.com",
    )
    app_url: Address | None = Param(
        f"Address of the host for files (load1, unsub1). Without it {APP_URL}, or url where that is not the vendor's.",
        default=None,
        example="https://app.cheetahmail.com",
    )
    api_user: str = Param("Login name of the API user.", example="acme_api")
    api_password: str = Param("Password of the API user.", secret=True, example="${secret:cheetahmail-apiPassword}")
    affiliate_id: str | None = Param(
        "The affiliate (aid), where the user has several.", default=None, example="2093962299"
    )
    action: Literal["addOrUpdate", "update", "unsubscribe"] = Param(
        "addOrUpdate makes and changes subscribers; update changes those that are there and rejects the others; "
        "unsubscribe changes nothing else. Who is not there counts as unsubscribed.",
        default="addOrUpdate",
    )
    list_id: str | None = Param(
        "Id of the list that newsletterField and unsubscribe are about. Without it no subscription is ever touched.",
        default=None,
        example="2094099241",
    )
    newsletter_field: str | None = Param(
        "Field with Yes or No: yes puts on the list who never was on it, no takes off it; anything else says nothing.",
        default=None,
        example="Subscribed",
    )
    resubscribe: bool = Param("Let a yes also put back who has left the list at the platform.", default=False)
    unsubscribe_from: Literal["list", "everything"] = Param(
        "With the action unsubscribe: leave the list, or have the address suppressed for good (unsub1).", default="list"
    )
    uid_column: str | None = Param(
        "Column that holds the UID. A subscriber of this address with another UID is never changed.", default="UID"
    )
    previous_email_field: str | None = Param(
        "Field with the address that the platform knew last. Where it differs, the same subscriber gets the new one; "
        "where the platform knows neither, the record is rejected and nobody is made.",
        default=None,
        example="PREVIOUS_EMAIL",
    )
    blocked: Literal["reject", "leave"] = Param(
        "Records whose address the platform has suppressed: reject them, or leave the subscriber as it is.",
        default="reject",
    )
    bulk: bool = Param(
        "Send profiles as files (load1) in place of single calls, into the master list. Which rows it refused the "
        "platform tells in its loader events, not here.",
        default=False,
    )
    master_list: bool = Param(
        "Confirms that all columns belong to the site, as bulk needs it: the master list (0) is everybody's.",
        default=False,
    )
    load_list_parameter: str = Param("Parameter of load1 that names the list; the vendor tells it.", default="sub")
    calls_per_second: float = Param(
        "Calls in a second; the vendor publishes no limit. A sandbox on this machine has none.",
        default=20,
        ge=0.1,
        le=1000,
    )
    max_connections: int = Param("Parallel calls.", default=4, ge=1, le=32)
    timeout: int = Param("Longest wait for a single answer.", default=60, ge=10, le=600, unit="s")

    @field_validator("list_id", "affiliate_id", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        if value in (None, "") or isinstance(value, bool):
            return value
        text = str(value).strip()
        if not (text.isascii() and text.isdigit()) and "{" not in text:
            raise ValueError("must be a number")
        return text

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.list_id is not None and not self.list_id.strip("0"):
            raise ValueError("listId cannot be 0, the master list: it is nobody's subscription")
        if self.newsletter_field and not self.list_id:
            raise ValueError("newsletterField needs listId")
        if self.action == "unsubscribe" and self.unsubscribe_from == "list" and not self.list_id:
            raise ValueError("unsubscribe needs listId, or unsubscribeFrom everything")
        if self.action == "unsubscribe" and self.newsletter_field:
            raise ValueError("newsletterField has no meaning with the action unsubscribe")
        if self.bulk and not self.master_list:
            raise ValueError(
                "bulk loads into the master list (0); confirm by masterList that its columns belong to the site"
            )
        if self.bulk and (self.newsletter_field or self.previous_email_field or self.action != "addOrUpdate"):
            raise ValueError("bulk carries profiles only: no newsletterField, no previousEmailField, no other action")
        return self

    @property
    def login(self) -> CheetahMailLogin:
        """The account and the user."""
        app_url = self.app_url or (APP_URL if self.url == URL else self.url)
        return CheetahMailLogin(self.url, app_url, self.api_user, self.api_password, self.affiliate_id)


@component("datasource.write.cheetahmail", title="Write subscribers to CheetahMail")
class CheetahMailWriter(RecordWriter):
    """Write each record to CheetahMail by its legacy API (setuser1).

    Fields in upper case are columns, EMAIL is the address. An absent field stays as it is. Subscriptions are touched
    only with `listId`, and nobody who has left the list is put back on it, unless `resubscribe`. With
    `previousEmailField` a changed address changes the same subscriber. The platform is asked before each write, and a
    subscriber who is the same already is not written.
    """

    Params = CheetahMailParams
    params: CheetahMailParams
    idempotent = True
    _client: Client

    def __init__(self, params: CheetahMailParams, services: StepServices) -> None:
        super().__init__(params, services)
        # A suppressed address cannot be taken back from here, so that the guard against mass deletion counts it.
        self.deletes = params.action == "unsubscribe" and params.unsubscribe_from == "everything"
        self._files = 0
        self._waiting: dict[str, Person] = {}
        """People of earlier batches whose address somebody else has, by UID: that one may follow."""
        if not params.bulk:
            self.unit_records = _UNIT_PER_CONNECTION * params.max_connections

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Hold the connections open."""
        async with _open(self.params) as self._client:
            yield

    async def write(self, batch: Batch) -> Batch:
        """Write the records; several of one person in their order."""
        people = list(self._read(batch))
        if self.params.bulk:
            await self._load(people)
        else:
            await self._each(people)
        done, _ = calls.split(batch, [person.error or b"" for person in people], self.services)
        return done

    async def forecast(self, batch: Batch) -> list[Forecast]:
        """What would become of each subscriber, by asking for all of them; nothing is changed."""
        people = list(self._read(batch))
        if self.params.bulk:
            return [Forecast(Verdict.CANNOT_TELL if person.error is None else Verdict.INVALID) for person in people]
        writes = self._writes()
        found: dict[int, Forecast] = {}

        async def foresee(person: Person) -> None:
            if self.params.action == "unsubscribe":
                is_there = bool(await writes.addresses_of(person))
                verdict = Verdict.UPDATE if is_there else Verdict.UNCHANGED
                found[id(person)] = Forecast(verdict, opts_out=is_there, deletes=is_there and self.deletes)
            elif (change := await writes.planned(person)) is not None:
                found[id(person)] = _foreseen(change)

        await self._all(people, foresee)
        refused = Forecast(Verdict.INVALID)
        moving = {person.uid for person in people if person.has_moved}
        for person in people:
            if person.error and not (person.is_taken and person.holder in moving):
                opts_out = found.get(id(person), refused).opts_out
                found[id(person)] = Forecast(Verdict.INVALID, opts_out=opts_out)
        return [found.get(id(person), refused) for person in people]

    async def test(self) -> AsyncGenerator[Finding]:
        """Login, affiliate, list."""
        async with _open(self.params) as api:
            await api.log_in()
            yield Finding("login", "ok", f"{api.login.place} accepts the API user")
            await api.get_user(_NOBODY)
            yield Finding("subscribers", "ok", "the user may ask for subscribers")
            if self.params.list_id:
                yield await _list_finding(api, self.params.list_id)

    def _read(self, batch: Batch) -> Iterator[Person]:
        params = self.params
        texts = calls.texts_by_field(batch)
        wishes = texts.pop(params.newsletter_field, None) if params.newsletter_field else None
        before = texts.pop(params.previous_email_field, None) if params.previous_email_field else None
        wrong = [name for name in texts if not _NAME.fullmatch(name)]
        for number, fields in enumerate(calls.requests_of(texts, batch.num_rows)):
            email = fields.pop(EMAIL, "").strip()
            known = before[number] if before else None
            person = Person(
                email,
                fields,
                uid=fields.get(params.uid_column, "") if params.uid_column else "",
                previous=(known or email).strip(),
                was_known=bool(known),
                wants=consents.said(wishes[number] if wishes else None),
            )
            # The API's own parameters are in lower case: a field of that name would say something else.
            nested = next((name for name in wrong if name in fields), None)
            if nested is not None:
                person.error = RecordError("LB-4631", f"{nested} cannot be a column: names are in upper case")
            elif not email and known and params.action == "unsubscribe":
                person.email = known.strip()  # nobody needs an address to leave
            elif not email:
                person.error = RecordError("LB-4631", f"the record has no {EMAIL}")
            yield person

    def _writes(self) -> SubscriberWrites:
        params = self.params
        return SubscriberWrites(
            self._client,
            uid_column=params.uid_column,
            list_id=params.list_id,
            creates=params.action == "addOrUpdate",
            resubscribes=params.resubscribe,
        )

    async def _each(self, people: Sequence[Person]) -> None:
        writes = self._writes()
        if self.params.action == "unsubscribe":
            await self._unsubscribe(writes, people)
            return
        for person in people:
            self._waiting.pop(person.uid, None)
            if person.error is not None and person.was_known:
                await writes.withdraw(person)
        await self._all(people, writes.write)
        await self._again(writes, people)
        waiting = {**self._waiting, **{person.uid: person for person in people if person.is_taken and person.uid}}
        for circle in _circles(people, waiting):
            await self._swap(writes, circle)
        still = [(uid, person) for uid, person in waiting.items() if person.is_taken]
        self._waiting = dict(still[-_MOST_WAITING:])

    async def _again(self, writes: SubscriberWrites, people: Iterable[Person]) -> None:
        """Write those whose address somebody else had as long as one of them finds it free."""
        waiting = [person for person in people if person.is_taken]
        before = len(waiting) + 1
        while waiting and len(waiting) < before:
            before = len(waiting)
            for person in waiting:
                person.error, person.is_taken = None, False
            await self._all(waiting, writes.write)
            waiting = [person for person in waiting if person.is_taken]

    async def _swap(self, writes: SubscriberWrites, circle: Sequence[Person]) -> None:
        """Let people who have each other's addresses get their own: the first one steps aside meanwhile."""
        first, *others = circle
        if await writes.park(first):
            await self._again(writes, others)
            await self._again(writes, [first])
            if first.is_taken:
                await writes.unpark(first)

    async def _unsubscribe(self, writes: SubscriberWrites, people: Sequence[Person]) -> None:
        if self.params.unsubscribe_from == "list":
            await self._all(people, writes.leave)
            return
        there: list[str] = []

        async def find(person: Person) -> None:
            there.extend(await writes.addresses_of(person))

        await self._all(people, find)
        if there:
            await self._client.unsubscribe_all(list(dict.fromkeys(there)))

    async def _all(self, people: Sequence[Person], write: Callable[[Person], Awaitable[None]]) -> None:
        """Do something for all people that have not failed: several at a time, those of one person in their order."""
        chains: dict[str, list[Person]] = {}
        for person in people:
            chains.setdefault(person.uid or person.email.lower(), []).append(person)
        # Two people of one address follow each other, so that the second one meets the first.
        locks: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)

        async def write_all(chain: Sequence[Person]) -> None:
            for person in (person for person in chain if person.error is None):
                try:
                    async with AsyncExitStack() as held:
                        for address in sorted({person.email.lower(), person.previous.lower()}):
                            await held.enter_async_context(locks[address])
                        await write(person)
                except RecordRefused as refused:
                    if not (refused.is_blocked and self.params.blocked == "leave"):
                        person.error = RecordError(refused.code, refused.message)
                self.services.progress()

        await for_each(list(chains.values()), write_all, at_a_time=self.params.max_connections)

    async def _load(self, people: Iterable[Person]) -> None:
        for content in load_files(person for person in people if person.error is None):
            self._files += 1  # a later file must not replace one that the platform has not loaded yet
            name = f"landbridge_{self.services.job_id}_{self._files}.csv"
            await self._client.load(MASTER, name, content, parameter=self.params.load_list_parameter)
            self.services.progress()


def _foreseen(change: Change) -> Forecast:
    if change.known is None:
        return Forecast(Verdict.CREATE)
    # Whether somebody is still on the list is not told for certain, so that each unsubscription counts.
    opts_out = bool(change.unsubscribe)
    return Forecast(Verdict.UPDATE if change.is_needed else Verdict.UNCHANGED, opts_out=opts_out)


def _open(params: CheetahMailParams) -> AbstractAsyncContextManager[Client]:
    limit = None if urlsplit(params.url).hostname in LOOPBACK else params.calls_per_second
    return client(params.login, connections=params.max_connections, calls_per_s=limit, timeout_s=params.timeout)


def _circles(people: Sequence[Person], waiting: Mapping[str, Person]) -> Iterator[list[Person]]:
    """People each of whom waits for the address that the next one has, and the last for that of the first.

    Args:
        people: Where a circle begins.
        waiting: Everybody whose address somebody else has, by UID.
    """
    seen: set[str] = set()
    for first in people:
        walk: list[str] = []
        uid = first.uid
        while uid in waiting and uid not in seen:
            seen.add(uid)
            walk.append(uid)
            uid = waiting[uid].holder
        if uid in walk:
            yield [waiting[each] for each in walk[walk.index(uid) :]]


async def _list_finding(api: Client, list_id: str) -> Finding:
    if any(list_id in facts.values() for facts in await api.lists()):
        return Finding("list", "ok", f"the account has the list {list_id}")
    hint = "Look it up in the platform; its API may also name lists in another way than expected."
    return Finding("list", "warning", f"the account does not name the list {list_id}", hint)
