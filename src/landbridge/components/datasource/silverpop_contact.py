"""Contacts of Silverpop (today Acoustic Campaign) one by one, by the API."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, Self

from pydantic import model_validator

from landbridge.components.base import Forecast, RecordError, RecordWriter, StepServices, Verdict
from landbridge.components.check import Finding
from landbridge.components.datasource import gigya_calls as calls
from landbridge.components.datasource.parallel import for_each
from landbridge.components.datasource.silverpop_database import EMAIL, examined, keys_of, wanted_columns, zone_finding
from landbridge.components.datasource.silverpop_login import Id, SilverpopParams, open_client
from landbridge.components.datasource.silverpop_newsletter import NO, YES
from landbridge.components.params import Param, TextList
from landbridge.components.registry import component
from landbridge.errors import FlowError
from landbridge.records import Batch
from landbridge.records.consents import said
from landbridge.remote import silverpop_contacts as contacts
from landbridge.remote.silverpop import CONCURRENT_CALLS, Client
from landbridge.remote.silverpop_errors import NOT_A_MEMBER, OperationRefused
from landbridge.remote.silverpop_lists import CONSENT_TYPES, YES_NO, ListFacts, add_column, facts_of
from landbridge.remote.silverpop_xml import Element, NotXml, named_values, text_of

Action = Literal["addOrUpdate", "update", "optOut", "remove"]

_MINUTE: Final = timedelta(minutes=1)
"""The platform tells the moment of an opt-out in whole minutes."""


class SilverpopContactParams(SilverpopParams):
    """Parameters of the contact writer."""

    list_id: Id = Param("Id of the database.", example="50194")
    action: Action = Param(
        "What to do with the contact: add or update, update only, opt out, or remove from the database for good.",
        default="addOrUpdate",
    )
    sync_fields: TextList | None = Param(
        "Columns by which contacts are matched; without them the database's unique key.", default=None, example=["UID"]
    )
    created_from: Literal[0, 1, 2, 3] = Param(
        "What the platform is told of where new contacts come from: 0 import, 1 manual, 2 opted in, 3 tracking. 2 is a "
        "statement of consent and opts people in again: use newsletterField in its place.",
        default=1,
    )
    newsletter_field: str | None = Param(
        "Field with Yes or No that becomes the contact's e-mail status: no opts out, yes adds as opted in; contacts "
        "that are there are opted in again only by consentTimeField.",
        default=None,
        example="Subscribed",
    )
    consent_time_field: str | None = Param(
        "Field with the moment of the consent (ISO 8601). A yes that is newer than the contact's opt-out takes it "
        "back. Needs gmtConfirmed.",
        default=None,
        example="SubscribedAt",
    )
    add_opted_out: bool = Param("With newsletterField: add people who say no, too, and opt them out.", default=False)
    gmt_confirmed: bool = Param("The API user's time zone is GMT; all dates are in the user's zone.", default=False)
    columns: TextList = Param(
        "Columns that the database must have, as NAME or NAME:type: checked first, and added by "
        "`landbridge check --create`.",
        default=[],
        example=["UID:text", "Newsletter:yesno"],
    )
    contacts_per_call: int = Param("Contacts in one call.", default=10, ge=1, le=100)
    max_connections: int = Param(
        "Parallel calls; the platform allows ten to the whole organisation.", default=8, ge=1, le=CONCURRENT_CALLS
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.consent_time_field and not self.newsletter_field:
            raise ValueError("consentTimeField needs newsletterField")
        if self.consent_time_field and not self.gmt_confirmed:
            raise ValueError("consentTimeField needs gmtConfirmed: opt-outs are told in the API user's time zone")
        if self.newsletter_field and self.action in ("optOut", "remove"):
            raise ValueError(f"newsletterField has no meaning with the action {self.action}")
        return self


@dataclass(slots=True)
class _Contact:
    """One record on its way: its columns and key, what it says of mail, and what became of it."""

    columns: dict[str, str]
    keys: dict[str, str]
    wants: bool | None = None
    consent_at: datetime | None = None
    error: RecordError | None = None
    found: Element | None = None
    is_missing: bool = False

    @property
    def is_open(self) -> bool:
        """Whether nothing has failed so far."""
        return self.error is None


@component("datasource.write.silverpop.contact", title="Write contacts to Silverpop")
class SilverpopContactWriter(RecordWriter):
    """Write each record to a Silverpop (Acoustic Campaign) database by the API: every field is a column.

    Contacts are matched by the key, so that a changed address changes the same contact. Without `newsletterField` the
    opt state of a contact is never touched. What is gone already counts as removed or opted out.
    """

    Params = SilverpopContactParams
    params: SilverpopContactParams
    idempotent = True
    client: Client
    keys: Sequence[str]
    kinds: Mapping[str, str]

    def __init__(self, params: SilverpopContactParams, services: StepServices) -> None:
        super().__init__(params, services)
        self.deletes = params.action == "remove"

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Client]:
        """Log in, and check that the database is fit."""
        async with open_client(self.params) as self.client:
            facts = await facts_of(self.client, self.params.list_id)
            self.keys = keys_of(facts, self.params.sync_fields)
            self.kinds = facts.columns
            for finding in examined(facts, self._wanted(), keys=self.params.sync_fields):
                if finding.verdict == "failed":
                    raise FlowError(
                        "LB-1521", f'{finding.what} of "{facts.name}": {finding.message}', hint=finding.hint
                    )
            yield self.client

    async def write(self, batch: Batch) -> Batch:
        """Write the records; several of one contact in their order."""
        found = self._read(batch)
        for round_ in _rounds(found):
            await self._write(round_)
        self.services.leave_out(sum(map(self._is_left_out, found)))
        outcomes = [contact.error or b"" for contact in found]
        done, _ = calls.split(batch, outcomes, self.services)
        return done

    async def forecast(self, batch: Batch) -> list[Forecast]:
        """What would become of each contact, by looking at all of them; nothing is changed."""
        found = self._read(batch)
        list_id = self.params.list_id
        await self._all(
            "SelectRecipientData", found, lambda each: contacts.by_key(list_id, each.keys), gone_is_done=True
        )
        return [self._foreseen(each) for each in found]

    async def test(self) -> AsyncGenerator[Finding]:
        """Login, database, key, columns, time zone."""
        async with open_client(self.params) as api:
            await api.log_in()
            yield Finding("login", "ok", f"{api.login.place} accepts the credentials")
            facts = await facts_of(api, self.params.list_id)
            for finding in examined(facts, self._wanted(), keys=self.params.sync_fields):
                yield finding
            yield zone_finding(facts, confirmed=self.params.gmt_confirmed)

    async def create_missing(self) -> AsyncGenerator[Finding]:
        """Add the columns that the database lacks."""
        async with open_client(self.params) as api:
            facts = await facts_of(api, self.params.list_id)
            async for finding in _added(api, facts, self._wanted()):
                yield finding

    def _is_left_out(self, contact: _Contact) -> bool:
        """Whether the contact is not there and was not added, because its wish is no or not told."""
        params = self.params
        if not params.newsletter_field or not contact.is_missing or contact.error is not None:
            return False
        return params.action == "update" or (not contact.wants and not params.add_opted_out)

    def _foreseen(self, contact: _Contact) -> Forecast:
        params = self.params
        if contact.error is not None or (contact.found is None and params.action == "update"):
            return Forecast(Verdict.INVALID)
        if contact.found is None:
            is_added = params.action == "addOrUpdate" and (
                not params.newsletter_field or bool(contact.wants) or params.add_opted_out
            )
            return Forecast(Verdict.CREATE if is_added else Verdict.UNCHANGED)
        if params.action == "remove":
            return Forecast(Verdict.UPDATE, deletes=True)
        is_out = bool(text_of(contact.found, "OptedOut"))
        opts_out = not is_out and (params.action == "optOut" or contact.wants is False)
        changes = params.action != "optOut" and self._differs(contact, contact.found)
        changes = changes or opts_out or (bool(contact.wants) and _is_newer(contact))
        return Forecast(Verdict.UPDATE if changes else Verdict.UNCHANGED, opts_out=opts_out)

    def _differs(self, contact: _Contact, found: Element) -> bool:
        present = {**named_values(found, "COLUMNS/COLUMN"), EMAIL: text_of(found, EMAIL)}
        return any(
            _plain(present.get(name, ""), self.kinds.get(name)) != _plain(text, self.kinds.get(name))
            for name, text in contact.columns.items()
        )

    def _wanted(self) -> dict[str, int | None]:
        return wanted_columns(self.params.columns, keys=self.params.sync_fields, newsletters=())

    def _read(self, batch: Batch) -> list[_Contact]:
        params = self.params
        texts = calls.texts_by_field(batch)
        spoken = texts.pop(params.newsletter_field, None) if params.newsletter_field else None
        moments = texts.pop(params.consent_time_field, None) if params.consent_time_field else None
        consents = [name for name in texts if self.kinds.get(name) in CONSENT_TYPES]
        if consents:
            raise FlowError(
                "LB-1521",
                f"{', '.join(consents)} is a column of SMS consent, which is not written from here",
                hint="Leave the field out: consent for SMS is given at the platform.",
            )
        found = []
        for number, columns in enumerate(calls.requests_of(texts, batch.num_rows)):
            keys = {name: columns[name] for name in self.keys if columns.get(name)}
            contact = _Contact(columns, keys)
            if len(keys) < len(self.keys):
                missing = ", ".join(name for name in self.keys if name not in keys)
                contact.error = RecordError("LB-4631", f"the record has no {missing}, by which contacts are matched")
            contact.wants = said(spoken[number] if spoken else None, yes=YES, no=NO)
            contact.consent_at = _moment(moments[number] if moments else None)
            found.append(contact)
        return found

    async def _write(self, found: Sequence[_Contact]) -> None:
        list_id, action = self.params.list_id, self.params.action
        if action == "remove":
            await self._all(
                "RemoveRecipient", found, lambda each: contacts.by_key(list_id, each.keys), gone_is_done=True
            )
        elif action == "optOut":
            await self._all(
                "OptOutRecipient", found, lambda each: contacts.by_key(list_id, each.keys), gone_is_done=True
            )
        elif self.params.newsletter_field:
            await self._write_with_wish(found)
        elif action == "update":
            await self._all("UpdateRecipient", found, self._update)
        else:
            await self._all("AddRecipient", found, lambda each: self._add(each, self.params.created_from, update=True))

    async def _write_with_wish(self, found: Sequence[_Contact]) -> None:
        """Update who is there; add who wants mail; opt out who does not want it; opt in again by newer consent only."""
        adds = self.params.action == "addOrUpdate"
        await self._all("UpdateRecipient", found, self._update, gone_is_done=True)
        new = [each for each in found if each.is_missing and adds]
        wanting = [each for each in new if each.wants]
        await self._all("AddRecipient", wanting, lambda each: self._add(each, contacts.OPTED_IN, update=False))
        if self.params.add_opted_out:
            others = [each for each in new if not each.wants]
            await self._all("AddRecipient", others, lambda each: self._add(each, self.params.created_from, update=True))
        refusing = [each for each in found if each.wants is False]
        list_id = self.params.list_id
        await self._all(
            "OptOutRecipient", refusing, lambda each: contacts.by_key(list_id, each.keys), gone_is_done=True
        )
        dated = [each for each in found if each.wants and each.consent_at and not each.is_missing]
        await self._all(
            "SelectRecipientData", dated, lambda each: contacts.by_key(list_id, each.keys), gone_is_done=True
        )
        again = [each for each in dated if _is_newer(each)]
        await self._all("UpdateRecipient", again, lambda each: contacts.opt_in_again(list_id, each.keys))

    def _add(self, contact: _Contact, created_from: int, *, update: bool) -> str:
        return contacts.add(
            self.params.list_id, contact.columns, contact.keys, created_from=created_from, update=update
        )

    def _update(self, contact: _Contact) -> str:
        return contacts.update(self.params.list_id, contact.columns, contact.keys)

    async def _all(
        self,
        operation: str,
        found: Sequence[_Contact],
        content: Callable[[_Contact], str],
        *,
        gone_is_done: bool = False,
    ) -> None:
        """Do an operation for all contacts that have not failed: several in a call, several calls at a time."""
        written: list[tuple[_Contact, str]] = []
        for contact in found:
            if contact.is_open:
                try:
                    written.append((contact, content(contact)))
                except NotXml as error:
                    contact.error = RecordError("LB-4631", str(error))
        size = self.params.contacts_per_call

        async def call(bundle: Sequence[tuple[_Contact, str]]) -> None:
            outcomes = await self.client.call_all(operation, [text for _, text in bundle])
            for (contact, _), outcome in zip(bundle, outcomes, strict=True):
                _judge(contact, outcome, operation, gone_is_done=gone_is_done)
            self.services.progress()

        bundles = [written[at : at + size] for at in range(0, len(written), size)]
        await for_each(bundles, call, at_a_time=self.params.max_connections)


def _judge(contact: _Contact, outcome: Element | OperationRefused, operation: str, *, gone_is_done: bool) -> None:
    if not isinstance(outcome, OperationRefused):
        contact.found = outcome
        return
    if outcome.error_id == NOT_A_MEMBER and gone_is_done:
        contact.is_missing = True
        contact.found = None
        return
    if operation == "AddRecipient" and outcome.after_uncertain and contact.is_missing:
        return  # the attempt whose answer was lost has added it
    contact.error = RecordError(outcome.code_on_record, outcome.message)


def _rounds(found: Sequence[_Contact]) -> list[list[_Contact]]:
    """The contacts in rounds in which each key is there once, so that those of one contact keep their order."""
    rounds: list[list[_Contact]] = []
    seen: dict[tuple[str, ...], int] = {}
    for contact in found:
        key = tuple(contact.keys.values())
        number = seen[key] = seen.get(key, -1) + 1
        if number == len(rounds):
            rounds.append([])
        rounds[number].append(contact)
    return rounds


def _plain(text: str, kind: str | None) -> str:
    """A value as it can be compared: the platform writes Yes for every way of saying so."""
    if kind == str(YES_NO):
        lower = text.strip().lower()
        return "yes" if lower in YES else "no" if lower in NO else lower
    return text


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _is_newer(contact: _Contact) -> bool:
    """Whether the consent is certainly newer than the opt-out."""
    if contact.found is None or contact.consent_at is None:
        return False
    out = contacts.opted_out_at(contact.found)
    return out is not None and contact.consent_at >= out + _MINUTE


async def _added(api: Client, facts: ListFacts, wanted: dict[str, int | None]) -> AsyncGenerator[Finding]:
    for name, kind in wanted.items():
        if name not in facts.columns:
            await add_column(api, facts.id, name, kind or 0)
            yield Finding(f"column {name}", "created", f'added to "{facts.name}"')
