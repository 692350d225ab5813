"""Relational tables: rows that belong to contacts by a common column."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from landbridge.sandbox.silverpop.databases import now_iso
from landbridge.sandbox.silverpop.envelope import Element, Fault, Result, flag_of, tag, text_of
from landbridge.sandbox.silverpop.imports import decoded, files_of, read_map, rows_of, write_results
from landbridge.sandbox.silverpop.jobs import JobFailed
from landbridge.sandbox.vendor import Frame

if TYPE_CHECKING:
    from landbridge.sandbox.silverpop.vendor import Silverpop

MAX_INSERTED_ROWS: Final = 100
MAX_DELETED_ROWS: Final = 1000
RESERVED: Final = "email"
_FIRST_TABLE: Final = 86_767
_MAX_TEXT: Final = 4000
_KINDS: Final = frozenset(
    ("TEXT", "YESNO", "NUMERIC", "DATE", "TIME", "COUNTRY", "SELECTION", "EMAIL", "SYNC_ID", "DATE_TIME",
     "PHONE_NUMBER")
)  # fmt: skip
_ROWS_AT_ONCE: Final = 500


class RowRefused(Exception):
    """A row is not taken: why, and whether it may be another time."""

    def __init__(self, reason: str, *, transient: bool = False) -> None:
        super().__init__(reason)
        self.transient = transient


@dataclass(frozen=True, slots=True)
class RelationalTable:
    """One table. Its rows are kept by the JSON text of their key values."""

    id: str
    frame: Frame

    @property
    def facts(self) -> dict[str, Any]:
        """Name, columns, association."""
        return self.frame.collection("tables")[self.id]

    @property
    def rows(self) -> Any:
        """All rows."""
        return self.frame.collection(f"rows-{self.id}")

    @property
    def keys(self) -> tuple[str, ...]:
        """The key columns."""
        return tuple(each["name"] for each in self.facts["columns"] if each["key"])

    def put(self, row: Mapping[str, str], *, budget: int) -> bool:
        """Insert or replace a row; whether it is a new one. Every column of the row is set.

        Raises:
            RowRefused: A column does not exist or does not take its value, a key is missing, or the tables are full.
        """
        kinds = {each["name"]: each["type"] for each in self.facts["columns"]}
        for name, text in row.items():
            if name not in kinds:
                raise RowRefused(f"Invalid Column: {name}")
            _check(name, kinds[name], text)
        key = self._key(row)
        is_new = key not in self.rows
        if is_new and budget <= 0:
            raise RowRefused("The limit of rows in relational tables is reached")
        self.rows[key] = {name: row.get(name, "") for name in kinds}
        return is_new

    def remove(self, row: Mapping[str, str]) -> None:
        """Delete a row by its key.

        Raises:
            RowRefused: There is none.
        """
        key = self._key(row)
        if key not in self.rows:
            raise RowRefused("Row Not Found")
        del self.rows[key]

    def _key(self, row: Mapping[str, str]) -> str:
        missing = [name for name in self.keys if not row.get(name)]
        if missing:
            raise RowRefused(f"Missing Value for Key Column: {missing[0]}")
        return msgspec.json.encode([row[name] for name in self.keys]).decode()


def _check(name: str, kind: str, text: str) -> None:
    if not text:
        return
    if len(text) > _MAX_TEXT:
        raise RowRefused(f"Text Too Long in column: {name}")
    try:
        if kind == "NUMERIC":
            float(text)
        elif kind == "DATE":
            datetime.strptime(text, "%m/%d/%Y")  # noqa: DTZ007 - a day has no zone
        elif kind == "DATE_TIME":
            datetime.strptime(text, "%m/%d/%Y %H:%M:%S")  # noqa: DTZ007 - the zone is the API user's
    except ValueError:
        what = "Date" if kind.startswith("DATE") else "Numeric"
        raise RowRefused(f"Invalid {what} Value in column: {name}") from None


class Tables:
    """All relational tables of the organisation."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def __iter__(self) -> Iterator[RelationalTable]:
        return (RelationalTable(number, self._frame) for number in self._frame.collection("tables"))

    def __contains__(self, number: object) -> bool:
        return number in self._frame.collection("tables")

    def __getitem__(self, number: str) -> RelationalTable:
        """The table with this TABLE_ID.

        Raises:
            Fault: There is none.
        """
        if number not in self:
            raise Fault(f"Table with id {number} does not exist.")
        return RelationalTable(number, self._frame)

    def find(self, request: Element) -> RelationalTable:
        """The table that a request names by id or name."""
        number, name = text_of(request, "TABLE_ID"), text_of(request, "TABLE_NAME")
        if not number:
            number = next((each.id for each in self if each.facts["name"] == name), name)
        return self[number]

    @property
    def size(self) -> int:
        """Rows in all tables."""
        return sum(len(each.rows) for each in self)

    def create(self, name: str, columns: list[dict[str, Any]]) -> RelationalTable:
        """Add a table.

        Raises:
            Fault: The name is taken.
        """
        if any(each.facts["name"] == name for each in self):
            raise Fault("A List With This Name Already Exists", 256)
        number = str(self._frame.number("table", first=_FIRST_TABLE))
        self._frame.collection("tables")[number] = {"name": name, "columns": columns, "join": {}, "created": now_iso()}
        return self[number]


def create_table(vendor: Silverpop, request: Element) -> Result:
    """CreateTable."""
    found = request.find("COLUMNS")
    columns = [
        {
            "name": text_of(each, "NAME"),
            "type": text_of(each, "TYPE"),
            "key": flag_of(each, "KEY_COLUMN", empty=True),
            "required": flag_of(each, "IS_REQUIRED", empty=True),
        }
        for each in (() if found is None else found)
    ]
    if not columns or any(each["type"] not in _KINDS for each in columns) or not any(each["key"] for each in columns):
        raise Fault("A table needs columns of known types and a key column.")
    return Result(tag("TABLE_ID", vendor.tables_.create(text_of(request, "TABLE_NAME"), columns).id))


def join_table(vendor: Silverpop, request: Element) -> Result:
    """JoinTable: associate a table with a database."""
    table = vendor.tables_.find(request)
    database = vendor.databases[text_of(request, "LIST_ID")]
    pairs = {text_of(each, "LIST_FIELD"): text_of(each, "TABLE_FIELD") for each in request.findall("MAP_FIELD")}
    names = {each["name"] for each in table.facts["columns"]}
    if not pairs or not set(pairs) <= set(database.columns) or not set(pairs.values()) <= names:
        raise Fault("MAP_FIELD does not name columns of the database and of the table.")

    async def work(_: str) -> Mapping[str, object]:
        join = {} if flag_of(request, "REMOVE", empty=True) else {"list": database.id, "fields": pairs}
        vendor.frame.collection("tables")[table.id] = {**table.facts, "join": join}
        return {}

    return Result(tag("JOB_ID", vendor.jobs.begin("JoinTable", work, {"TABLE_ID": table.id, "LIST_ID": database.id})))


def insert_update(vendor: Silverpop, request: Element) -> Result:
    """InsertUpdateRelationalTable: up to a hundred rows; each is taken or refused by itself."""
    table = vendor.tables_.find(request)
    rows = list(request.findall("ROWS/ROW"))
    if not rows or len(rows) > MAX_INSERTED_ROWS:
        raise Fault(f"ROWS must hold 1 to {MAX_INSERTED_ROWS} rows.")
    struck = vendor.frame.strike("partial_failure", "InsertUpdateRelationalTable")
    refused = ""
    budget = vendor.switches.max_table_rows - vendor.tables_.size
    for number, each in enumerate(rows):
        row = {column.get("name", ""): column.text or "" for column in each.findall("COLUMN")}
        try:
            if struck and number == 0:
                raise RowRefused("Database Deadlock", transient=True)
            budget -= table.put(row, budget=budget)
        except RowRefused as reason:
            refused += _failure(row, "COLUMN", reason)
    return Result(f"<FAILURES>{refused}</FAILURES>" if refused else "")


def delete_rows(vendor: Silverpop, request: Element) -> Result:
    """DeleteRelationalTableData: up to a thousand rows by their keys."""
    table = vendor.tables_.find(request)
    rows = list(request.findall("ROWS/ROW"))
    if not rows or len(rows) > MAX_DELETED_ROWS:
        raise Fault(f"ROWS must hold 1 to {MAX_DELETED_ROWS} rows.")
    struck = vendor.frame.strike("partial_failure", "DeleteRelationalTableData")
    refused = ""
    for number, each in enumerate(rows):
        row = {column.get("name", ""): column.text or "" for column in each.findall("KEY_COLUMN")}
        try:
            if struck and number == 0:
                raise RowRefused("Database Deadlock", transient=True)
            table.remove(row)
        except RowRefused as reason:
            refused += _failure(row, "KEY_COLUMN", reason)
    return Result(f"<FAILURES>{refused}</FAILURES>" if refused else "")


def purge_table(vendor: Silverpop, request: Element) -> Result:
    """PurgeTable: remove all rows."""
    table = vendor.tables_.find(request)

    async def work(_: str) -> Mapping[str, object]:
        table.rows.clear()
        return {}

    return Result(tag("JOB_ID", vendor.jobs.begin("PurgeTable", work, {"TABLE_ID": table.id})))


def delete_table(vendor: Silverpop, request: Element) -> Result:
    """DeleteTable: remove the table itself."""
    table = vendor.tables_.find(request)

    async def work(_: str) -> Mapping[str, object]:
        table.rows.clear()
        del vendor.frame.collection("tables")[table.id]
        return {}

    return Result(tag("JOB_ID", vendor.jobs.begin("DeleteTable", work, {"TABLE_ID": table.id})))


def import_table(vendor: Silverpop, request: Element) -> Result:
    """ImportTable: begin the job that reads a file into a table."""
    map_file, source, encoding = files_of(vendor, request)
    mapped = read_map(map_file.read_bytes(), root="TABLE_IMPORT", info="TABLE_INFO", target="TABLE_ID")
    table = vendor.tables_[mapped.target]
    content = source.read_bytes()

    async def work(job: str) -> Mapping[str, object]:
        if RESERVED in {name.lower() for name in mapped.columns.values()}:
            raise JobFailed("Error executing import of table. Details: null")
        counts: Counter[str] = Counter()
        bad: list[tuple[str, str]] = []
        rows = rows_of(decoded(content, encoding), mapped.separator, has_header=mapped.has_header)
        struck = vendor.frame.strike("partial_failure", "ImportTable")
        for number, (cells, raw) in enumerate(rows):
            counts["TOTAL_ROWS"] += 1
            try:
                if struck and number == 0:
                    raise RowRefused("the record was refused")
                row = {name: cells[at] for at, name in mapped.columns.items()}
                is_new = table.put(row, budget=vendor.switches.max_table_rows - vendor.tables_.size)
                counts["SQL_ADDED" if is_new else "SQL_UPDATED"] += 1
                counts["TOTAL_VALID"] += 1
            except (RowRefused, IndexError) as reason:
                counts["BAD_RECORDS"] += 1
                bad.append((raw, str(reason)))
            if number % _ROWS_AT_ONCE == 0:
                await asyncio.sleep(0)
        names = ("TOTAL_ROWS", "TOTAL_VALID", "SQL_ADDED", "SQL_UPDATED", "BAD_RECORDS")
        found = {name: counts[name] for name in names}
        return {**found, **write_results(vendor, job, found, bad, "ImportTable")}

    return Result(tag("JOB_ID", vendor.jobs.begin("ImportTable", work, {"TABLE_ID": table.id})))


def _failure(row: Mapping[str, str], element: str, reason: RowRefused) -> str:
    kind = "transient" if reason.transient else "permanent"
    columns = "".join(f'<{element} name="{_attribute(name)}">{_text(value)}</{element}>' for name, value in row.items())
    return f'<FAILURE failure_type="{kind}" description="{_attribute(str(reason))}">{columns}</FAILURE>'


def _attribute(text: str) -> str:
    return _text(text).replace('"', "&quot;")


def _text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
