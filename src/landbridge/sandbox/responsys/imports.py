"""Import jobs of the emulated Connect: a file from the folder ``upload``, merged into the list."""

from __future__ import annotations

import asyncio
import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from landbridge.sandbox.responsys.definitions import ImportJob, beside
from landbridge.sandbox.responsys.lists import FIELDS, MATCHED, OWN_FIELDS, STATUS, Members
from landbridge.sandbox.responsys.packing import Unpackable, unpacked
from landbridge.sandbox.vendor import Frame

UPLOAD: Final = "upload"
ARCHIVE: Final = "archive"
_ROWS_AT_ONCE: Final = 250
_REFUSED_SHARE: Final = 100
"""With the fault ``partial_failure`` one row of so many is refused."""

_REASONS: Final = 5


class ImportFailed(Exception):
    """A run ends without having imported anything.

    Args:
        reason: In words.
        keeps_file: Whether the file stays where it is; files that are empty, bad or of another count are removed.
    """

    def __init__(self, reason: str, *, keeps_file: bool = False) -> None:
        super().__init__(reason)
        self.keeps_file = keeps_file


@dataclass(frozen=True, slots=True)
class FileSet:
    """A data file, and the files beside it that the job wants."""

    data: Path
    count: Path | None
    ready: Path | None

    @property
    def files(self) -> list[Path]:
        """All of them."""
        return [path for path in (self.data, self.count, self.ready) if path is not None]

    @property
    def is_complete(self) -> bool:
        """Whether the job can begin: without a ready file it begins as soon as the data file is there."""
        return all(path.is_file() for path in (self.data, self.ready) if path is not None)


def waiting(job: ImportJob, folder: Path) -> list[FileSet]:
    """The files in a folder that a job would import, in the order of their names."""
    names = [path.name for path in folder.iterdir() if path.is_file() and fnmatchcase(path.name, job.file_pattern)]
    patterns = [pattern for pattern in (job.count_file, job.ready_file) if pattern]
    companions = {beside(pattern, name) for name in names for pattern in patterns}

    def path(pattern: str, name: str) -> Path | None:
        return folder / beside(pattern, name) if pattern else None

    return [
        FileSet(folder / name, path(job.count_file, name), path(job.ready_file, name))
        for name in sorted(names)
        if name not in companions and not name.startswith(".")
    ]


async def run_import(
    job: ImportJob, files: FileSet, *, frame: Frame, members: Members, empty_cells_clear: bool
) -> Mapping[str, object]:
    """Import one file; gives what the result of the run tells.

    Raises:
        ImportFailed: Nothing was imported.
    """
    try:
        content = frame.broken("import", files.data.read_bytes())
    except FileNotFoundError:
        raise ImportFailed("the file is gone") from None
    try:
        text = unpacked(content, job.packing).decode(job.charset)
    except (Unpackable, UnicodeDecodeError) as error:
        reason = str(error) if isinstance(error, Unpackable) else f"the file is not {job.charset} text"
        raise ImportFailed(reason) from None
    header, rows = _rows(job, text)
    if not rows:
        raise ImportFailed("the file is empty")
    expected = _count(files)
    if expected is not None and expected != len(rows):
        raise ImportFailed(f"the file has {len(rows):,} rows, the count file says {expected:,}")
    columns = _columns(job, header)
    refuses = frame.strike("partial_failure", "import") is not None
    counts: Counter[str] = Counter(rows=len(rows))
    reasons: Counter[str] = Counter()
    for number, row in enumerate(rows):
        if number % _ROWS_AT_ONCE == 0:
            await asyncio.sleep(0)
        if refuses and number % _REFUSED_SHARE == 0:
            outcome = "MERGEFAILED: Record 1 = The record is locked\r\n"
        else:
            outcome = _merged(job, members, columns, row, empty_cells_clear=empty_cells_clear)
        if not outcome.startswith("MERGEFAILED"):
            counts[outcome] += 1
            continue
        reason = outcome.partition(" = ")[2].strip()
        counts["notMatched" if reason == "No match found" else "rejected"] += 1
        reasons[reason] += 1
    return {**counts, "reasons": dict(reasons.most_common(_REASONS))}


def _rows(job: ImportJob, text: str) -> tuple[Sequence[str], list[list[str]]]:
    reader = csv.reader(
        io.StringIO(text.removeprefix("\ufeff"), newline=""),
        delimiter=job.separator,
        quotechar=job.enclosure or None,
        quoting=csv.QUOTE_MINIMAL if job.enclosure else csv.QUOTE_NONE,
    )
    rows: Iterator[list[str]] = (row for row in reader if row)
    try:
        header = next(rows, []) if job.has_header else job.columns
        return header, list(rows)
    except csv.Error as error:
        raise ImportFailed(f"the file cannot be read: {error}") from None


def _count(files: FileSet) -> int | None:
    if files.count is None:
        return None
    try:
        return int(files.count.read_text())
    except FileNotFoundError:
        raise ImportFailed(f"the count file {files.count.name} is missing", keeps_file=True) from None
    except ValueError:
        raise ImportFailed(f"the count file {files.count.name} does not hold a number") from None


def _columns(job: ImportJob, header: Sequence[str]) -> list[str | None]:
    """The list's column for each cell of a row; None for cells that are left out."""
    columns = [job.mapping.get(name) if job.mapping else name for name in header]
    unknown = [name for name in columns if name is not None and name not in (*FIELDS, *OWN_FIELDS)]
    if unknown:
        raise ImportFailed(f"{unknown[0]} is not a column of the list", keeps_file=True)
    missing = [name for name in job.mapping if name not in header]
    if missing:
        raise ImportFailed(f"the file has no column {missing[0]}", keeps_file=True)
    if job.match_column not in columns or job.match_column not in MATCHED:
        raise ImportFailed(f"members cannot be matched by {job.match_column}", keeps_file=True)
    return columns


def _merged(
    job: ImportJob, members: Members, columns: Sequence[str | None], row: Sequence[str], *, empty_cells_clear: bool
) -> str:
    """Merge a row; gives ``inserted``, ``updated``, ``unchanged``, or a text that begins with MERGEFAILED."""
    if len(row) != len(columns):
        return "MERGEFAILED: Record 1 = Wrong number of columns\r\n"
    values = {
        name: value
        for name, value in zip(columns, row, strict=True)
        if name is not None and (value or (empty_cells_clear and name != STATUS))
    }
    before = len(members.records)
    outcome = members.merge(list(values), list(values.values()), job.rule)
    if outcome.startswith("MERGEFAILED"):
        return outcome
    if len(members.records) > before:
        return "inserted"
    return "updated" if job.update_on_match == "REPLACE_ALL" else "unchanged"
