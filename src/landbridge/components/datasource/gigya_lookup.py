"""Accounts that belong to a record, found by search."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from copy import deepcopy
from typing import Annotated, Any, Final, Literal

import msgspec
from pydantic import Field, field_validator

from landbridge.components.base import Lookup, RecordError
from landbridge.components.datasource import gigya_query as queries
from landbridge.components.datasource.gigya_query import Selected, SelectList
from landbridge.components.datasource.gigya_site import SiteParams, open_site
from landbridge.components.datasource.parallel import for_each
from landbridge.components.params import ComponentParams, FieldPath, Param
from landbridge.components.registry import component
from landbridge.records import Batch, objects
from landbridge.records.objects import ABSENT, JsonObject
from landbridge.records.path import parse
from landbridge.remote.gigya import Client
from landbridge.remote.gigya_errors import NOT_FOUND

_PAGE_SIZE: Final = 1000
_AMBIGUOUS: Final = "LB-4622"
_MATCHED: Final = "LB-4623"

Scalar = str | int | float | bool
Key = tuple[str, str]
"""Number of a lookup field and a value, in the form in which values are compared."""


class LookupField(ComponentParams):
    """A condition: a field of the record equals a field of the account."""

    source_field: FieldPath = Param("Field of the record.", example="EMAIL")
    gigya_field: FieldPath = Param("Field of the account; it may hold several values.", example="loginIDs.emails")


class AccountLookupParams(SiteParams):
    """Parameters of the account lookup."""

    select: SelectList = Param("Fields or objects to add, separated by commas, or *.", example="UID, profile.email")
    from_: Annotated[Literal["accounts", "emailAccounts"], Field(alias="from")] = Param(
        "Where to look: accounts, or emailAccounts for lite accounts, too.", default="accounts"
    )
    lookup_fields: list[LookupField] = Param(
        "What must be equal.", example=[{"sourceField": "EMAIL", "gigyaField": "profile.email"}]
    )
    lookup_fields_operator: Literal["OR", "AND"] = Param("Whether one condition suffices or all count.", default="OR")
    is_case_sensitive: bool = Param("Compare texts with upper and lower case as they are.", default=False)
    match_behavior: Literal["process", "error", "skip"] = Param(
        "Records with a match: process goes on, error takes the error path, skip leaves the record out.",
        default="process",
    )
    mismatch_behavior: Literal["error", "process", "skip"] = Param(
        "Records without a match: error takes the error path (404000), process goes on as it is, skip leaves it out.",
        default="error",
    )
    handle_field_conflicts: Literal["take_lookup", "take_source"] = Param(
        "Which value counts where both sides have one.", default="take_lookup"
    )
    multi_match_behavior: Literal["error", "process"] | None = Param(
        "Records with several matches: error takes the error path, process takes the matches. Without it error, or "
        "process where separateMultiMatches is set.",
        default=None,
        example="error",
    )
    separate_multi_matches: bool = Param(
        "Make one record of each match; otherwise the first match counts, and later ones add what it lacks.",
        default=False,
    )
    batch_size: int = Param("Records that one search looks up.", default=200, ge=1, le=1000)
    max_concurrency: int = Param("Parallel searches.", default=1, ge=1, le=50)

    @field_validator("lookup_fields")
    @classmethod
    def _not_empty(cls, value: list[LookupField]) -> list[LookupField]:
        if not value:
            raise ValueError("name at least one pair of fields")
        return value

    @field_validator("lookup_fields_operator", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value


@component("datasource.lookup.gigya.account", title="Look up accounts")
class AccountLookup(Lookup):
    """Find the account that belongs to each record and add fields of it.

    The search language compares texts as they are. Without ``isCaseSensitive`` each text is looked for as it is and in
    lower case, as addresses are kept, and what is found is compared without regard to case.
    """

    Params = AccountLookupParams
    params: AccountLookupParams
    _client: Client

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Client]:
        """Hold connections to the site open."""
        async with open_site(self.params, connections=self.params.max_concurrency) as self._client:
            yield self._client

    async def look_up(self, batch: Batch) -> Batch:
        """Look all records up, ``batchSize`` with one search."""
        rows = batch.to_objects()
        size = self.params.batch_size
        parts = [rows[at : at + size] for at in range(0, len(rows), size)]
        found: list[list[list[JsonObject]]] = [[] for _ in parts]

        async def look_up(number: int) -> None:
            found[number] = await self._matches(parts[number])
            self.services.progress()

        await for_each(range(len(parts)), look_up, at_a_time=self.params.max_concurrency)
        return self._decided(batch, rows, [matches for part in found for matches in part])

    def _decided(self, batch: Batch, rows: Sequence[JsonObject], found: Sequence[list[JsonObject]]) -> Batch:
        params = self.params
        several = params.multi_match_behavior or ("process" if params.separate_multi_matches else "error")
        out: list[JsonObject] = []
        bad: list[int] = []
        errors: list[RecordError] = []

        def refuse(number: int, error: RecordError) -> None:
            bad.append(number)
            errors.append(error)

        for number, (row, matches) in enumerate(zip(rows, found, strict=True)):
            if not matches:
                if params.mismatch_behavior == "error":
                    refuse(number, RecordError(NOT_FOUND, "no account matches"))
                elif params.mismatch_behavior == "process":
                    out.append(row)
            elif params.match_behavior == "error":
                refuse(number, RecordError(_MATCHED, "an account matches"))
            elif params.match_behavior == "skip":
                continue
            elif len(matches) > 1 and several == "error":
                refuse(number, RecordError(_AMBIGUOUS, f"{len(matches)} accounts match"))
            else:
                out += self._merged(row, matches)
        if bad:
            self.services.reject(batch.take(bad), errors)
        return Batch.from_objects(out)

    def _merged(self, row: JsonObject, matches: Sequence[JsonObject]) -> list[JsonObject]:
        takes_source = self.params.handle_field_conflicts == "take_source"

        def one(found: JsonObject) -> JsonObject:
            return _merge(deepcopy(found), row) if takes_source else _merge(deepcopy(row), found)

        if self.params.separate_multi_matches:
            return [one(match) for match in matches]
        combined: JsonObject = {}
        for match in reversed(matches):
            combined = _merge(combined, deepcopy(match))
        return [one(combined)]

    # -- one search ------------------------------------------------------------------------------------------------

    async def _matches(self, rows: Sequence[JsonObject]) -> list[list[JsonObject]]:
        """The accounts that match each of ``rows``."""
        wanted = [self._values(row) for row in rows]
        conditions = [
            f"{field.gigya_field} IN ({', '.join(sorted(texts))})"
            for number, field in enumerate(self.params.lookup_fields)
            if (texts := self._literals(values[number] for values in wanted))
        ]
        needs_all = self.params.lookup_fields_operator == "AND"
        if not conditions or (needs_all and len(conditions) < len(self.params.lookup_fields)):
            return [[] for _ in rows]
        accounts = await self._search((" AND " if needs_all else " OR ").join(conditions))
        return [self._matching(values, accounts) for values in wanted]

    async def _search(self, condition: str) -> dict[Key, list[JsonObject]]:
        """What the search finds, by the values of its lookup fields."""
        items = queries.parse_select(self.params.select)
        added = [] if any(item.path == "*" for item in items) else self._added(items)
        query = queries.build([*items, *added], self.params.from_, conditions=[condition], limit=_PAGE_SIZE)
        index: dict[Key, list[JsonObject]] = {}
        async with aclosing(self._client.pages("accounts.search", query)) as pages:
            async for page in pages:
                for account in msgspec.json.decode(b"[" + page.elements + b"]", type=list[dict[str, Any]]):
                    keys = list(self._keys(account))
                    for item in added:
                        objects.prune(account, parse(item.path))  # read only for the comparison
                    for key in keys:
                        index.setdefault(key, []).append(account)
        return index

    def _added(self, items: Iterable[Selected]) -> list[Selected]:
        """The lookup fields that are not selected anyway under their own name."""
        own = [item.path for item in items if item.alias is None]
        wanted = dict.fromkeys(field.gigya_field for field in self.params.lookup_fields)
        return [
            Selected(path) for path in wanted if not any(path == each or path.startswith(f"{each}.") for each in own)
        ]

    def _keys(self, account: JsonObject) -> Iterable[Key]:
        for number, field in enumerate(self.params.lookup_fields):
            for value in _scalars(objects.get(account, parse(field.gigya_field))):
                yield str(number), self._form(value)

    def _matching(self, wanted: Sequence[Sequence[Scalar]], index: Mapping[Key, list[JsonObject]]) -> list[JsonObject]:
        by_field: list[dict[int, JsonObject]] = []
        for number, values in enumerate(wanted):
            keys = [(str(number), self._form(value)) for value in values]
            by_field.append({id(account): account for key in keys for account in index.get(key, ())})
        if self.params.lookup_fields_operator == "AND":
            first, *others = by_field
            return [account for name, account in first.items() if all(name in other for other in others)]
        merged: dict[int, JsonObject] = {}
        for accounts in by_field:
            merged |= accounts
        return list(merged.values())

    def _values(self, row: JsonObject) -> list[list[Scalar]]:
        """The values of each lookup field in a record; an empty text is none."""
        return [
            [value for value in _scalars(objects.get(row, parse(field.source_field))) if value != ""]
            for field in self.params.lookup_fields
        ]

    def _literals(self, values: Iterable[Iterable[Scalar]]) -> set[str]:
        found: set[str] = set()
        for value in (value for group in values for value in group):
            found.add(queries.literal(value))
            if isinstance(value, str) and not self.params.is_case_sensitive:
                found.add(queries.literal(value.lower()))
        return found

    def _form(self, value: Scalar) -> str:
        text = value if isinstance(value, str) else queries.literal(value)
        return text if self.params.is_case_sensitive else text.casefold()


def _scalars(value: Any) -> list[Scalar]:
    """The single values in ``value``, through arrays."""
    if isinstance(value, list):
        return [scalar for element in value for scalar in _scalars(element)]
    return [value] if isinstance(value, str | int | float) else []


def _merge(target: JsonObject, source: JsonObject) -> JsonObject:
    """``target`` with the members of ``source``, which count where both have one."""
    for name, value in source.items():
        before = target.get(name, ABSENT)
        target[name] = _merge(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return target
