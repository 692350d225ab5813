"""Members of a Responsys list, and rows of its tables, by the REST API."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import field_validator, model_validator

from landbridge.components.base import Lookup, RecordError, RecordReader, RecordWriter
from landbridge.components.check import Finding
from landbridge.components.params import Address, ComponentParams, FieldPath, Param, TextList
from landbridge.components.registry import component
from landbridge.records import Batch, columns as col, objects
from landbridge.records.path import parse, write
from landbridge.remote.endpoint import LOOPBACK
from landbridge.remote.responsys import (
    DEFAULT_CALLS_PER_MINUTE,
    MAX_RECORDS,
    Client,
    MergeRule,
    QueryAttribute,
    ResponsysLogin,
    client,
)
from landbridge.remote.responsys_errors import CallRefused

STATUS: Final = "EMAIL_PERMISSION_STATUS_"
UID_COLUMN: Final = "CUSTOMER_ID_"
_OPTED_IN: Final = "I"
_OPTED_OUT: Final = "O"
_REJECTED: Final = "LB-4631"
_BETWEEN: Final = "\x1f"
"""Between the values of a key."""
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_ATTRIBUTES: Final[dict[str, QueryAttribute]] = {
    "RIID_": "r",
    "EMAIL_ADDRESS_": "e",
    "CUSTOMER_ID_": "c",
    "MOBILE_NUMBER_": "m",
}


class ResponsysParams(ComponentParams):
    """Parameters of every step that calls the API."""

    url: Address = Param(
        "Address of the login host, as the account's own page names it. http:// only on this machine.",
        example="https://login5.responsys.net",
    )
    username: str = Param("Login name of the API user.", example="landbridge_api")
    password: str = Param("Password of the API user.", secret=True, example="${secret:responsys-password}")
    list_name: str = Param("Name of the profile list.", example="Customers")
    match_column: Literal["CUSTOMER_ID_", "EMAIL_ADDRESS_", "RIID_", "MOBILE_NUMBER_"] = Param(
        "Column by which members are found. With the UID in CUSTOMER_ID_ a changed address changes the same member.",
        default=UID_COLUMN,
    )
    calls_per_minute: int = Param(
        "Calls of one kind in a minute, as agreed with the vendor; never more than its table allows. A sandbox on this "
        "machine has no limit.",
        default=DEFAULT_CALLS_PER_MINUTE,
        ge=1,
        le=1000,
    )
    timeout: int = Param("Longest wait for a single answer.", default=120, ge=10, le=600, unit="s")

    @property
    def login(self) -> ResponsysLogin:
        """The account and the user."""
        return ResponsysLogin(self.url, self.username, self.password)


class ResponsysWriterParams(ResponsysParams):
    """Parameters of the writer."""

    action: Literal["merge", "optOut", "delete"] = Param(
        "merge creates and updates; optOut opts members out, and changes nothing else; delete removes them from the "
        "list for good. Who is no member counts as done by the last two.",
        default="merge",
    )
    insert_on_no_match: bool = Param(
        "Make a member where there is none; otherwise the record is rejected.", default=True
    )
    update_on_match: bool = Param("Change a member that is there.", default=True)
    default_permission: Literal["OPTOUT", "OPTIN"] = Param(
        "What becomes of a new member whose record says nothing of consent. Records that carry "
        "EMAIL_PERMISSION_STATUS_ decide for themselves.",
        default="OPTOUT",
    )
    resubscribe: bool = Param(
        "Let a record with EMAIL_PERMISSION_STATUS_ I opt a member in again who has opted out. Otherwise such a record "
        "changes the other fields only; it takes one more call for each 200 records that say I.",
        default=False,
    )
    profile_extension: str | None = Param(
        "Write into this profile extension table of the list.", default=None, example="Preferences"
    )
    supplemental_table: str | None = Param(
        "Write into this supplemental table, by its primary key, in place of the list.", default=None, example="Likes"
    )
    folder: str | None = Param("Folder of the supplemental table.", default=None, example="Landbridge")
    table_key: TextList = Param(
        "Columns of the supplemental table's primary key, also as one text with commas. With it rows of different "
        "columns share fewer calls, and no call has two rows of one key.",
        default=[],
        example=["CUSTOMER_ID_", "NAME"],
    )

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if self.profile_extension and self.supplemental_table:
            raise ValueError("give either profileExtension or supplementalTable")
        if bool(self.supplemental_table) != bool(self.folder):
            raise ValueError("give supplementalTable and folder together")
        if self.table_key and not self.supplemental_table:
            raise ValueError("tableKey needs supplementalTable")
        if self.action != "merge" and (self.profile_extension or self.supplemental_table):
            raise ValueError(f"{self.action} works on the members of the list only")
        return self

    @property
    def is_table(self) -> bool:
        """Whether it writes something else than members of the list."""
        return bool(self.profile_extension or self.supplemental_table)


@dataclass(slots=True)
class _Item:
    """One record on its way: its fields, and why it was refused."""

    fields: dict[str, str]
    key: str
    error: str | None = None


@component("datasource.write.responsys", title="Write members to Responsys")
class ResponsysWriter(RecordWriter):
    """Merge each record into a Responsys list, a profile extension table or a supplemental table, 200 in a call.

    Fields are named as the list's columns. An absent field is left alone; so is the permission status of a record
    that does not carry it. Every record has its own outcome. Nobody who has opted out is opted in again, unless
    `resubscribe`.
    """

    Params = ResponsysWriterParams
    params: ResponsysWriterParams
    idempotent = True
    _client: Client

    @property
    def deletes(self) -> bool:  # type: ignore[override]  # known only with the parameters
        """Whether members are removed."""
        return self.params.action == "delete"

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Hold the connection open."""
        async with _open(self.params) as self._client:
            yield

    async def write(self, batch: Batch) -> Batch:
        """Write the records; several of one member in their order."""
        items = _items(batch, self._key_fields())
        if self._guards_consent:
            await self._keep_opt_outs(items)
        sent = await self._members(items) if self.params.action == "optOut" else items
        for names, together in _calls(sent, self.params.match_column):
            await self._write(names, together)
        failed = [place for place, item in enumerate(items) if item.error is not None]
        if failed:
            errors = [RecordError(_REJECTED, items[place].error or "") for place in failed]
            self.services.reject(batch.take(failed), errors)
        return batch.take([place for place, item in enumerate(items) if item.error is None]) if failed else batch

    async def test(self) -> AsyncGenerator[Finding]:
        """Login, list and its key."""
        async for finding in _tested(self.params):
            yield finding

    @property
    def _guards_consent(self) -> bool:
        params = self.params
        return params.action == "merge" and not params.is_table and not params.resubscribe

    def _key_fields(self) -> Sequence[str]:
        params = self.params
        return params.table_key if params.supplemental_table else (params.match_column,)

    async def _members(self, items: Sequence[_Item]) -> list[_Item]:
        """What opts out those of the records' members that are there and have not opted out."""
        column = self.params.match_column
        found = [item for item in items if item.error is None]
        statuses = await self._statuses(found)
        leaving = [item for item in found if statuses.get(_comparable(column, item.key), _OPTED_OUT) != _OPTED_OUT]
        for item in leaving:
            item.fields = {column: item.key, STATUS: _OPTED_OUT}
        return leaving

    async def _statuses(self, items: Sequence[_Item]) -> dict[str, Any]:
        """The permission status of those members that are there, by what is compared of their key."""
        column = self.params.match_column
        keys = list(dict.fromkeys(item.key for item in items))
        known: dict[str, Any] = {}
        for begin in range(0, len(keys), MAX_RECORDS):
            part = keys[begin : begin + MAX_RECORDS]
            for each in await self._client.get(self.params.list_name, _ATTRIBUTES[column], part, [column, STATUS]):
                known[_comparable(column, str(each[column]))] = each[STATUS]
        return known

    async def _keep_opt_outs(self, items: Sequence[_Item]) -> None:
        """Take the status off records that would opt somebody in who has opted out, there or by a record before."""
        telling = [item for item in items if item.error is None and item.fields.get(STATUS) in (_OPTED_IN, _OPTED_OUT)]
        statuses = await self._statuses([item for item in telling if item.fields[STATUS] == _OPTED_IN])
        for item in telling:
            member = _comparable(self.params.match_column, item.key)
            if item.fields[STATUS] == _OPTED_OUT:
                statuses[member] = _OPTED_OUT
            elif statuses.get(member) == _OPTED_OUT:
                del item.fields[STATUS]

    async def _write(self, names: Sequence[str], items: Sequence[_Item]) -> None:
        """Write at most 200 records; where the call as a whole is refused, its halves, down to single records."""
        try:
            outcomes = await self._call(names, items)
        except CallRefused as refused:
            if len(items) == 1:
                items[0].error = refused.message
                return
            half = len(items) // 2
            await self._write(names, items[:half])
            await self._write(names, items[half:])
            return
        for item, outcome in zip(items, outcomes, strict=True):
            item.error = outcome

    async def _call(self, names: Sequence[str], items: Sequence[_Item]) -> Sequence[str | None]:
        params, api = self.params, self._client
        if params.action == "delete":
            return await api.delete(params.list_name, _ATTRIBUTES[params.match_column], [item.key for item in items])
        rows = [[item.fields[name] for name in names] for item in items]
        rule = MergeRule(
            match=params.match_column,
            inserts=params.insert_on_no_match,
            updates=params.update_on_match,
            opts_in=params.default_permission == "OPTIN",
        )
        if params.profile_extension:
            return await api.merge_extension(params.list_name, params.profile_extension, names, rows, rule)
        if params.supplemental_table:
            return await api.merge_table(params.folder or "", params.supplemental_table, names, rows, rule)
        return await api.merge(params.list_name, names, rows, rule)


class ResponsysReaderParams(ResponsysParams):
    """Parameters of the reader."""

    ids: TextList = Param(
        "Values of matchColumn: the members to read. Also as one text with commas.", example=["u1", "u2"]
    )
    fields: TextList = Param(
        "Columns of the list to read; all of them when none is named.",
        default=[],
        example=["CUSTOMER_ID_", "EMAIL_PERMISSION_STATUS_"],
    )
    permission_status: Literal["any", "I", "O"] = Param(
        "Only members with this e-mail permission status.", default="any"
    )

    @field_validator("ids")
    @classmethod
    def _not_empty(cls, value: list[str]) -> list[str]:
        if not value:
            raise ValueError("name at least one member")
        return value


@component("datasource.read.responsys", title="Read members from Responsys")
class ResponsysReader(RecordReader):
    """Read members of a Responsys list whose keys are known, 200 in a call. Who is no member is left out.

    The API gives members by their keys only: it cannot list them, and it cannot be asked what has changed, so a delta
    reads the same members as a full extract. Changes of a list come by an export job's file, and subscriptions by
    event feeds.
    """

    Params = ResponsysReaderParams
    params: ResponsysReaderParams

    def columns(self) -> Sequence[str] | None:
        """The columns that are named."""
        return self.params.fields or None

    async def read(self) -> AsyncGenerator[Batch]:
        """Yield the members, a batch for each call."""
        params, column = self.params, self.params.match_column
        ids = list(dict.fromkeys(params.ids))
        async with _open(params) as api:
            shown = params.fields or await api.fields(params.list_name)
            wanted = list(dict.fromkeys((*shown, STATUS)))
            for begin in range(0, len(ids), MAX_RECORDS):
                part = ids[begin : begin + MAX_RECORDS]
                found = await api.get(params.list_name, _ATTRIBUTES[column], part, wanted)
                self.services.progress()
                rows = [
                    {name: member[name] for name in shown if member[name] is not None}
                    for member in found
                    if params.permission_status in ("any", member[STATUS])
                ]
                if rows:
                    yield Batch.from_objects(rows)

    async def test(self) -> AsyncGenerator[Finding]:
        """Login, list and the columns."""
        async for finding in _tested(self.params, self.params.fields):
            yield finding


class ResponsysLookupParams(ResponsysParams):
    """Parameters of the lookup."""

    source_field: FieldPath = Param("Field of the record with the value of matchColumn.", default="UID")
    fields: TextList = Param(
        "Columns of the list to add, into the object `responsys`.", example=["EMAIL_PERMISSION_STATUS_", "SCORE"]
    )
    permission_status: Literal["any", "I", "O"] = Param(
        "Only members with this e-mail permission status go on; records of others are left out.", default="any"
    )


@component("datasource.lookup.responsys", title="Look up members in Responsys")
class ResponsysLookup(Lookup):
    """Add to each record what a Responsys list knows of its member. Records without a member are left out.

    The API gives members by their keys only; what has changed in a list is told by an export job's file.
    """

    Params = ResponsysLookupParams
    params: ResponsysLookupParams
    _client: Client

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Hold the connection open."""
        async with _open(self.params) as self._client:
            yield

    async def look_up(self, batch: Batch) -> Batch:
        """Give the records that have a member, with its columns."""
        params, column = self.params, self.params.match_column
        keys: list[str | None] = col.plain_text(batch.get(parse(params.source_field))).to_pylist()
        asked = list(dict.fromkeys(key for key in keys if key))
        wanted = list(dict.fromkeys((column, STATUS, *params.fields)))
        known: dict[str, dict[str, Any]] = {}
        for begin in range(0, len(asked), MAX_RECORDS):
            part = asked[begin : begin + MAX_RECORDS]
            self.services.progress()
            for found in await self._client.get(params.list_name, _ATTRIBUTES[column], part, wanted):
                known[_comparable(column, str(found[column]))] = found
        rows = []
        for record, key in zip(batch.to_objects(), keys, strict=True):
            member = known.get(_comparable(column, key or ""))
            if member is None or params.permission_status not in ("any", member[STATUS]):
                continue
            shown = {name: member[name] for name in params.fields if member[name] is not None}
            rows.append(objects.put(record, ("responsys",), shown))
        return Batch.from_objects(rows)

    async def test(self) -> AsyncGenerator[Finding]:
        """Login, list and the columns."""
        async for finding in _tested(self.params, self.params.fields):
            yield finding


def _open(params: ResponsysParams) -> AbstractAsyncContextManager[Client]:
    limit = None if urlsplit(params.url).hostname in LOOPBACK else params.calls_per_minute
    return client(params.login, connections=1, calls_per_minute=limit, timeout_s=params.timeout)


async def _tested(params: ResponsysParams, wanted: Sequence[str] = ()) -> AsyncGenerator[Finding]:
    async with _open(params) as api:
        await api.log_in()
        yield Finding("login", "ok", f"{api.login.place} accepts the API user")
        known = await api.fields(params.list_name)
        yield Finding("list", "ok", f'"{params.list_name}" has {len(known):,} columns')
        missing = [name for name in (params.match_column, *wanted) if name not in known]
        if missing:
            message = f'"{params.list_name}" has no column {", ".join(missing)}'
            yield Finding("columns", "failed", message, "Add it to the list, or correct the step.")


def _items(batch: Batch, keys: Sequence[str]) -> list[_Item]:
    """The records as texts by column; what cannot be sent has its error."""
    texts = {name: col.plain_text(batch.column(name)).to_pylist() for name in batch.names}
    wrong = [name for name in texts if not _NAME.fullmatch(name)]
    items = []
    for place in range(batch.num_rows):
        fields = {name: values[place] for name, values in texts.items() if values[place] is not None}
        if fields.get(STATUS) == "":
            del fields[STATUS]  # nothing is said of consent
        nested = next((name for name in wrong if name in fields), None)
        missing = next((name for name in keys if not fields.get(name)), None)
        item = _Item(fields, _BETWEEN.join(fields.get(name, "") for name in keys))
        if nested is not None:
            item.error = f"{write(parse(nested))} cannot be a column; rename or remove it"
        elif missing is not None:
            item.error = f"the record has no {missing}"
        items.append(item)
    return items


def _calls(items: Sequence[_Item], column: str) -> Iterator[tuple[tuple[str, ...], list[_Item]]]:
    """Records that may go in one call: with the same columns, and each key once; in their order otherwise.

    Where the key is not known any two records may have the same one, so that they all keep their order.
    """
    seen: Counter[str] = Counter()
    groups: dict[tuple[int, tuple[str, ...]], list[_Item]] = {}
    run, before = 0, tuple[str, ...]()
    for item in items:
        if item.error is not None:
            continue
        member, names = _comparable(column, item.key), tuple(item.fields)
        run += names != before
        before = names
        turn = seen[member] if member else run
        seen[member] += 1
        groups.setdefault((turn, names), []).append(item)
    for (_, names), together in sorted(groups.items(), key=lambda group: group[0][0]):
        for begin in range(0, len(together), MAX_RECORDS):
            yield names, together[begin : begin + MAX_RECORDS]


def _comparable(column: str, text: str) -> str:
    return text.lower() if column == "EMAIL_ADDRESS_" else text
