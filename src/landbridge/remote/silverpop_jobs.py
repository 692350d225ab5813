"""Jobs of Silverpop: imports from and exports to the folders of its SFTP server, waited for until they end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from landbridge.errors import DataError, TransientError
from landbridge.remote.silverpop import Client
from landbridge.remote.silverpop_xml import Element, element, elements, named_values, text_of

ExportType = Literal["ALL", "OPT_IN", "OPT_OUT", "UNDELIVERABLE"]
ImportAction = Literal["ADD_AND_UPDATE", "ADD_ONLY", "UPDATE_ONLY", "OPT_OUT"]

FILE_TYPES: Final = {",": 0, "\t": 1, "|": 2}
"""Separators that an import understands, and their numbers in a map file."""

_DATE_FORM: Final = "%m/%d/%Y %H:%M:%S"
_FIRST_WAIT_S: Final = 0.2
_LONGEST_WAIT_S: Final = 15.0
_MORE: Final = 1.5
_ENDED_BADLY: Final = frozenset(("ERROR", "CANCELED", "CANCELLED"))


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a job, and whom to tell meanwhile.

    Attributes:
        timeout_s: The longest wait for one job, in seconds.
        progress: Called after each look at the job.
    """

    timeout_s: float
    progress: Callable[[], None]


@dataclass(frozen=True, slots=True)
class FinishedJob:
    """A job that ended well: its id, and what it says of itself."""

    id: str
    parameters: Mapping[str, str]

    def count(self, name: str) -> int:
        """A number of the job; 0 where it says nothing."""
        text = self.parameters.get(name, "").strip()
        return int(text) if text.isdecimal() else 0

    @property
    def refused_rows(self) -> int:
        """How many rows of an import were not taken."""
        if "TOTAL_VALID" in self.parameters:
            return max(0, self.count("TOTAL_ROWS") - self.count("TOTAL_VALID"))
        return self.count("BAD_ADDRESSES") + self.count("BAD_RECORDS")


@dataclass(frozen=True, slots=True)
class Begun:
    """A job under way.

    Attributes:
        job: Its id.
        may_have_twin: The first answer was lost and the call repeated, so another job may do the same.
    """

    job: str
    may_have_twin: bool


@dataclass(frozen=True, slots=True)
class MapFile:
    """How the columns of a source file are read.

    Attributes:
        columns: Names of the database's columns by the file's cells; None for a cell that is not read.
        separator: ``,``, tab or ``|``.
        keys: Columns by which contacts are matched.
    """

    columns: Sequence[str | None]
    separator: str
    keys: Sequence[str]

    def for_list(self, list_id: str, action: ImportAction) -> str:
        """The map file of an ImportList. The vendor takes columns by their position, never by the header."""
        info = {"ACTION": action, "LIST_ID": list_id, "FILE_TYPE": FILE_TYPES[self.separator], "HASHEADERS": "true"}
        sync = "".join(f"<SYNC_FIELD>{element('NAME', name)}</SYNC_FIELD>" for name in self.keys)
        dates = element("LIST_DATE_FORMAT", "mm/dd/yyyy")
        return (
            f"<LIST_IMPORT><LIST_INFO>{elements(info)}{dates}</LIST_INFO>"
            f"<SYNC_FIELDS>{sync}</SYNC_FIELDS>{self._mapping()}</LIST_IMPORT>"
        )

    def for_table(self, table_id: str) -> str:
        """The map file of an ImportTable."""
        info = {
            "ACTION": "ADD_AND_UPDATE",
            "TABLE_ID": table_id,
            "FILE_TYPE": FILE_TYPES[self.separator],
            "HASHEADERS": "true",
        }
        return f"<TABLE_IMPORT><TABLE_INFO>{elements(info)}</TABLE_INFO>{self._mapping()}</TABLE_IMPORT>"

    def _mapping(self) -> str:
        rows = (
            f"<COLUMN>{elements({'INDEX': at, 'NAME': name, 'INCLUDE': 'true'})}</COLUMN>"
            for at, name in enumerate(self.columns, 1)
            if name is not None
        )
        return f"<MAPPING>{''.join(rows)}</MAPPING>"


@dataclass(frozen=True, slots=True)
class Export:
    """What to export of a database.

    Attributes:
        list_id: Database, query or contact list.
        kind: Which contacts.
        columns: Which columns, in order.
        since: Only contacts that were changed at or after this instant; None for all. The API user must be on GMT.
        until: Only those changed at or before this instant.
    """

    list_id: str
    kind: ExportType
    columns: Sequence[str]
    since: datetime | None = None
    until: datetime | None = None

    def request(self) -> str:
        """The XML within ``ExportList``."""
        facts = {
            "LIST_ID": self.list_id,
            "EXPORT_TYPE": self.kind,
            "EXPORT_FORMAT": "CSV",
            # Without it the organisation's own setting counts, which nobody here knows.
            "FILE_ENCODING": "UTF-8",
            "LIST_DATE_FORMAT": "mm/dd/yyyy",
        }
        for name, instant in (("DATE_START", self.since), ("DATE_END", self.until)):
            if instant is not None:
                facts[name] = instant.astimezone(UTC).strftime(_DATE_FORM)
        columns = "".join(element("COLUMN", name) for name in self.columns)
        return f"{elements(facts)}<EXPORT_COLUMNS>{columns}</EXPORT_COLUMNS>"


async def begin_import(
    client: Client, operation: Literal["ImportList", "ImportTable"], *, map_file: str, source: str
) -> Begun:
    """Begin to import a file that lies in the folder ``upload``.

    Raises:
        LandbridgeError: See ``Client.call``.
    """
    asked = elements({"MAP_FILE": map_file, "SOURCE_FILE": source, "FILE_ENCODING": "UTF-8"})
    result, has_twin = await client.call_and_tell(operation, asked)
    return Begun(text_of(result, "JOB_ID"), may_have_twin=has_twin)


async def export(client: Client, wanted: Export, *, patience: Patience) -> tuple[FinishedJob, str]:
    """Export contacts into a file of the folder ``download``; gives the job and the file's name.

    Raises:
        LandbridgeError: See ``finished``.
    """
    result = await client.call("ExportList", wanted.request())
    name = text_of(result, "FILE_PATH").rpartition("/")[2]
    return await finished(client, "ExportList", result, patience=patience), name


async def finished(client: Client, operation: str, result: Element, *, patience: Patience) -> FinishedJob:
    """Wait for the job that an operation has begun.

    Raises:
        DataError: LB-4632; it ended in an error.
        TransientError: LB-3222; it did not end in time.
        LandbridgeError: See ``Client.call``.
    """
    return await ended(client, operation, text_of(result, "JOB_ID"), patience=patience)


async def ended(client: Client, operation: str, job: str, *, patience: Patience) -> FinishedJob:
    """Wait for the end of the job with this id.

    Raises:
        LandbridgeError: See ``finished``.
    """
    end = time.monotonic() + patience.timeout_s
    wait_s = _FIRST_WAIT_S
    while True:
        status = await client.call("GetJobStatus", element("JOB_ID", job))
        patience.progress()
        state = text_of(status, "JOB_STATUS").upper()
        if state == "COMPLETE":
            return FinishedJob(job, named_values(status, "PARAMETERS/PARAMETER"))
        if state in _ENDED_BADLY:
            raise DataError(
                "LB-4632",
                f"{operation} job {job} ended as {state}: {text_of(status, 'JOB_DESCRIPTION')[:200]}",
                hint="Look at the job in the platform (Resources, Data Jobs). A column that does not exist is the "
                "usual cause; `landbridge check` finds it.",
            )
        if time.monotonic() >= end:
            raise TransientError(
                "LB-3222",
                f"{operation} job {job} is {state or 'unknown'} after {patience.timeout_s:g} s",
                hint="It may still be done. Look at it in the platform, or raise the step's jobTimeout.",
            )
        await asyncio.sleep(wait_s)
        wait_s = min(_LONGEST_WAIT_S, wait_s * _MORE)
