"""What all readers of file stores have in common: their parameters, and how files are handed on."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Literal

from pydantic import field_validator

from landbridge.components.base import ChosenFile, CutsLines, FileReader, FileStart, OpenFile, Split
from landbridge.components.datasource import file_splits, ready_files
from landbridge.components.datasource.file_selection import as_it_is, compiled, to_read
from landbridge.components.params import ComponentParams, Param
from landbridge.remote.publish import Entry, Store

_LISTING_LASTS_S: Final = 30.0
"""How long a listing tells whether files are still the ones that were complete."""


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
        "dot. Where the ready file holds a number, the file must have so many records; where it does not, it must not "
        "be older than the file.",
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


class StoreReader(FileReader):
    """A reader of the files in a store; it only says how the store is opened."""

    _listing: tuple[float, Sequence[Entry]] | None = None
    """What the store holds, and when it was asked last, in seconds of a monotonic clock."""

    @abstractmethod
    def connect(self) -> AbstractAsyncContextManager[Store]:
        """Open the store."""

    async def files(self) -> AsyncGenerator[OpenFile]:
        """Yield the matching files in order; the store is closed when the last one is read."""
        async with self.connect() as store:
            if self.split is not None:
                for piece in file_splits.pieces_of(self.split):
                    whole = None if piece.end is not None else await self._present(store, piece.file)
                    yield await file_splits.opened(store, piece if whole is None else file_splits.piece_of(whole))
                return
            for chosen in await self._choice(store):
                file = await self._present(store, chosen)
                entry = file.entry
                start = FileStart(name=entry.name, modified=entry.modified, size=entry.size, records=file.records)
                yield OpenFile(start=start, chunks=store.read(entry.name))

    async def splits(self, *, target: int, parser: CutsLines | None) -> list[Split]:
        """Divide the files, and large ones where they can be cut; see ``Splittable``."""
        async with self.connect() as store:
            files = await self._choice(store)
        told = {file.entry.name: file.records for file in files}
        if any(number is not None for number in told.values()):
            parser = None  # only a whole file can be compared with its number of records
        entries = [file.entry for file in files]
        return await file_splits.divided(self.connect(), entries, target=target, parser=parser, told=told)

    async def _present(self, store: Store, file: ChosenFile) -> ChosenFile:
        """The file as it is now, where a ready file tells whether it is complete."""
        if not self.params.ready_file:
            return file
        now = time.monotonic()
        if self._listing is None or now - self._listing[0] > _LISTING_LASTS_S:
            self._listing = (now, await store.list())
        return await as_it_is(store, self._listing[1], file, self.params)

    async def _choice(self, store: Store) -> Sequence[ChosenFile]:
        return await to_read(store, self.params, self.services, since=self.since, history=self.history)
