"""Contacts of Silverpop (today Acoustic Campaign) by file: imports and exports of a whole database."""

from __future__ import annotations

import csv
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, BinaryIO, Final, Self

import anyio.to_thread
from pydantic import BeforeValidator, field_validator, model_validator

from landbridge.components.base import CHUNK_BYTES, FileStart, FileWriter, RecordReader
from landbridge.components.check import Finding
from landbridge.components.datasource.silverpop_database import (
    WantedColumn,
    examined,
    keys_of,
    wanted_columns,
    zone_finding,
)
from landbridge.components.datasource.silverpop_login import Id, SilverpopFileParams, open_both
from landbridge.components.datasource.silverpop_newsletter import NewsletterStore
from landbridge.components.file.dsv_parse import ParseDsv
from landbridge.components.file.inference import inferred
from landbridge.components.params import FieldPath, Param, TextList, separated
from landbridge.components.registry import component
from landbridge.errors import FlowError, GuardTripped, TransientError
from landbridge.records import Batch, columns as col
from landbridge.records.path import parse, write
from landbridge.remote.sftp import SftpStore
from landbridge.remote.silverpop import Client
from landbridge.remote.silverpop_import import Imported, ImportStore, Target
from landbridge.remote.silverpop_jobs import Export, ExportType, ImportAction, export
from landbridge.remote.silverpop_lists import ListFacts, add_column, facts_of, table_rows
from landbridge.remote.silverpop_results import DOWNLOAD

MAX_TABLE_ROWS: Final = 10_000_000
"""Rows that all relational tables may hold together, unless the vendor has agreed on more."""

RESERVED: Final = "email"
"""A column of this name cannot be imported into a table: the platform's import fails, as its guide warns."""

_SYSTEM_COLUMNS: Final = frozenset(
    ("RECIPIENT_ID", "Email", "Opt In Date", "Opt In Details", "Opted Out", "Opted Out Date", "Opt Out Details",
     "Email Type")
)  # fmt: skip
_ATTEMPTS: Final = 2


class SilverpopWriterParams(SilverpopFileParams):
    """Parameters of the file writer."""

    list_id: Id | None = Param("Id of the database.", default=None, example="50194")
    table_id: Id | None = Param(
        "Id of a relational table to import the files into, in place of a database.", default=None, example="86767"
    )
    action: ImportAction = Param(
        "What an import does with contacts: add and update, add only, update only, or opt out.",
        default="ADD_AND_UPDATE",
    )
    sync_fields: TextList | None = Param(
        "Columns by which contacts are matched; without them the database's unique key.", default=None, example=["UID"]
    )
    newsletter_field: str | None = Param(
        "Column of the file with Yes or No that becomes the contact's e-mail status: no opts out, yes adds; nobody is "
        "opted in again.",
        default=None,
        example="Subscribed",
    )
    add_opted_out: bool = Param(
        "With newsletterField: add people who say no, too. They are reachable until their opt-out is imported, a few "
        "minutes later.",
        default=False,
    )
    keep_opt_outs: bool = Param(
        "Note who has opted out before each import, and opt them out again behind it: one more export and import. "
        "The vendor does not say for certain that an import leaves opt-outs alone.",
        default=False,
    )
    gmt_confirmed: bool = Param(
        "The API user's time zone is GMT; all dates are in the user's zone. `landbridge check` warns until it is set.",
        default=False,
    )
    newsletter_columns: TextList = Param(
        "Yes/No columns of the database that say who wants which newsletter; checked to be of that type.",
        default=[],
        example=["Newsletter"],
    )
    columns: TextList = Param(
        "Columns that the database must have, as NAME or NAME:type (text, yesno, numeric, date, country, smsphone, …): "
        "checked before anything is sent, and added by `landbridge check --create`.",
        default=[],
        example=["UID:text", "First Name:text", "Newsletter:yesno"],
    )
    max_table_rows: int = Param(
        "Rows that all relational tables of the organisation may hold together.", default=MAX_TABLE_ROWS, ge=1
    )

    @field_validator("columns")
    @classmethod
    def _known_types(cls, value: list[str]) -> list[str]:
        for text in value:
            WantedColumn.of(text)
        return value

    @model_validator(mode="after")
    def _has_target(self) -> Self:
        if (self.list_id is None) == (self.table_id is None):
            raise ValueError("give either listId or tableId")
        if self.newsletter_field and (self.table_id or self.action != "ADD_AND_UPDATE"):
            raise ValueError("newsletterField works with listId and the action ADD_AND_UPDATE only")
        return self


@component("datasource.write.silverpop", title="Import files into Silverpop")
class SilverpopWriter(FileWriter):
    """Import DSV files into a Silverpop (Acoustic Campaign) database, or into a relational table.

    The files go to the folder `upload` of the SFTP server under their own names; the step writes the map file, begins
    the import, waits for it and reads back what was not taken: each such row is a reject. Columns are matched by the
    file's header. An import never opts anybody in who has opted out.
    """

    Params = SilverpopWriterParams
    params: SilverpopWriterParams

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[ImportStore]:
        """Log in, and check that the database or table is fit."""
        params = self.params
        async with open_both(params) as (api, files):
            target = await self._target(api)
            kind = NewsletterStore if params.newsletter_field else ImportStore
            store = kind(
                api,
                files,
                target,
                patience=params.patience(self.services.progress),
                told=self._told,
                keep_files=params.keep_files,
                keep_opt_outs=params.keep_opt_outs,
            )
            if isinstance(store, NewsletterStore):
                store.field, store.adds_opted_out = params.newsletter_field or "", params.add_opted_out
                store.services = self.services
            yield store

    async def test(self) -> AsyncGenerator[Finding]:
        """Logins, folders, database or table, key, columns, time zone."""
        params = self.params
        async with open_both(params) as (api, files):
            yield Finding("login", "ok", f"{api.login.place} and {params.sftp.label} accept the credentials")
            facts = await facts_of(api, params.table_id or params.list_id or "")
            await ImportStore(
                api, files, Target(facts, False, ()), patience=params.patience(lambda: None), told=self._told
            ).check()
            yield Finding("folders", "ok", "upload and download are there")
            if params.table_id:
                for finding in _table_findings(facts, await table_rows(api), limit=params.max_table_rows):
                    yield finding
            else:
                for finding in examined(facts, self._wanted(), keys=params.sync_fields):
                    yield finding
                yield zone_finding(facts, confirmed=params.gmt_confirmed)

    async def create_missing(self) -> AsyncGenerator[Finding]:
        """Add the columns that the database lacks."""
        if self.params.list_id is None:
            return
        async with open_both(self.params) as (api, _):
            facts = await facts_of(api, self.params.list_id)
            for name, kind in self._wanted().items():
                if name not in facts.columns:
                    await add_column(api, facts.id, name, kind or 0)
                    yield Finding(f"column {name}", "created", f'added to "{facts.name}"')

    async def _target(self, api: Client) -> Target:
        params = self.params
        facts = await facts_of(api, params.table_id or params.list_id or "")
        if params.table_id:
            wrong = [each for each in _table_findings(facts, await table_rows(api), limit=params.max_table_rows)
                     if each.verdict == "failed"]  # fmt: skip
            if wrong:
                raise GuardTripped("LB-5101", wrong[0].message, hint=wrong[0].hint)
            return Target(facts, is_table=True, keys=facts.keys)
        keys = keys_of(facts, params.sync_fields)
        wrong = [each for each in examined(facts, self._wanted(), keys=params.sync_fields) if each.verdict == "failed"]
        if wrong:
            first = wrong[0]
            raise FlowError("LB-1521", f'{first.what} of "{facts.name}": {first.message}', hint=first.hint)
        return Target(facts, is_table=False, keys=keys, action=params.action)

    def _wanted(self) -> dict[str, int | None]:
        params = self.params
        return wanted_columns(params.columns, keys=params.sync_fields, newsletters=params.newsletter_columns)

    def _told(self, imported: Imported) -> None:
        job = imported.job
        counts = ", ".join(f"{text} {title}" for name, title in _COUNTS.items() if (text := job.count(name)))
        self.services.log("info", f"import job {job.id} of {imported.file}: {counts or 'no rows'}")
        self.services.leave_out(imported.left_out)
        for line in imported.refused:
            self.services.reject_text(
                line, file=imported.file, line=None, code="LB-4631", message="Silverpop did not take the row"
            )
        for _ in range(job.refused_rows - len(imported.refused)):
            message = "Silverpop did not take a row of the file; its error file does not show which"
            self.services.reject_text("", file=imported.file, line=None, code="LB-4631", message=message)


_COUNTS: Final = {
    "TOTAL_ROWS": "rows",
    "SQL_ADDED": "added",
    "SQL_UPDATED": "updated",
    "DUPLICATES": "of them twice in the file",
    "NOT_ALLOWED": "left alone by the action",
    "BAD_ADDRESSES": "bad addresses",
    "BAD_RECORDS": "bad records",
}


def _table_findings(facts: ListFacts, rows: int, *, limit: int) -> Iterator[Finding]:
    yield Finding("table", "ok", f'"{facts.name}" with {facts.size:,} rows')
    if any(name.lower() == RESERVED for name in facts.columns):
        message = f'the table "{facts.name}" has a column "{RESERVED}", which cannot be imported'
        yield Finding("columns", "failed", message, "Make the table anew, with another name for the column.")
    if rows >= limit:
        message = f"the relational tables hold {rows:,} rows; {limit:,} are allowed"
        hint = "Purge tables, or raise maxTableRows if the vendor has agreed on more."
        yield Finding("rows", "failed", message, hint)
    else:
        yield Finding("rows", "ok", f"{rows:,} of {limit:,} rows are used")


class SilverpopReaderParams(SilverpopFileParams):
    """Parameters of the reader."""

    list_id: Id = Param("Id of the database, query or contact list.", example="50194")
    columns: TextList = Param(
        "Columns to read, also those of a scoring model; names are compared with regard to case.",
        example=["UID", "EMAIL", "Score"],
    )
    export_type: Annotated[list[ExportType], BeforeValidator(separated)] = Param(
        "Which contacts: ALL, OPT_IN, OPT_OUT, UNDELIVERABLE; several are read one after the other.",
        default=["ALL"],
        example=["OPT_OUT", "UNDELIVERABLE"],
    )
    status_field: FieldPath | None = Param(
        "Field that gets the kind of export each record comes from.", default=None, example="emailStatus"
    )
    number_columns: TextList = Param(
        "Columns whose values become numbers where they are written as such; all others are texts.",
        default=[],
        example=["Score"],
    )
    gmt_confirmed: bool = Param(
        "The API user's time zone is GMT. Only then can changes be read: all dates are in the user's zone.",
        default=False,
    )


@component("datasource.read.silverpop", title="Export contacts from Silverpop")
class SilverpopReader(RecordReader):
    """Read contacts of a Silverpop (Acoustic Campaign) database by its export jobs.

    An empty column is an absent field. With a delta, each job reads what was changed since; that needs `gmtConfirmed`.
    OPT_OUT is read after OPT_IN, so that an opt-out between the two has the last word.
    """

    Params = SilverpopReaderParams
    params: SilverpopReaderParams

    def columns(self) -> Sequence[str]:
        """The columns of the export."""
        status = [self.params.status_field] if self.params.status_field else []
        return [*(write((name,)) for name in self.params.columns), *status]

    async def read(self) -> AsyncGenerator[Batch]:
        """Yield the contacts.

        Raises:
            FlowError: LB-1523; changes are asked for, and the time zone is not confirmed.
        """
        params = self.params
        if self.since is not None and not params.gmt_confirmed:
            raise FlowError(
                "LB-1523",
                "changes since the last job cannot be read, because nobody has confirmed that the API user is on GMT",
                hint="Set the API user's time zone to GMT in the platform, then set gmtConfirmed to true.",
            )
        async with open_both(params) as (api, files):
            facts = await facts_of(api, params.list_id)
            missing = [name for name in facts.lacks(params.columns) if name not in _SYSTEM_COLUMNS]
            if missing:
                raise FlowError(
                    "LB-1521",
                    f'"{facts.name}" has no column {", ".join(missing)}',
                    hint="Correct columns; names are compared with regard to case.",
                )
            for kind in sorted(params.export_type, key=_ORDER.index):
                spool = self.services.spool_dir / f"{self.services.step_id}-{kind}.csv"
                await self._fetch(api, files, kind, spool)
                with spool.open("rb") as file:
                    records = self._records(file, kind)
                    while (batch := await anyio.to_thread.run_sync(next, records, None)) is not None:
                        yield batch
                spool.unlink()

    async def test(self) -> AsyncGenerator[Finding]:
        """Logins, database, columns, time zone."""
        params = self.params
        async with open_both(params) as (api, files):
            yield Finding("login", "ok", f"{api.login.place} and {params.sftp.label} accept the credentials")
            facts = await facts_of(api, params.list_id)
            if await files.stored_size(DOWNLOAD) is None:
                yield Finding("folders", "failed", f'there is no folder "{DOWNLOAD}"', "Check host and username.")
            else:
                yield Finding("folders", "ok", f"{DOWNLOAD} is there")
            wanted = dict.fromkeys(name for name in params.columns if name not in _SYSTEM_COLUMNS)
            for finding in examined(facts, wanted, keys=[params.columns[0]]):
                if finding.what != "key":
                    yield finding
            yield zone_finding(facts, confirmed=params.gmt_confirmed)

    async def _fetch(self, api: Client, files: SftpStore, kind: ExportType, spool: Path) -> None:
        """Export and download; a file that is not complete is exported once more.

        Raises:
            TransientError: LB-3223; it is not complete again.
        """
        params = self.params
        wanted = Export(params.list_id, kind, params.columns, since=self.since)
        for attempt in range(1, _ATTEMPTS + 1):
            job, name = await export(api, wanted, patience=params.patience(self.services.progress))
            with spool.open("wb") as file:
                async for chunk in files.read(f"{DOWNLOAD}/{name}"):
                    await anyio.to_thread.run_sync(file.write, chunk)
                    self.services.progress()
            found = await anyio.to_thread.run_sync(_rows_in, spool)
            announced = job.count("NUM_PROCESSED") if "NUM_PROCESSED" in job.parameters else found
            if not params.keep_files:
                await files.remove(f"{DOWNLOAD}/{name}")
            self.services.log("info", f"export job {job.id} ({kind}): {found:,} contacts")
            if found == announced:
                return
            if attempt == _ATTEMPTS:
                raise TransientError(
                    "LB-3223",
                    f"the export file holds {found:,} contacts, but the job says that it wrote {announced:,}",
                    hint="Run the job again later.",
                )

    def _records(self, file: BinaryIO, kind: str) -> Iterator[Batch]:
        numbers = [write((name,)) for name in self.params.number_columns]
        for batch in ParseDsv(ParseDsv.Params(), self.services).parse(FileStart(kind), _chunks(file)):
            read = batch.with_columns({name: inferred(batch.column(name)) for name in numbers if name in batch.names})
            if self.params.status_field:
                read = read.put(parse(self.params.status_field), col.constant(kind, read.num_rows))
            yield read


_ORDER: Final = ("ALL", "OPT_IN", "OPT_OUT", "UNDELIVERABLE")


def _rows_in(file: Path) -> int:
    with file.open(encoding="utf-8", errors="replace", newline="") as lines:
        return max(0, sum(1 for _ in csv.reader(lines)) - 1)


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk
