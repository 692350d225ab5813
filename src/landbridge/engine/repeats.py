"""Identifiers that occur more than once in a stream of any length, found without holding the stream in memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final

import numpy as np

from landbridge.records import Batch, columns as col
from landbridge.records.path import parse, write

PASS_BYTES: Final = 32 << 20
"""What one pass over the identifiers takes of memory; more of them take more passes."""


class Repeats:
    """Counts identifiers that occurred before. Each is kept as 8 bytes in a temporary file without a name.

    Args:
        folder: Where that file is made.
        pass_bytes: What one pass over it may take of memory.
    """

    def __init__(self, folder: Path, *, pass_bytes: int = PASS_BYTES) -> None:
        self._folder = folder
        self._pass_bytes = pass_bytes
        self._file: IO[bytes] | None = None
        self._size = 0

    def add(self, texts: Iterable[str | None]) -> None:
        """Take note of identifiers; None is none."""
        found = np.fromiter((hash(text) for text in texts if text is not None), np.int64).view(np.uint64)
        if not found.size:
            return
        if self._file is None:
            self._file = TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed by close
        self._file.write(found.tobytes())
        self._size += found.nbytes

    def count(self) -> int:
        """How many identifiers had occurred before."""
        if self._file is None:
            return 0
        passes = -(-self._size // self._pass_bytes)
        return sum(self._repeated(number, passes) for number in range(passes))

    def close(self) -> None:
        """Remove the temporary file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _repeated(self, number: int, passes: int) -> int:
        """Repetitions among those identifiers whose turn it is in this pass."""
        if self._file is None:
            return 0
        self._file.seek(0)
        kept = []
        while piece := self._file.read(1 << 20):
            values = np.frombuffer(piece, np.uint64)
            kept.append(values[values % np.uint64(passes) == number] if passes > 1 else values)
        values = np.concatenate(kept)
        return int(values.size - np.unique(values).size)


def texts_of(batch: Batch, field: str) -> list[str | None]:
    """The values of an identifier, whose name may be spelt in upper or lower case."""
    written = write(parse(field))
    same = [name for name in batch.names if name.lower() == written.lower()]
    if not same and not any(written.startswith(f"{name}.") for name in batch.names):
        return []
    texts: list[str | None] = col.plain_text(batch.get(parse(same[0] if same else written))).to_pylist()
    return texts
