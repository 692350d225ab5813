"""Accounts of a site: read by search, written one by one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Annotated, Final, Literal

import msgspec
from pydantic import Field, field_validator

from landbridge.components.base import CutsLines, Forecast, RecordError, RecordReader, Split, Verdict
from landbridge.components.datasource import (
    gigya_calls as calls,
    gigya_forecast,
    gigya_query as queries,
    gigya_windows,
)
from landbridge.components.datasource.gigya_pages import batches
from landbridge.components.datasource.gigya_query import Selected, SelectList
from landbridge.components.datasource.gigya_site import SiteParams, open_site
from landbridge.components.datasource.gigya_writer import SiteWriter
from landbridge.components.params import Param
from landbridge.components.registry import component
from landbridge.errors import TransientError
from landbridge.records import Batch
from landbridge.records.needs import ALL
from landbridge.records.path import parse
from landbridge.records.shred import Shredder
from landbridge.remote import gigya_errors as codes
from landbridge.remote.gigya import Client
from landbridge.remote.gigya_errors import CallRefused

PAGE_SIZE: Final = 1000
"""Results on a page; the vendor recommends no more with a cursor."""

_NOT_SEARCHED: Final[Mapping[str, Mapping[str, str]]] = {
    "subscriptions": {"include": "subscriptions"},
    "communications": {"include": "profile", "includeCommunications": "all"},
}
"""Fields that a search of ``accounts`` leaves out, and what accounts.getAccountInfo is asked for to fill them."""

_FILL_CONNECTIONS: Final = 20

DeltaField = Literal[
    "lastUpdatedTimestamp",
    "lastLoginTimestamp",
    "oldestDataUpdatedTimestamp",
    "createdTimestamp",
    "verifiedTimestamp",
    "registeredTimestamp",
]


class AccountReaderParams(SiteParams):
    """Parameters of the account reader."""

    select: SelectList = Param(
        "Fields or objects, separated by commas, or *; an alias renames one: UID as customerId.",
        example="UID, profile.email, data.subscribed",
    )
    from_: Annotated[Literal["accounts", "emailAccounts"], Field(alias="from")] = Param(
        "What to read: accounts, or emailAccounts for e-mail addresses with and without an account (lite accounts).",
        default="accounts",
        example="emailAccounts",
    )
    where: str | None = Param(
        "Condition in the search language; may hold ${now-1d}.", default=None, example="isRegistered = true"
    )
    delta_field: DeltaField = Param("Timestamp by which changed accounts are found.", default="lastUpdatedTimestamp")
    consent: list[str] | None = Param(
        "Read only who has given all of these consents.", default=None, example=["privacy.marketing"]
    )
    batch_size: int = Param("Accounts on a page of the search.", default=PAGE_SIZE, ge=1, le=10_000)

    @field_validator("consent", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return [part.strip() for part in value.split(",")] if isinstance(value, str) else value

    @field_validator("consent")
    @classmethod
    def _are_paths(cls, value: list[str] | None) -> list[str] | None:
        for name in value or ():
            if len(queries.parse_select(name)) != 1 or " " in name.strip():
                raise ValueError(f"{name!r} is not the id of a consent")
        return value


@component("datasource.read.gigya.account", title="Read accounts")
class AccountReader(RecordReader):
    """Read the accounts of a site, or its e-mail accounts, by search.

    A search of accounts leaves out ``subscriptions`` and ``communications``. Where ``select`` names one of them, each
    account is asked for by a call of its own, which takes longer.
    """

    Params = AccountReaderParams
    params: AccountReaderParams

    def columns(self) -> Sequence[str] | None:
        """The fields of ``select``, where all of them are single values."""
        return queries.known_columns(queries.parse_select(self.params.select))

    async def read(self) -> AsyncGenerator[Batch]:
        """Yield the accounts."""
        items = queries.parse_select(self.params.select)
        filled = [item for item in items if self._is_filled(item)]
        searched = [item for item in items if item not in filled]
        adds_uid = bool(filled) and not any(item.path in ("UID", "*") and item.alias is None for item in searched)
        selected = [*searched, Selected("UID")] if adds_uid else searched
        async with open_site(self.params, connections=_FILL_CONNECTIONS) as client:
            pages = batches(
                client,
                "accounts.search",
                self._query(selected),
                services=self.services,
                shredder=Shredder(ALL if filled else self.needs, as_text=self.as_text and not filled),
            )
            async with aclosing(pages):
                async for page in pages:
                    batch = await self._fill(client, page, filled) if filled else page
                    yield batch.remove(("UID",)) if adds_uid else batch

    async def splits(self, *, target: int, parser: CutsLines | None) -> list[Split]:
        """Divide the accounts by the time of their creation."""
        del parser
        if not gigya_windows.may_be_divided(self.params.where):
            return []

        def query(condition: str | None, direction: str) -> str:
            order = f"{gigya_windows.FIELD} {direction}"
            conditions = [*self._conditions(), condition]
            fields = [gigya_windows.FIELD]
            return queries.build(fields, self.params.from_, conditions=conditions, order_by=order, limit=1)

        async with open_site(self.params, connections=1) as client:
            return await gigya_windows.windows(gigya_windows.asker(client, query), target=target)

    def _is_filled(self, item: Selected) -> bool:
        return self.params.from_ == "accounts" and item.root in _NOT_SEARCHED

    def _query(self, items: Sequence[Selected]) -> str:
        window = None if self.split is None else gigya_windows.condition(self.split)
        return queries.build(
            items,
            self.params.from_,
            conditions=[*self._conditions(), window],
            order_by=None if self.since is None else self.params.delta_field,
            limit=self.params.batch_size,
        )

    def _conditions(self) -> list[str | None]:
        consents = [f"preferences.{name.strip()}.isConsentGranted = true" for name in self.params.consent or ()]
        delta = None if self.since is None else f"{self.params.delta_field} >= {queries.epoch_ms(self.since)}"
        return [self.params.where, *consents, delta]

    async def _fill(self, client: Client, batch: Batch, items: Sequence[Selected]) -> Batch:
        """Ask for each account of a batch; one that was deleted meanwhile is left out."""
        asked: dict[str, str] = {}
        for root in dict.fromkeys(item.root for item in items):
            include = {*filter(None, asked.get("include", "").split(",")), _NOT_SEARCHED[root]["include"]}
            asked |= {**_NOT_SEARCHED[root], "include": ",".join(sorted(include))}

        async def ask(parameters: Mapping[str, str]) -> bytes:
            answer = await client.call("accounts.getAccountInfo", parameters, may_repeat=True)
            return answer.body

        uids = calls.texts_at(batch, "UID")
        found = await calls.outcomes(
            [{"UID": uid or "", **asked} for uid in uids],
            ask,
            connections=_FILL_CONNECTIONS,
            key=lambda number: uids[number],
            services=self.services,
        )
        gone = [outcome for outcome in found if isinstance(outcome, RecordError)]
        for outcome in gone:
            if outcome.code not in codes.UNKNOWN_UID:
                raise TransientError(
                    "LB-3206", f"an account could not be read: {outcome.message}", hint="Run the job again later."
                )
        if gone:
            self.services.log("info", f"{len(gone)} accounts were deleted while they were read")
        kept = [number for number, outcome in enumerate(found) if not isinstance(outcome, RecordError)]
        batch = batch.take(kept) if gone else batch
        replies = [outcome for outcome in found if not isinstance(outcome, RecordError)]
        return _with_filled(batch, replies, items)


class _Filled(msgspec.Struct):
    subscriptions: msgspec.Raw = msgspec.Raw(b"{}")
    communications: msgspec.Raw = msgspec.Raw(b"{}")


def _with_filled(batch: Batch, replies: Sequence[bytes], items: Sequence[Selected]) -> Batch:
    decoder = msgspec.json.Decoder(_Filled)
    decoded = [decoder.decode(reply) for reply in replies]
    added = Batch({}, batch.num_rows)
    for root in dict.fromkeys(item.root for item in items):
        added = calls.with_objects(added, root, [bytes(getattr(reply, root)) for reply in decoded])
    added = added.select([parse(item.path) for item in items])
    for item in items:
        added = added.rename(parse(item.path), parse(item.target))
    return calls.beside(batch, added)


_UPDATABLE: Final = {
    name.lower(): name
    for name in [
        "UID",
        "profile",
        "data",
        "subscriptions",
        "preferences",
        "communications",
        "isActive",
        "isVerified",
        "lang",
        "username",
        "phoneNumber",
        "addLoginEmails",
        "removeLoginEmails",
        "customIdentifiers",
        "internal",
        "regSource",
        "newPassword",
        "securityOverride",
        "requirePasswordChange",
        "rba",
        "muteWebhooks",
        "conflictHandling",
    ]
}
"""What accounts.setAccountInfo can change; what else a record holds (such as ``created``) stays with us."""

_CREATABLE: Final = frozenset(
    [
        "UID",
        "profile",
        "data",
        "subscriptions",
        "preferences",
        "communications",
        "isActive",
        "isVerified",
        "lang",
        "phoneNumber",
        "customIdentifiers",
        "internal",
        "regSource",
    ]
)


class AccountWriterParams(SiteParams):
    """Parameters of the account writer."""

    create_missing: bool = Param("Create an account where the site has none with this UID.", default=False)
    add_response: bool = Param("Add the API's answer to each record as the object _response.", default=False)
    max_connections: int = Param("Parallel calls.", default=10, ge=1, le=100)


@component("datasource.write.gigya.account", title="Update accounts")
class AccountWriter(SiteWriter):
    """Update accounts by their ``UID``: fields that a record has change, others stay.

    Updates may send e-mails and webhooks, as any change of an account does. Accounts are created only when
    ``createMissing`` says so.
    """

    Params = AccountWriterParams
    params: AccountWriterParams

    def requests(self, batch: Batch) -> list[dict[str, str]]:
        """UID and whatever of the record can be changed."""
        texts = {
            _UPDATABLE[name.lower()]: values
            for name, values in calls.texts_by_field(batch).items()
            if name.lower() in _UPDATABLE
        }
        return calls.requests_of(texts, batch.num_rows)

    async def forecast(self, batch: Batch) -> list[Forecast]:
        """Compare each record with the account as it is."""
        missing = Verdict.CREATE if self.params.create_missing else Verdict.INVALID
        requests = self.requests(batch)
        found = await gigya_forecast.accounts(
            self.client, requests, connections=self.params.max_connections, services=self.services
        )
        return [self._forecast(request, found, missing) for request in requests]

    @staticmethod
    def _forecast(
        request: Mapping[str, str], found: Mapping[str, gigya_forecast.Account | None], missing: Verdict
    ) -> Forecast:
        uid = request.get("UID")
        if not uid:
            return Forecast(Verdict.INVALID)
        if uid not in found:
            return Forecast(missing)
        account = found[uid]
        if account is None:
            return Forecast(Verdict.CANNOT_TELL)
        return gigya_forecast.forecast(request, account, may_exist=True)

    async def call(self, parameters: Mapping[str, str]) -> bytes:
        """Update one account."""
        if not parameters.get("UID"):
            raise CallRefused(400002, "the record has no UID")
        try:
            answer = await self.client.call("accounts.setAccountInfo", parameters, may_repeat=True)
        except CallRefused as error:
            if error.vendor_code not in codes.UNKNOWN_UID or not self.params.create_missing:
                raise
            new = {name: value for name, value in parameters.items() if name in _CREATABLE}
            answer = await self.client.call(
                "accounts.importFullAccount", {**new, "importPolicy": "upsert"}, may_repeat=True
            )
        return answer.body
