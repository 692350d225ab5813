"""The lzop file format: a header, then blocks that are compressed with LZO and checked one by one.

The layout is that of the lzop program (versions 0.9 to 1.04), as its files and hadoop-lzo's reader show it:
numbers are big-endian, an uncompressed length of zero ends the file, and a block that does not shrink is
stored as it is, without the checksum of its compressed form. hadoop-lzo's index lists the blocks' positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import lzo
from isal.isal_zlib import adler32, crc32

from landbridge.components.file.codec import Source, blocks, damaged, foreign, truncated
from landbridge.errors import DataError

MAGIC = b"\x89LZO\x00\r\n\x1a\n"
BLOCK_BYTES = 256 * 1024
"""Block size of the lzop program; the readers of hadoop-lzo are built for it."""

_VERSION, _LIBRARY_VERSION, _NEEDED_VERSION = 0x1030, 0x20A0, 0x0940
_NEWEST_KNOWN_VERSION = 0x1040
_LZO1X_1, _LEVEL = 1, 5
_LZO1X_METHODS = (1, 2, 3)
_MODE = 0o100644
_LARGEST_BLOCK = 64 << 20  # the lzop program's own limit
_LARGEST_EXTRA_FIELD = 1 << 20
_SPLIT_MARK = 0xFFFFFFFF
_KIND = "an lzop file"

_ADLER32_PLAIN, _ADLER32_PACKED, _CRC32_PLAIN, _CRC32_PACKED = 0x1, 0x2, 0x100, 0x200
_EXTRA_FIELD, _MULTIPART, _FILTER, _HEADER_CRC32 = 0x40, 0x400, 0x800, 0x1000
_UNIX = 0x03000000

_Checksum = Callable[[bytes], int]


def encode(chunks: Iterable[bytes], *, modified: datetime | None, positions: list[int]) -> Iterator[bytes]:
    """The lzop file of the content ``chunks``.

    Args:
        chunks: The content in pieces of any size.
        modified: Time that the lzop program gives to the expanded file.
        positions: Receives the position of every block in the result, in bytes.
    """
    header = _header(modified)
    yield header
    position = len(header)
    for block in blocks(chunks, size=BLOCK_BYTES):
        packed = lzo.compress(block, 1, False)
        if len(packed) >= len(block):
            packed = block
        positions.append(position)
        position += 12 + len(packed)
        yield _u32(len(block), len(packed), adler32(block)) + packed
    yield _u32(0)


def index(positions: Iterable[int]) -> bytes:
    """The hadoop-lzo index of an lzop file: the blocks' positions as 64-bit numbers."""
    return b"".join(position.to_bytes(8, "big") for position in positions)


def decode(source: Source, *, name: str) -> Iterator[bytes]:
    """The content of the lzop file ``name``; of all of them, where several follow each other.

    What follows the last one stays in ``source``.

    Raises:
        DataError: LB-4401 damaged, LB-4402 ends too early, LB-4403 not an lzop file, LB-4406 made with a
            feature that is not supported.
    """
    magic = source.take(len(MAGIC))
    if not MAGIC.startswith(magic):
        raise foreign(name, kind=_KIND)
    is_first = True
    while is_first or (magic and MAGIC.startswith(magic)):
        if magic != MAGIC:
            raise truncated(name, offset=source.offset, kind=_KIND)
        reader = _Reader(source, name)
        yield from reader.blocks(reader.header())
        magic = source.take(len(MAGIC))
        is_first = False
    source.give_back(magic)


@dataclass(frozen=True, slots=True)
class _Checks:
    """The checksums of each block, in the order in which they stand in front of it."""

    plain: tuple[_Checksum, ...]
    packed: tuple[_Checksum, ...]


class _Reader:
    """Reads one lzop file from a source that may hold several."""

    def __init__(self, source: Source, name: str) -> None:
        self._source = source
        self._name = name

    def header(self) -> _Checks:
        """Read the header after the magic and check it."""
        header = bytearray()

        def number(size: int) -> int:
            part = self._exactly(size)
            header.extend(part)
            return int.from_bytes(part, "big")

        version = number(2)
        number(2)  # version of the LZO library
        has_newer_fields = version >= _NEEDED_VERSION
        needed = number(2) if has_newer_fields else version
        method = number(1)
        if has_newer_fields:
            number(1)  # level
        flags = number(4)
        if flags & _FILTER:
            number(4)
        number(12 if has_newer_fields else 8)  # mode and time
        number(number(1))  # name
        checksum: _Checksum = crc32 if flags & _HEADER_CRC32 else adler32
        self._check(bytes(header), (checksum,), self._numbers(1), "the checksum of its header does not match")
        if flags & _EXTRA_FIELD:
            self._skip_extra_field(checksum)
        if needed > _NEWEST_KNOWN_VERSION:
            raise self._unsupported("a newer version of the format")
        if method not in _LZO1X_METHODS:
            raise self._unsupported(f"compression method {method}")
        if flags & _FILTER:
            raise self._unsupported("a filter")
        if flags & _MULTIPART:
            raise self._unsupported("splitting over several files")
        return _Checks(
            plain=_chosen(flags, (_ADLER32_PLAIN, adler32), (_CRC32_PLAIN, crc32)),
            packed=_chosen(flags, (_ADLER32_PACKED, adler32), (_CRC32_PACKED, crc32)),
        )

    def blocks(self, checks: _Checks) -> Iterator[bytes]:
        """Read all blocks."""
        while size := self._numbers(1)[0]:
            if size == _SPLIT_MARK:
                raise self._unsupported("splitting over several files")
            packed_size = self._numbers(1)[0]
            if size > _LARGEST_BLOCK or not 0 < packed_size <= size:
                raise self._damaged("the length of a block is impossible")
            is_stored = packed_size == size
            plain_sums = self._numbers(len(checks.plain))
            packed_sums = () if is_stored else self._numbers(len(checks.packed))
            block = self._exactly(packed_size)
            if not is_stored:
                self._check(block, checks.packed, packed_sums, "the checksum of a compressed block does not match")
                block = self._expanded(block, size)
            self._check(block, checks.plain, plain_sums, "the checksum of a block does not match")
            yield block

    def _expanded(self, packed: bytes, size: int) -> bytes:
        try:
            block: bytes = lzo.decompress(packed, False, size)
        except lzo.error:
            raise self._damaged("a block cannot be expanded") from None
        if len(block) != size:
            raise self._damaged("a block is shorter than announced")
        return block

    def _skip_extra_field(self, checksum: _Checksum) -> None:
        length = self._numbers(1)[0]
        if length > _LARGEST_EXTRA_FIELD:
            raise self._damaged("the length of its extra header field is impossible")
        field = _u32(length) + self._exactly(length)
        self._check(field, (checksum,), self._numbers(1), "the checksum of its extra header field does not match")

    def _numbers(self, count: int) -> tuple[int, ...]:
        part = self._exactly(4 * count)
        return tuple(int.from_bytes(part[at : at + 4], "big") for at in range(0, len(part), 4))

    def _exactly(self, count: int) -> bytes:
        part = self._source.take(count)
        if len(part) < count:
            raise truncated(self._name, offset=self._source.offset, kind=_KIND)
        return part

    def _check(self, part: bytes, checks: tuple[_Checksum, ...], wanted: tuple[int, ...], cause: str) -> None:
        if tuple(check(part) for check in checks) != wanted:
            raise self._damaged(cause)

    def _damaged(self, cause: str) -> DataError:
        return damaged(self._name, offset=self._source.offset, cause=cause)

    def _unsupported(self, feature: str) -> DataError:
        return DataError(
            "LB-4406",
            f'"{self._name}" is made with a feature of lzop that is not supported: {feature}',
            hint="Ask for a file made by a plain call of lzop.",
        )


def _chosen(flags: int, *options: tuple[int, _Checksum]) -> tuple[_Checksum, ...]:
    return tuple(checksum for flag, checksum in options if flags & flag)


def _header(modified: datetime | None) -> bytes:
    seconds = max(0, int(modified.timestamp())) if modified else 0
    header = b"".join(
        [
            _VERSION.to_bytes(2, "big"),
            _LIBRARY_VERSION.to_bytes(2, "big"),
            _NEEDED_VERSION.to_bytes(2, "big"),
            bytes((_LZO1X_1, _LEVEL)),
            _u32(_ADLER32_PLAIN | _UNIX, _MODE, seconds & 0xFFFFFFFF, seconds >> 32),
            bytes(1),  # no name: it would differ between copies of the same content
        ]
    )
    return MAGIC + header + _u32(adler32(header))


def _u32(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(4, "big") for number in numbers)
