"""Files divided among processes: several files to a part, or parts of large files where they can be cut."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Final, Protocol, runtime_checkable

import anyio.to_thread
import msgspec

from landbridge.components.base import ChosenFile, Cut, CutsLines, FileStart, OpenFile, Split
from landbridge.remote.publish import Entry, Store

SMALLEST_PART_BYTES: Final = 8 << 20
"""Smaller parts of a file are not worth the trouble of finding where it can be cut."""

SMALLEST_GROUP_BYTES: Final = 1 << 20
"""Files are put together until they have so much."""


@runtime_checkable
class ReadsRanges(Protocol):
    """A store that can read a part of a file without what stands before it."""

    def read_range(self, name: str, start: int, end: int, *, modified: datetime) -> AsyncGenerator[bytes]:
        """The bytes from ``start`` up to ``end`` of a file that was last changed at ``modified``."""


class Piece(msgspec.Struct, frozen=True):
    """A file or a part of one.

    Attributes:
        name: The file's name.
        size: The file's size in bytes.
        modified: When it was last changed, in UTC.
        start: Where the part begins.
        end: Where it ends; None for the whole file.
        lines: Lines that are left out before it.
        header: Text to put before it.
        records: How many records the whole file must have, where that is known.
    """

    name: str
    size: int
    modified: datetime
    start: int = 0
    end: int | None = None
    lines: int = 0
    header: bytes = b""
    records: int | None = None

    @property
    def file(self) -> ChosenFile:
        """The whole file."""
        return ChosenFile(Entry(self.name, self.size, self.modified), self.records)


def piece_of(file: ChosenFile) -> Piece:
    """A whole file as one piece."""
    entry = file.entry
    return Piece(entry.name, entry.size, entry.modified, records=file.records)


def pieces_of(split: Split) -> list[Piece]:
    """The pieces that make up a part."""
    return msgspec.convert(split["pieces"], list[Piece])


async def divided(
    connection: AbstractAsyncContextManager[Store],
    entries: Sequence[Entry],
    *,
    target: int,
    parser: CutsLines | None,
    told: Mapping[str, int | None],
) -> list[Split]:
    """Divide files into about ``target`` parts of about the same size, in their order.

    Args:
        connection: The store.
        entries: The files, in the order in which they are read.
        target: How many parts are wanted.
        parser: What reads the files, where it can read a part of one.
        told: How many records a file must have, by its name; such a file is not cut.
    """
    total = sum(entry.size for entry in entries)
    wanted_bytes = max(total // target, SMALLEST_PART_BYTES)
    pieces: list[Piece] = []
    async with connection as store:
        for entry in entries:
            cuts = await _cuts(store, entry, wanted_bytes, parser)
            pieces += _cut(entry, cuts, told.get(entry.name))
    groups = _grouped(pieces, max(total // target, SMALLEST_GROUP_BYTES))
    return [{"pieces": msgspec.to_builtins(group)} for group in groups]


async def opened(store: Store, piece: Piece) -> OpenFile:
    """A piece as a reader offers it."""
    start = FileStart(
        piece.name, modified=piece.modified, size=piece.size, lines_left_out=piece.lines, records=piece.records
    )
    if piece.end is None or not isinstance(store, ReadsRanges):
        return OpenFile(start=start, chunks=store.read(piece.name))
    content = store.read_range(piece.name, piece.start, piece.end, modified=piece.modified)
    return OpenFile(start=start, chunks=_with_header(piece.header, content))


async def _with_header(header: bytes, content: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    try:
        if header:
            yield header
        async for chunk in content:
            yield chunk
    finally:
        await content.aclose()


async def _cuts(store: Store, entry: Entry, wanted_bytes: int, parser: CutsLines | None) -> list[Cut]:
    wanted = range(wanted_bytes, entry.size - wanted_bytes // 2, wanted_bytes)
    if parser is None or not wanted or not isinstance(store, ReadsRanges):
        return []
    looking = parser.line_cuts(wanted)
    if looking is None:
        return []
    content = store.read(entry.name)
    try:
        async for chunk in content:
            if not await anyio.to_thread.run_sync(looking.feed, chunk):
                return []
    finally:
        await content.aclose()
    return looking.finish() or []


def _cut(entry: Entry, cuts: Sequence[Cut], told: int | None) -> list[Piece]:
    if not cuts:
        return [piece_of(ChosenFile(entry, told))]
    starts = [Cut(0, 0), *(cut for cut in cuts if cut.offset < entry.size)]
    ends = [*(cut.offset for cut in starts[1:]), entry.size]
    return [
        Piece(entry.name, entry.size, entry.modified, cut.offset, end, cut.lines, cut.header)
        for cut, end in zip(starts, ends, strict=True)
    ]


def _grouped(pieces: Sequence[Piece], wanted_bytes: int) -> list[list[Any]]:
    """Neighbouring pieces together until they are large enough; their order is kept."""
    groups: list[list[Any]] = []
    room = 0
    for piece in pieces:
        size = (piece.size if piece.end is None else piece.end) - piece.start
        if not groups or size > room:
            groups.append([])
            room = wanted_bytes
        groups[-1].append(piece)
        room -= size
    return groups
