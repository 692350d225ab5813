"""Files that a formatter writes: one, or several parts where ``maxFileSize`` asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa

from landbridge.components.base import CHUNK_BYTES, FileEnd, FileEvent, FileStart
from landbridge.records import columns as col

MEGABYTE = 1_000_000


class Parts:
    """Puts rows of text into files, a new part before ``max_bytes`` would be exceeded.

    The first part has the plain name, the others a number before the extension: ``users.csv``, ``users_2.csv``.
    A row longer than ``max_bytes`` gets a part of its own.

    Args:
        name: File name; may hold ``/``.
        head: Text that begins every part.
        foot: Text that ends every part.
        separator: Text before each row but a part's first.
        max_bytes: Limit of a part's size in bytes; None for one file.
    """

    def __init__(
        self,
        name: str,
        *,
        head: bytes = b"",
        foot: bytes = b"",
        separator: bytes = b"",
        max_bytes: int | None = None,
    ) -> None:
        self._name = name
        self._head = head
        self._foot = foot
        self._separator = separator
        self._max_bytes = max_bytes
        self._number = 0
        self._open = False
        self._size = 0
        self._records = 0
        self._pending: list[bytes | memoryview] = []
        self._pending_bytes = 0

    def rows(self, texts: pa.Array) -> Iterator[FileEvent]:
        """Write one row for each string of ``texts``, which begin with the separator."""
        start = 0
        while start < len(texts):
            if not self._open:
                yield from self._begin()
            stop = self._fitting(texts, start)
            if stop == start and self._records:
                yield from self._finish()
                continue
            stop = max(stop, start + 1)
            data = col.bytes_of(texts.slice(start, stop - start))
            if not self._records:
                data = data[len(self._separator) :]
            self._records += stop - start
            yield from self._append(data)
            start = stop

    def block(self, data: bytes | memoryview, records: int) -> Iterator[FileEvent]:
        """Write rows that are one text already, into one part whatever its size; there is no separator."""
        if records:
            if not self._open:
                yield from self._begin()
            self._records += records
            yield from self._append(data)

    def end(self, *, create_empty: bool) -> Iterator[FileEvent]:
        """Complete the last part; with ``create_empty`` write a file even though there was no row."""
        if create_empty and not self._number:
            yield from self._begin()
        if self._open:
            yield from self._finish()

    def _fitting(self, texts: pa.Array, start: int) -> int:
        if self._max_bytes is None:
            return len(texts)
        _, offsets, _ = texts.buffers()
        ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
        room = self._max_bytes - self._size - len(self._foot)
        return int(np.searchsorted(ends, int(ends[start]) + room, side="right")) - 1

    def _begin(self) -> Iterator[FileEvent]:
        self._number += 1
        self._open = True
        self._size = self._records = 0
        yield FileStart(numbered(self._name, self._number))
        yield from self._append(self._head)

    def _append(self, data: bytes | memoryview) -> Iterator[FileEvent]:
        self._size += len(data)
        if len(data) >= CHUNK_BYTES and not self._pending:
            yield bytes(data)
            return
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes >= CHUNK_BYTES:
            yield from self._flush()

    def _flush(self) -> Iterator[FileEvent]:
        if self._pending_bytes:
            yield b"".join(self._pending)
        self._pending, self._pending_bytes = [], 0

    def _finish(self) -> Iterator[FileEvent]:
        yield from self._append(self._foot)
        yield from self._flush()
        self._open = False
        yield FileEnd(records=self._records)


def numbered(name: str, number: int) -> str:
    """The name of a part: the first has the plain name, the others a number before the extension."""
    path = PurePosixPath(name)
    return str(path) if number == 1 else str(path.with_name(f"{path.stem}_{number}{path.suffix}"))
