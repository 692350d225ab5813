"""file.compress.gzip and file.uncompress.gzip: gzip (RFC 1952) by Intel's igzip."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from isal import igzip_lib, igzip_threaded, isal_zlib

from landbridge.components.base import CHUNK_BYTES, FileEnd, FileEvent, FileStart, FileTransform
from landbridge.components.file.codec import (
    Source,
    blocks,
    damaged,
    foreign,
    joined,
    truncated,
    without_suffix,
)
from landbridge.components.params import ComponentParams, Param
from landbridge.components.registry import component

SUFFIX = ".gz"

_MAGIC = b"\x1f\x8b"
_GZIP_WRAPPER = 31  # zlib's notation for "window of 32 KiB, with gzip header and trailer"
_MOST_AT_ONCE = 4 * CHUNK_BYTES  # a megabyte of gzip can hold a gigabyte: it must not all come out in one call


@component("file.compress.gzip", title="Compress with gzip")
class CompressGzip(FileTransform):
    """Compress each file with gzip and append ``.gz`` to its name.

    The header holds neither time nor name, so equal content gives equal files.
    """

    class Params(ComponentParams):
        """Parameters of file.compress.gzip; IdentitySync has none."""

        level: int = Param(
            "Effort from 0 (quickest) to 3 (smallest file). On CSV, 1 is as quick as 0 and 20 % smaller; "
            "the others save 1 to 3 % more.",
            default=1,
            ge=0,
            le=3,
            example=1,
        )
        threads: int = Param(
            "Threads that compress one file. Two give about 1.6 times the speed where a core is free.",
            default=1,
            ge=1,
            le=16,
            example=2,
        )

    params: Params

    def transform(self, file: FileStart, chunks: Iterator[bytes]) -> Iterator[FileEvent]:
        """Yield the compressed file."""
        yield file.renamed(file.name + SUFFIX)
        whole = blocks(chunks)
        level, threads = self.params.level, self.params.threads
        yield from joined(_compress(whole, level) if threads == 1 else _compress_threaded(whole, level, threads))
        yield FileEnd()


@component("file.uncompress.gzip", title="Expand gzip")
class UncompressGzip(FileTransform):
    """Expand gzip files and take ``.gz`` off their names.

    Concatenated members are read as one file. What follows the last member is ignored as the gzip program
    does it: zeros silently, anything else with a warning in the job's trace.
    """

    def transform(self, file: FileStart, chunks: Iterator[bytes]) -> Iterator[FileEvent]:
        """Yield the expanded file.

        Raises:
            DataError: LB-4401 damaged, LB-4402 ends too early, LB-4403 not a gzip file.
        """
        yield file.renamed(without_suffix(file.name, SUFFIX))
        expander = _Expander(file.name)
        yield from joined(expander.expand(Source(blocks(chunks))))
        if expander.ignored:
            self.services.log(
                "warning",
                f'"{file.name}": {expander.ignored} bytes after the end of the gzip data are ignored',
            )
        yield FileEnd()


def _compress(whole: Iterator[bytes], level: int) -> Iterator[bytes]:
    compressor = isal_zlib.compressobj(level, isal_zlib.DEFLATED, _GZIP_WRAPPER)
    for block in whole:
        yield compressor.compress(block)
    yield compressor.flush()


class _Sink:
    """Takes what the compression threads write until the step hands it on.

    A deque may be filled and emptied by two threads without a lock. It stays small because the queues in
    front of the threads hold one block each.
    """

    def __init__(self) -> None:
        self._parts: deque[bytes] = deque()

    def write(self, part: bytes) -> int:
        self._parts.append(bytes(part))
        return len(part)

    def flush(self) -> None:
        """Nothing to do: a file object must have it."""

    def take(self) -> Iterator[bytes]:
        while self._parts:
            yield self._parts.popleft()


def _compress_threaded(whole: Iterator[bytes], level: int, threads: int) -> Iterator[bytes]:
    sink = _Sink()
    with igzip_threaded.open(  # type: ignore[no-untyped-call]
        sink, "wb", compresslevel=level, threads=threads, block_size=CHUNK_BYTES
    ) as writer:
        for block in whole:
            writer.write(block)
            yield from sink.take()
    yield from sink.take()


class _Expander:
    """Reads the members of one gzip file."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ignored = 0
        """Bytes after the last member that are not zeros all over."""

    def expand(self, source: Source) -> Iterator[bytes]:
        yield from self._member(source, self._magic(source))
        while (magic := source.take(len(_MAGIC))) == _MAGIC:
            yield from self._member(source, magic)
        if magic == _MAGIC[:1]:
            raise truncated(self.name, offset=source.offset, kind="a gzip file")
        self._skip(source, magic)

    def _magic(self, source: Source) -> bytes:
        magic = source.take(len(_MAGIC))
        if magic != _MAGIC:
            if _MAGIC.startswith(magic):
                raise truncated(self.name, offset=source.offset, kind="a gzip file")
            raise foreign(self.name, kind="a gzip file")
        return magic

    def _member(self, source: Source, magic: bytes) -> Iterator[bytes]:
        member = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_GZIP)
        data = magic + source.take_some()
        while True:
            try:
                yield member.decompress(data, _MOST_AT_ONCE)
            except igzip_lib.IsalError as error:  # type: ignore[misc]
                cause = str(error).partition(" ")[2].lstrip("-0123456789 ").lower()
                raise damaged(self.name, offset=source.offset, cause=cause) from None
            if member.eof:
                source.give_back(member.unused_data)
                return
            data = source.take_some() if member.needs_input else b""
            if member.needs_input and not data:
                raise truncated(self.name, offset=source.offset, kind="a gzip file")

    def _skip(self, source: Source, first: bytes) -> None:
        length = zeros = 0
        part = first
        while part:
            length += len(part)
            zeros += part.count(0)
            part = source.take_some()
        self.ignored = 0 if zeros == length else length
