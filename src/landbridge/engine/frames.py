"""A file of small values, each flushed to disk when it is appended; a torn end is cut off when the file is opened."""

from __future__ import annotations

import os
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_HEAD: Final = struct.Struct("<II")


class Frames:
    """Values in the order in which they were appended.

    A process that dies while it appends leaves a value whose length or checksum does not fit; that value was never
    confirmed to anybody, so it is cut off.

    Args:
        path: The file; made when it is missing. Its folder exists.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._places: list[tuple[int, int]] = []
        self._appending = threading.Lock()
        self._end = self._scan()
        os.ftruncate(self._descriptor, self._end)

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> bytes:
        start, size = self._places[number]
        return os.pread(self._descriptor, size, start)

    def __iter__(self) -> Iterator[bytes]:
        return (self[number] for number in range(len(self)))

    def append(self, *values: bytes) -> int:
        """Add values and flush them to disk together; the number of the first. Several threads may do so.

        Raises:
            OSError: The disk cannot take them; none of them is kept.
        """
        content = b"".join(_HEAD.pack(len(value), zlib.crc32(value)) + value for value in values)
        with self._appending:
            try:
                written = 0
                while written < len(content):
                    written += os.pwrite(self._descriptor, content[written:], self._end + written)
                os.fdatasync(self._descriptor)
            except OSError:
                os.ftruncate(self._descriptor, self._end)
                raise
            number = len(self._places)
            for value in values:
                self._places.append((self._end + _HEAD.size, len(value)))
                self._end += _HEAD.size + len(value)
        return number

    def clear(self) -> None:
        """Forget all values."""
        os.ftruncate(self._descriptor, 0)
        self._places, self._end = [], 0

    def _scan(self) -> int:
        """Find the values that are whole; gives the end of the last one."""
        end = 0
        size = os.fstat(self._descriptor).st_size
        while end + _HEAD.size <= size:
            length, checksum = _HEAD.unpack(os.pread(self._descriptor, _HEAD.size, end))
            start = end + _HEAD.size
            if start + length > size or zlib.crc32(os.pread(self._descriptor, length, start)) != checksum:
                break
            self._places.append((start, length))
            end = start + length
        return end
