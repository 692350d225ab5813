"""ImportList: a source file and a map file from the folder ``upload``, read into a database."""

from __future__ import annotations

import asyncio
import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from landbridge.sandbox.silverpop.databases import EMAIL, Database, is_email, stored_value
from landbridge.sandbox.silverpop.envelope import Element, Fault, Result, flag_of, tag, text_of
from landbridge.sandbox.silverpop.jobs import JobFailed

if TYPE_CHECKING:
    from landbridge.sandbox.silverpop.vendor import Silverpop

UPLOAD, DOWNLOAD = "upload", "download"
SEPARATORS: Final = {"0": ",", "1": "\t", "2": "|"}
ENCODINGS: Final = {"UTF-8": "utf-8", "ISO-8859-1": "latin-1"}
_OPT_OUT_ONLY: Final = frozenset(("Opted Out", "Opted Out Date", "Opted Out Details"))
_ROWS_AT_ONCE: Final = 250
_REFUSED_SHARE: Final = 100
"""With the fault ``partial_failure`` one row of so many is refused."""


@dataclass(frozen=True, slots=True)
class ImportMap:
    """A map file.

    Attributes:
        target: LIST_ID or TABLE_ID.
        action: CREATE, ADD_ONLY, UPDATE_ONLY, ADD_AND_UPDATE or OPT_OUT.
        separator: Between two cells.
        has_header: The first line is skipped, never matched.
        sync: Columns by which contacts are matched in a flexible database.
        columns: Names of the mapped columns by their position in the file, counted from 0.
        declared: Column types that the map file declares, by name, for CREATE.
        name: LIST_NAME, for CREATE.
        contact_lists: Contact lists that imported contacts join.
    """

    target: str
    action: str
    separator: str
    has_header: bool
    sync: tuple[str, ...]
    columns: dict[int, str]
    declared: dict[str, int]
    name: str
    contact_lists: tuple[str, ...]


def import_list(vendor: Silverpop, request: Element) -> Result:
    """ImportList: begin the job that reads a file into a database."""
    map_file, source, encoding = files_of(vendor, request)
    mapped = read_map(map_file.read_bytes(), root="LIST_IMPORT", info="LIST_INFO", target="LIST_ID")
    if mapped.action == "CREATE":
        mapped = _created(vendor, mapped)
    database = vendor.databases[mapped.target]
    # The vendor has taken the file over once the job is begun.
    lines = source.read_bytes()

    async def work(job: str) -> Mapping[str, object]:
        return await _Import(vendor, database, mapped, job).run(decoded(lines, encoding))

    known = {"LIST_ID": database.id, "LIST_NAME": database.name}
    return Result(tag("JOB_ID", vendor.jobs.begin("ImportList", work, known)))


def files_of(vendor: Silverpop, request: Element) -> tuple[Path, Path, str]:
    """Map file, source file and the character set of an import."""
    found = []
    for name in ("MAP_FILE", "SOURCE_FILE"):
        file = text_of(request, name)
        path = vendor.frame.folder / UPLOAD / file
        if not file or "/" in file or not path.is_file():
            raise Fault(f"Unable to find the file {file} in the upload directory.")
        found.append(path)
    encoding = text_of(request, "FILE_ENCODING") or vendor.switches.organization_encoding
    if encoding not in ENCODINGS:
        raise Fault(f"FILE_ENCODING {encoding} is not valid.")
    return found[0], found[1], ENCODINGS[encoding]


def decoded(content: bytes, encoding: str) -> str:
    """The text of a source file."""
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        raise JobFailed("Error executing import of list. Details: invalid encoding") from None


def read_map(content: bytes, *, root: str, info: str, target: str) -> ImportMap:
    """Read a map file.

    Raises:
        Fault: It is none, or something in it is missing.
    """
    try:
        tree = ET.fromstring(content)  # noqa: S314 - written by a client on this machine
    except ET.ParseError:
        raise Fault("Unable to parse the map file.") from None
    facts = tree.find(info)
    mapping = tree.find("MAPPING")
    if tree.tag != root or facts is None or mapping is None:
        raise Fault(f"The map file needs {root} with {info} and MAPPING.")
    kind = text_of(facts, "FILE_TYPE", "0")
    if kind not in SEPARATORS:
        raise Fault(f"FILE_TYPE {kind} is not valid.")
    sync = tree.find("SYNC_FIELDS")
    lists = tree.find("CONTACT_LISTS")
    declared = tree.find("COLUMNS")
    return ImportMap(
        target=text_of(facts, target),
        action=text_of(facts, "ACTION"),
        separator=SEPARATORS[kind],
        has_header=flag_of(facts, "HASHEADERS", empty=True),
        sync=() if sync is None else tuple(text_of(each, "NAME") for each in sync.findall("SYNC_FIELD")),
        columns={
            int(text_of(each, "INDEX")) - 1: text_of(each, "NAME")
            for each in mapping.findall("COLUMN")
            if text_of(each, "INCLUDE", "true").lower() == "true"
        },
        declared=({text_of(each, "NAME"): int(text_of(each, "TYPE", "0")) for each in declared} if declared else {}),
        name=text_of(facts, "LIST_NAME"),
        contact_lists=() if lists is None else tuple((each.text or "").strip() for each in lists),
    )


def _created(vendor: Silverpop, mapped: ImportMap) -> ImportMap:
    columns = {name: kind for name, kind in mapped.declared.items() if name != EMAIL}
    database = vendor.databases.create(mapped.name, columns, keys=mapped.sync)
    return ImportMap(
        target=database.id,
        action="ADD_AND_UPDATE",
        separator=mapped.separator,
        has_header=mapped.has_header,
        sync=mapped.sync,
        columns=mapped.columns,
        declared={},
        name=mapped.name,
        contact_lists=mapped.contact_lists,
    )


def rows_of(text: str, separator: str, *, has_header: bool) -> Iterator[tuple[list[str], str]]:
    """The cells of every row, and the row as it stands in the file."""
    stream = io.StringIO(text, newline="")
    begun = 0
    first = has_header
    # The reader takes line by line; what it took is the row's text.
    taken: list[str] = []

    def lines() -> Iterator[str]:
        for line in stream:
            taken.append(line)
            yield line

    for cells in csv.reader(lines(), delimiter=separator):
        raw = "".join(taken[begun:])
        taken.clear()
        if first:
            first = False
            continue
        if cells:
            yield cells, raw.rstrip("\r\n")


class _Import:
    """One run of an import."""

    def __init__(self, vendor: Silverpop, database: Database, mapped: ImportMap, job: str) -> None:
        self._vendor = vendor
        self._database = database
        self._map = mapped
        self._job = job
        self._kinds = database.columns
        self._match = mapped.sync or database.keys
        self._counts: Counter[str] = Counter()
        self._seen: set[tuple[str, ...]] = set()
        self._bad: list[tuple[str, str]] = []

    async def run(self, text: str) -> Mapping[str, object]:
        """Read all rows; gives the job's parameters."""
        self._check()
        refuses = self._vendor.frame.strike("partial_failure", "ImportList") is not None
        rows = rows_of(text, self._map.separator, has_header=self._map.has_header)
        for number, (cells, raw) in enumerate(rows):
            self._counts["TOTAL_ROWS"] += 1
            if refuses and number % _REFUSED_SHARE == 0:
                self._refuse("BAD_RECORDS", raw, "the record was refused")
            else:
                self._take(cells, raw)
            if number % _ROWS_AT_ONCE == 0:
                await asyncio.sleep(0)
        return self._results()

    def _check(self) -> None:
        action = self._map.action
        if action not in ("ADD_ONLY", "UPDATE_ONLY", "ADD_AND_UPDATE", "OPT_OUT"):
            raise JobFailed(f"Error executing import of list. Details: ACTION {action}")
        if action == "OPT_OUT" and self._map.contact_lists:
            raise JobFailed("CONTACT_LISTS are not allowed with OPT_OUT.")
        allowed = set(self._kinds) | (_OPT_OUT_ONLY if action == "OPT_OUT" else set())
        if not set(self._map.columns.values()) <= allowed:
            raise JobFailed("Error executing import of list. Details: null")
        if action == "OPT_OUT":
            self._match = self._match or (EMAIL,)
        if not self._match or not set(self._match) <= set(self._map.columns.values()):
            raise JobFailed("Error executing import of list. Details: the key columns are not mapped")

    def _take(self, cells: Sequence[str], raw: str) -> None:
        try:
            values = {name: cells[at].strip() for at, name in self._map.columns.items()}
        except IndexError:
            self._refuse("BAD_RECORDS", raw, "too few columns")
            return
        if values.get(EMAIL) and not is_email(values[EMAIL]):
            self._refuse("BAD_ADDRESSES", raw, "invalid email address")
            return
        own = {name: text for name, text in values.items() if name in self._kinds}
        try:
            stored = {name: stored_value(self._kinds[name], text) for name, text in own.items()}
        except ValueError:
            self._refuse("BAD_RECORDS", raw, "invalid value")
            return
        wanted = {name: stored[name] for name in self._match}
        if not all(wanted.values()):
            self._refuse("BAD_RECORDS", raw, "no value for the key")
            return
        key = tuple(wanted.values())
        self._counts["DUPLICATES"] += key in self._seen
        self._seen.add(key)
        self._counts["TOTAL_VALID"] += 1
        self._apply(self._database.matches(wanted), stored)

    def _apply(self, found: Sequence[str], stored: Mapping[str, str]) -> None:
        action, database, details = self._map.action, self._database, f"import {self._job}"
        if action == "OPT_OUT":
            for number in found:
                database.opt_out(number, details)
                self._counts["SQL_UPDATED"] += 1
            return
        if found and action != "ADD_ONLY":
            for number in found:
                database.update(number, stored)
                if self._vendor.switches.import_resubscribes:
                    database.opt_in(number, details)
            self._counts["SQL_UPDATED"] += 1
            members = list(found)
        elif not found and action != "UPDATE_ONLY":
            members = [database.insert(stored, opted_in=True, details=details, created_from=0)]
            self._counts["SQL_ADDED"] += 1
        else:
            self._counts["NOT_ALLOWED"] += 1
            return
        for name in self._map.contact_lists:
            facts = self._vendor.contact_lists.get(name)
            if facts is not None:
                joined = [*dict.fromkeys([*facts["members"], *members])]
                self._vendor.contact_lists[name] = {**facts, "members": joined}

    def _refuse(self, count: str, raw: str, reason: str) -> None:
        self._counts[count] += 1
        self._bad.append((raw, reason))

    def _results(self) -> Mapping[str, object]:
        names = ("TOTAL_ROWS", "TOTAL_VALID", "BAD_ADDRESSES", "BAD_RECORDS", "SQL_ADDED", "SQL_UPDATED")
        counts = {name: self._counts[name] for name in (*names, "DUPLICATES", "NOT_ALLOWED")}
        return {**counts, **write_results(self._vendor, self._job, counts, self._bad, "ImportList")}


def write_results(
    vendor: Silverpop, job: str, counts: Mapping[str, int], bad: Sequence[tuple[str, str]], operation: str
) -> dict[str, str]:
    """Write ``<job>.res`` and ``<job>.err``; gives their names as job parameters. Their layout is not published."""
    with_reasons = vendor.switches.reasons_in_error_file
    lines = "".join(f"{raw}{',' + reason if with_reasons else ''}\n" for raw, reason in bad)
    folder = vendor.frame.folder / DOWNLOAD
    (folder / f"{job}.res").write_text("".join(f"{name}={value}\n" for name, value in counts.items()))
    (folder / f"{job}.err").write_bytes(vendor.frame.broken(operation, lines.encode()))
    return {"RESULTS_FILE_NAME": f"{job}.res", "ERROR_FILE_NAME": f"{job}.err"}
