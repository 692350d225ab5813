"""What all readers of file stores have in common: which files, in which order, and how they are handed on."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime
from typing import Literal

import anyio.to_thread
from pydantic import field_validator

from landbridge.components.base import CutsLines, FileReader, FileStart, OpenFile, Split
from landbridge.components.datasource import file_splits, ready_files
from landbridge.components.params import ComponentParams, Param
from landbridge.components.regex import Pattern, compile_pattern
from landbridge.remote.publish import Entry, Store, is_temporary


class FileSelection(ComponentParams):
    """Parameters of every file reader."""

    file_name_regex: str = Param(
        "Regular expression that the whole file name must match; empty means all files.",
        default="",
        example=r".*\.csv",
    )
    sort_by: Literal["time", "name"] = Param("Order in which the files are read.", default="time")
    sort_order: Literal["ASC", "DESC"] = Param("Ascending or descending order.", default="ASC")
    ready_file: str | None = Param(
        "Read a file only when this one stands beside it, too: {file} is its name, {stem} the part before its first "
        "dot. Where the ready file holds a number, the file must have so many records.",
        default=None,
        example="{stem}.ready",
    )

    @field_validator("file_name_regex")
    @classmethod
    def _compiles(cls, value: str) -> str:
        compiled(value)
        return value

    @field_validator("ready_file")
    @classmethod
    def _names_the_file(cls, value: str | None) -> str | None:
        if value:
            ready_files.check_pattern(value)
        return value or None

    @field_validator("sort_by", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("sort_order", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value


def compiled(pattern: str) -> Pattern:
    """A Java regular expression for file names, compiled.

    Raises:
        ValueError: It is not a regular expression, or uses what only Java has.
    """
    try:
        return compile_pattern(pattern)
    except ValueError as error:
        glob = r" (a regular expression for all .csv files is .*\.csv)" if pattern.startswith("*") else ""
        raise ValueError(f"{error}{glob}") from None


def selected(
    entries: Iterable[Entry], selection: FileSelection, *, changed_since: datetime | None = None
) -> list[Entry]:
    """The entries to read, in order.

    Args:
        entries: What the store lists.
        selection: Name pattern and order; files of the same time are ordered by name.
        changed_since: Leave out files that were there, with their ready files, before this instant.
    """
    listed = list(entries)
    times = _times(listed, selection)
    pattern = compiled(selection.file_name_regex) if selection.file_name_regex else None
    chosen = [
        entry
        for entry in listed
        if entry.name in times
        and not is_temporary(entry.name)
        and (pattern is None or pattern.fullmatch(entry.name.rpartition("/")[2]))
        and (changed_since is None or times[entry.name] >= changed_since)
    ]
    if selection.sort_by == "name":
        chosen.sort(key=lambda entry: entry.name, reverse=selection.sort_order == "DESC")
    else:
        chosen.sort(key=lambda entry: (entry.modified, entry.name), reverse=selection.sort_order == "DESC")
    return chosen


async def to_read(store: Store, reader: FileReader) -> Sequence[Entry]:
    """The files of a store that a reader reads in this job, in order: those that match and are new."""
    listed = await store.list()
    if reader.history is None:
        return selected(listed, reader.params, changed_since=reader.since)
    matching, times = selected(listed, reader.params), _times(listed, reader.params)
    known = [replace(entry, modified=times[entry.name]) for entry in matching]
    # The choice is kept on disk before the first file is read.
    chosen = {entry.name for entry in await anyio.to_thread.run_sync(reader.history.choose, known)}
    return [entry for entry in matching if entry.name in chosen]


def _times(entries: Iterable[Entry], selection: FileSelection) -> dict[str, datetime]:
    """Since when each file that may be read has been there, by name."""
    if selection.ready_file:
        return ready_files.completed(entries, selection.ready_file)
    return {entry.name: entry.modified for entry in entries}


class StoreReader(FileReader):
    """A reader of the files in a store; it only says how the store is opened."""

    @abstractmethod
    def connect(self) -> AbstractAsyncContextManager[Store]:
        """Open the store."""

    async def files(self) -> AsyncGenerator[OpenFile]:
        """Yield the matching files in order; the store is closed when the last one is read."""
        async with self.connect() as store:
            if self.split is not None:
                for piece in file_splits.pieces_of(self.split):
                    yield await file_splits.opened(store, piece)
                return
            for entry in await to_read(store, self):
                records = await self._told(store, entry)
                start = FileStart(name=entry.name, modified=entry.modified, size=entry.size, records=records)
                yield OpenFile(start=start, chunks=store.read(entry.name))

    async def splits(self, *, target: int, parser: CutsLines | None) -> list[Split]:
        """Divide the files, and large ones where they can be cut; see ``Splittable``."""
        async with self.connect() as store:
            entries = await to_read(store, self)
            told = {entry.name: await self._told(store, entry) for entry in entries}
        if any(number is not None for number in told.values()):
            parser = None  # only a whole file can be compared with its number of records
        return await file_splits.divided(self.connect(), entries, target=target, parser=parser, told=told)

    async def _told(self, store: Store, entry: Entry) -> int | None:
        pattern = self.params.ready_file
        return await ready_files.told_records(store, entry.name, pattern) if pattern else None
