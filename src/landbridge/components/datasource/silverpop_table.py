"""Rows of Silverpop's relational tables: one for each element of an array of the record, associated by UID."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final, Literal, Self

import msgspec
from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel

from landbridge.components.base import RecordError, RecordWriter, StepServices
from landbridge.components.check import Finding
from landbridge.components.datasource import gigya_calls as calls
from landbridge.components.datasource.parallel import for_each
from landbridge.components.datasource.silverpop import MAX_TABLE_ROWS, RESERVED
from landbridge.components.datasource.silverpop_login import Id, SilverpopParams, open_client
from landbridge.components.params import FieldPath, Param, TextList
from landbridge.components.registry import component
from landbridge.errors import FlowError, GuardTripped
from landbridge.records import Batch, columns as col
from landbridge.records.objects import ABSENT, get
from landbridge.records.path import parse
from landbridge.remote import silverpop_tables as tables
from landbridge.remote.silverpop import CONCURRENT_CALLS, Client
from landbridge.remote.silverpop_jobs import Patience
from landbridge.remote.silverpop_lists import ListFacts, create_table, facts_of, join_table, table_named, table_rows
from landbridge.remote.silverpop_xml import NotXml

WHOLE, NUMBER, KEY = ".", "#", "@"
"""What a column may take besides a member: the element itself, its number from 1, its name in an object."""

_JOIN_TIMEOUT_S: Final = 3600.0
_DATE_FORMS: Final = {"DATE": "%m/%d/%Y", "DATE_TIME": "%m/%d/%Y %H:%M:%S"}


class TableColumn(BaseModel):
    """A column of the table and where its value comes from."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    source_field: str = Param(
        "Member of the element as a dotted path; `.` for the element itself, `#` for its number from 1, `@` for its "
        "name in an object.",
        example="name",
    )
    target_field: str = Param("Column of the table.", example="NAME")
    type: Literal["TEXT", "NUMERIC", "YESNO", "DATE", "DATE_TIME"] = Param(
        "Type of the column when the table is created.", default="TEXT"
    )


class SilverpopTableParams(SilverpopParams):
    """Parameters of the table writer."""

    table_id: Id | None = Param("Id of the table; without it the table called tableName.", default=None)
    table_name: str | None = Param(
        "Name of the table, by which it is found or created.", default=None, example="Gigya Likes"
    )
    list_id: Id | None = Param(
        "Id of the database that the table belongs to: checked, and associated by `landbridge check --create`.",
        default=None,
        example="50194",
    )
    elements: FieldPath = Param(
        "Array, or object of objects, of which each element becomes a row.", example="profile.likes"
    )
    uid_field: str = Param("Field with the UID.", default="UID")
    uid_column: str = Param("Column of the table, and of the database, that holds the UID.", default="UID")
    columns: list[TableColumn] = Param(
        "Columns besides the UID.", example=[{"sourceField": "name", "targetField": "NAME"}]
    )
    key_columns: TextList = Param(
        "Columns that tell the rows of one UID apart; without them all columns from the first one on that is a key of "
        "the table.",
        default=[],
        example=["NAME"],
    )
    action: Literal["put", "delete"] = Param("Insert and replace the rows, or delete them.", default="put")
    max_table_rows: int = Param(
        "Rows that all relational tables of the organisation may hold together.", default=MAX_TABLE_ROWS, ge=1
    )
    max_connections: int = Param(
        "Parallel calls; the platform allows ten to the whole organisation.", default=4, ge=1, le=CONCURRENT_CALLS
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.table_id and not self.table_name:
            raise ValueError("give tableId or tableName")
        names = [self.uid_column, *(each.target_field for each in self.columns)]
        if any(name.lower() == RESERVED for name in names):
            raise ValueError(f'a table cannot have a column "{RESERVED}": its import fails. Use another name')
        return self


@component("datasource.write.silverpop.table", title="Write rows to a Silverpop table")
class SilverpopTableWriter(RecordWriter):
    """Write likes, favorites, achievements or counters to a relational table of Silverpop (Acoustic Campaign).

    Each element of an array becomes a row with the record's UID; a record without elements writes none. A row is
    matched by the table's key columns and replaced as a whole. A record fails when one of its rows is refused; its
    others are written. Dates in ISO form are written as the table's column type wants them, in GMT.
    """

    Params = SilverpopTableParams
    params: SilverpopTableParams
    idempotent = True
    client: Client
    table: ListFacts
    rows_used = 0

    def __init__(self, params: SilverpopTableParams, services: StepServices) -> None:
        super().__init__(params, services)
        self.deletes = params.action == "delete"

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Client]:
        """Log in, and check that the table is fit."""
        async with open_client(self.params) as self.client:
            self.table = await self._found(self.client)
            for finding in self._examined(self.table):
                if finding.verdict == "failed":
                    raise FlowError("LB-1521", f"{finding.what}: {finding.message}", hint=finding.hint)
            self.rows_used = await table_rows(self.client)
            yield self.client

    async def write(self, batch: Batch) -> Batch:
        """Write the rows of all records."""
        errors: dict[int, RecordError] = {}
        owners: dict[tables.Key, list[int]] = {}
        rows: dict[tables.Key, dict[str, str]] = {}
        keys = self.table.keys
        for number, uid, element in self._elements(batch, errors):
            row = self._row(uid, element)
            key = tuple(row.get(name, "") for name in keys)
            missing = [name for name, text in zip(keys, key, strict=True) if not text]
            if missing:
                errors[number] = RecordError("LB-4631", f"an element has no value for the key column {missing[0]}")
                continue
            if self.params.action == "delete":
                row = {name: row[name] for name in keys}
            rows[key] = row
            owners.setdefault(key, []).append(number)
        self._check_budget(len(rows))
        for key, reason in (await self._send(list(rows.values()))).items():
            for number in owners.get(key, ()):
                errors[number] = RecordError("LB-4631", reason)
        outcomes = [errors.get(number, b"") for number in range(batch.num_rows)]
        done, _ = calls.split(batch, outcomes, self.services)
        return done

    async def test(self) -> AsyncGenerator[Finding]:
        """Login, table, columns, association, budget of rows."""
        params = self.params
        async with open_client(params) as api:
            await api.log_in()
            yield Finding("login", "ok", f"{api.login.place} accepts the credentials")
            facts = await self._found(api)
            yield Finding("table", "ok", f'"{facts.name}" ({facts.id}) with {facts.size:,} rows')
            for finding in self._examined(facts):
                yield finding
            used = await table_rows(api)
            verdict: Literal["ok", "failed"] = "ok" if used < params.max_table_rows else "failed"
            yield Finding("rows", verdict, f"{used:,} of {params.max_table_rows:,} rows in all tables are used")

    async def create_missing(self) -> AsyncGenerator[Finding]:
        """Create the table and associate it with the database."""
        params = self.params
        async with open_client(params) as api:
            table_id = params.table_id or await table_named(api, params.table_name or "")
            if not table_id:
                columns = {params.uid_column: "TEXT", **{each.target_field: each.type for each in params.columns}}
                keys = [params.uid_column, *(params.key_columns or list(columns)[1:2])]
                table_id = await create_table(api, params.table_name or "", columns, keys=keys)
                yield Finding("table", "created", f'"{params.table_name}" with the id {table_id}')
            facts = await facts_of(api, table_id)
            if params.list_id and facts.parent != params.list_id:
                patience = Patience(_JOIN_TIMEOUT_S, self.services.progress)
                fields = {params.uid_column: params.uid_column}
                await join_table(api, table_id, params.list_id, fields=fields, patience=patience)
                yield Finding("association", "created", f"by {params.uid_column} with the database {params.list_id}")

    async def _found(self, api: Client) -> ListFacts:
        params = self.params
        table_id = params.table_id or await table_named(api, params.table_name or "")
        if not table_id:
            raise FlowError(
                "LB-1521",
                f'there is no relational table "{params.table_name}"',
                hint="Correct tableName, or create it: landbridge check FLOW --create",
            )
        return await facts_of(api, table_id)

    def _examined(self, facts: ListFacts) -> Iterator[Finding]:
        params = self.params
        names = [params.uid_column, *(each.target_field for each in params.columns)]
        missing = facts.lacks(names)
        hint = "Correct columns; a table's columns are fixed when it is made."
        if missing:
            yield Finding("columns", "failed", f'"{facts.name}" has no column {", ".join(missing)}', hint)
        elif any(name.lower() == RESERVED for name in facts.columns):
            yield Finding(
                "columns", "failed", f'"{facts.name}" has a column "{RESERVED}", which cannot be imported', hint
            )
        else:
            yield Finding("columns", "ok", ", ".join(names))
        if params.uid_column not in facts.keys:
            message = f"{params.uid_column} is not a key column of the table, so rows are not told apart by person"
            yield Finding("key", "failed", message, "Make the table anew, with the UID and what tells elements apart.")
        if params.list_id:
            yield _association(facts, params.list_id)

    def _elements(self, batch: Batch, errors: dict[int, RecordError]) -> Iterator[tuple[int, str, Any]]:
        uids = calls.texts_at(batch, self.params.uid_field)
        values = col.to_values(batch.get(parse(self.params.elements)))
        for number, (uid, value) in enumerate(zip(uids, values, strict=True)):
            if not uid:
                errors[number] = RecordError("LB-4631", f"the record has no {self.params.uid_field}")
                continue
            for element in _elements_of(value):
                yield number, uid, element

    def _row(self, uid: str, element: tuple[int, str, Any]) -> dict[str, str]:
        number, name, value = element
        row = {self.params.uid_column: uid}
        for column in self.params.columns:
            if column.source_field == NUMBER:
                found: Any = number
            elif column.source_field == KEY:
                found = name
            elif column.source_field == WHOLE:
                found = value
            else:
                found = get(value, parse(column.source_field)) if isinstance(value, dict) else ABSENT
            kind = self.table.columns.get(column.target_field, "")
            row[column.target_field] = _text(found, kind)
        return row

    def _check_budget(self, new: int) -> None:
        if self.params.action == "delete":
            return
        # What is replaced counts as new here: the platform does not tell in advance.
        if self.rows_used + new > self.params.max_table_rows:
            raise GuardTripped(
                "LB-5101",
                f"the relational tables hold {self.rows_used:,} rows, and {new:,} more would exceed the limit of "
                f"{self.params.max_table_rows:,}",
                hint="Purge tables, or raise maxTableRows if the vendor has agreed on more.",
            )
        self.rows_used += new

    async def _send(self, rows: Sequence[dict[str, str]]) -> dict[tables.Key, str]:
        deletes = self.params.action == "delete"
        size = tables.ROWS_IN_DELETE if deletes else tables.ROWS_IN_INSERT
        send = tables.delete_rows if deletes else tables.put_rows
        refused: dict[tables.Key, str] = {}

        async def call(bundle: Sequence[dict[str, str]]) -> None:
            good, bad = _writable(bundle, self.table.keys)
            refused.update(bad)
            if good:
                refused.update(await send(self.client, self.table.id, good, keys=self.table.keys))
            self.services.progress()

        bundles = [rows[at : at + size] for at in range(0, len(rows), size)]
        await for_each(bundles, call, at_a_time=self.params.max_connections)
        return refused


def _association(facts: ListFacts, list_id: str) -> Finding:
    if facts.parent == list_id:
        return Finding("association", "ok", f"with the database {list_id}")
    if facts.parent:
        hint = "Associate the table with the right database in the platform."
        return Finding("association", "failed", f"with the database {facts.parent} instead of {list_id}", hint)
    hint = "Look it up in the platform, or let `--create` associate it."
    return Finding("association", "warning", f"whether it belongs to the database {list_id} is not told", hint)


def _elements_of(value: Any) -> Iterator[tuple[int, str, Any]]:
    """Number, name and content of the elements of an array, or of an object whose members are objects."""
    if isinstance(value, list):
        for number, element in enumerate(value, 1):
            yield number, str(number), element
    elif isinstance(value, dict) and value:
        if all(isinstance(member, dict) for member in value.values()):
            for number, (name, member) in enumerate(value.items(), 1):
                yield number, name, member
        else:
            yield 1, "", value


def _writable(rows: Sequence[Mapping[str, str]], keys: Sequence[str]) -> tuple[list[Mapping[str, str]], dict[Any, str]]:
    good, bad = [], {}
    for row in rows:
        try:
            for text in row.values():
                tables.check_text(text)
        except NotXml as error:
            bad[tuple(row[name] for name in keys)] = str(error)
        else:
            good.append(row)
    return good, bad


def _text(value: Any, kind: str) -> str:
    if value is ABSENT or value is None:
        return ""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, dict | list):
        return msgspec.json.encode(value).decode()
    text = str(value)
    form = _DATE_FORMS.get(kind)
    if form is None:
        return text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text  # the platform says what is wrong with it
    return (moment.astimezone(UTC) if moment.tzinfo else moment).strftime(form)
