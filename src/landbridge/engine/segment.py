"""Batches on the disk of this machine: complete or not there, read back as they were.

A segment is a row of Arrow IPC streams in one file; a new stream begins where the columns change. It is written under
a temporary name and gets its own when it is complete and flushed to disk, so that a file with the final name is whole
however the process ended.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import pyarrow as pa

from landbridge.errors import StorageError
from landbridge.records import Batch
from landbridge.records.batch import Empties, Lazy

MAX_BYTES: Final = 64 << 30
"""A segment never grows beyond this."""

PIECE_ROWS: Final = 1024
"""Smaller batches are put together before they are written."""

_ROWS: Final = "rows"
_EMPTIES: Final = {b"landbridge": b"empties"}
_PARTIAL: Final = ".partial"


class SegmentWriter:
    """Writes one segment; leaving the block without ``complete`` removes what was written.

    Args:
        path: The segment's final name; its folder exists.
        max_bytes: The segment must not grow beyond this.
    """

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._partial = path.with_name(path.name + _PARTIAL)
        self._file: IO[bytes] = self._partial.open("wb")
        self._max_bytes = max_bytes
        self._writer: Any = None
        self._schema: pa.Schema | None = None
        self._held: list[Batch] = []
        self._held_rows = 0
        self.rows = 0
        """Number of records added so far."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._file.closed:
            with suppress(OSError):  # what is buffered may not fit the disk any more
                self._file.close()
            self._partial.unlink(missing_ok=True)

    def add(self, batch: Batch) -> None:
        """Append records.

        Raises:
            StorageError: LB-7004 beyond ``max_bytes``.
            OSError: The disk cannot take them.
        """
        if not batch.num_rows:
            return
        self.rows += batch.num_rows
        self._held.append(batch)
        self._held_rows += batch.num_rows
        if self._held_rows >= PIECE_ROWS:
            self._write_held()

    def complete(self) -> int:
        """Flush the segment to disk and give it its name; its size in bytes.

        Raises:
            OSError: The disk cannot take it.
        """
        self._write_held()
        self._end_stream()
        self._file.flush()
        os.fsync(self._file.fileno())
        size = self._file.tell()
        self._file.close()
        self._partial.replace(self._path)
        flush_folder(self._path.parent)
        return size

    def _write_held(self) -> None:
        # Batches are laid end to end only where they have the same columns, so that no column changes its type.
        schema: pa.Schema | None = None
        group: list[pa.RecordBatch] = []
        rows = 0
        for batch in self._held:
            piece = as_arrow(batch)
            if schema is not None and not piece.schema.equals(schema, check_metadata=True):
                self._write(schema, group, rows)
                group, rows = [], 0
            schema = piece.schema
            group.append(piece)
            rows += batch.num_rows
        if schema is not None:
            self._write(schema, group, rows)
        self._held, self._held_rows = [], 0

    def _write(self, schema: pa.Schema, group: list[pa.RecordBatch], rows: int) -> None:
        if self._schema is None or not schema.equals(self._schema, check_metadata=True):
            self._end_stream()
            self._schema = schema
            self._writer = pa.ipc.new_stream(self._file, schema)
        joined = [pa.concat_arrays([piece.column(at) for piece in group]) for at in range(len(schema))]
        self._writer.write_batch(pa.record_batch(joined, schema=schema), custom_metadata={_ROWS: str(rows)})
        if self._file.tell() > self._max_bytes:
            raise StorageError(
                "LB-7004",
                f"the job had to keep more than {self._max_bytes >> 20:,} MB of records on disk",
                hint="Read less at a time, for example with a condition in the reader, and run again.",
            )

    def _end_stream(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = self._schema = None


def read_segment(path: Path) -> Iterator[Batch]:
    """The records of a segment, in batches of about a thousand and more.

    Raises:
        OSError: It is not there, or cannot be read.
    """
    with path.open("rb") as file:
        yield from _read(file, path.stat().st_size)


def to_bytes(batch: Batch) -> bytes:
    """A batch as the content of a small segment."""
    buffer = BytesIO()
    record_batch = as_arrow(batch)
    with pa.ipc.new_stream(buffer, record_batch.schema) as writer:
        writer.write_batch(record_batch, custom_metadata={_ROWS: str(batch.num_rows)})
    return buffer.getvalue()


def from_bytes(content: bytes) -> Batch:
    """The batch that ``to_bytes`` wrote."""
    return next(_read(BytesIO(content), len(content)))


def as_arrow(batch: Batch) -> pa.RecordBatch:
    """The columns of a batch; those that only mark empty objects carry that mark."""
    markers = batch.markers
    columns = {name: batch.column(name) for name in batch.names}
    fields = [
        pa.field(name, column.type, metadata=_EMPTIES if name in markers else None) for name, column in columns.items()
    ]
    return pa.record_batch(list(columns.values()), schema=pa.schema(fields))


def flush_folder(folder: Path) -> None:
    """Flush the names of a folder's files to disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(file: IO[bytes], size: int) -> Iterator[Batch]:
    while file.tell() < size:
        stream = pa.ipc.open_stream(file)
        for found in stream.iter_batches_with_custom_metadata():
            record_batch, metadata = found.batch, found.custom_metadata
            columns: dict[str, pa.Array | Lazy] = {}
            for field, column in zip(record_batch.schema, record_batch.columns, strict=True):
                columns[field.name] = _marked(column) if field.metadata == _EMPTIES else column
            yield Batch(columns, int(metadata[_ROWS]))


def _marked(column: pa.Array) -> Empties:
    return Empties(partial(_same, column))


def _same(column: pa.Array) -> pa.Array:
    return column
