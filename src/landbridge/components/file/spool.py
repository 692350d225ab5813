"""A spool: cells that a formatter may have to write once more, kept on disk while the file is being sent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Any, Final, Self

import pyarrow as pa

from landbridge.components.file.cells import Cells
from landbridge.errors import StorageError

MAX_BYTES: Final = 64 << 30
"""A spool never grows beyond this."""


class Spool:
    """Cells in a temporary file without a name: gone when it is closed, however the process ends.

    The file is a row of Arrow IPC streams; a new one begins where the columns change.
    """

    def __init__(self, folder: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self._file: IO[bytes] = TemporaryFile(dir=folder)  # noqa: SIM115 - closed by __exit__
        self._max_bytes = max_bytes
        self._writer: Any = None
        self._schema: pa.Schema | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_stream()
        self._file.close()

    def add(self, cells: Cells) -> None:
        """Append a piece.

        Raises:
            StorageError: LB-7003 beyond ``max_bytes``.
        """
        if not cells.columns:
            return
        batch = pa.record_batch(list(cells.columns.values()), names=list(cells.columns))
        if self._schema is None or batch.schema != self._schema:
            self._end_stream()
            self._schema = batch.schema
            self._writer = pa.ipc.new_stream(self._file, self._schema)
        self._writer.write_batch(batch)
        if self._file.tell() > self._max_bytes:
            raise StorageError(
                "LB-7003",
                f"more than {self._max_bytes >> 30} GB had to be kept on disk, because the columns are not known",
                hint="Name the columns with the parameter `columns` of file.format.dsv; then nothing is kept.",
            )

    def pieces(self) -> Iterator[Cells]:
        """All pieces from the first on."""
        self._end_stream()
        end = self._file.seek(0, 2)
        self._file.seek(0)
        while self._file.tell() < end:
            for batch in pa.ipc.open_stream(self._file):
                yield Cells(batch.num_rows, dict(zip(batch.schema.names, batch.columns, strict=True)))

    def _end_stream(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = self._schema = None
