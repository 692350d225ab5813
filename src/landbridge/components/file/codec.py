"""What all file codecs share: names and their suffixes, evenly sized blocks, and how damage is reported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from landbridge.components.base import CHUNK_BYTES
from landbridge.errors import DataError, FlowError


def without_suffix(name: str, *suffixes: str) -> str:
    """``name`` without the first of ``suffixes`` that it ends with, in any case.

    A name that has none of them, or would be left empty, stays as it is: partners send compressed files under
    any name.
    """
    for suffix in suffixes:
        stem = name[: -len(suffix)]
        if name.lower().endswith(suffix) and stem.rpartition("/")[2]:
            return stem
    return name


def blocks(chunks: Iterable[bytes], *, size: int = CHUNK_BYTES) -> Iterator[bytes]:
    """Join and cut ``chunks`` to blocks of exactly ``size`` bytes; the last may be shorter, none is empty.

    Compressors work on blocks so that the cost of a call does not depend on how the file arrives, and so that
    equal content gives equal output.
    """
    held = bytearray()
    for chunk in chunks:
        if not held and len(chunk) == size:
            yield chunk
            continue
        held += chunk
        while len(held) >= size:
            with memoryview(held) as view:
                block = bytes(view[:size])
            del held[:size]
            yield block
    if held:
        yield bytes(held)


def joined(chunks: Iterable[bytes], *, size: int = CHUNK_BYTES) -> Iterator[bytes]:
    """Join small chunks to pieces of ``size`` bytes or a little more, to hand them on; none is empty."""
    parts: list[bytes] = []
    held = 0
    for chunk in chunks:
        parts.append(chunk)
        held += len(chunk)
        if held >= size:
            yield chunk if held == len(chunk) else b"".join(parts)
            parts, held = [], 0
    if held:
        yield b"".join(parts)


class Source:
    """Reads pieces of a wanted size from chunks of any size.

    Args:
        chunks: The file's content.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._held = b""
        self.offset = 0
        """Number of bytes taken so far."""

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes, fewer only where the file ends."""
        parts = []
        missing = count
        while missing and (part := self.take_some()):
            if len(part) > missing:
                self.give_back(part[missing:])
                part = part[:missing]
            parts.append(part)
            missing -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def take_some(self) -> bytes:
        """As many bytes as are at hand, nothing only where the file ends."""
        part, self._held = self._held, b""
        while not part:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            part = chunk
        self.offset += len(part)
        return part

    def give_back(self, part: bytes) -> None:
        """Undo the taking of ``part``, the bytes taken last."""
        self._held = part + self._held
        self.offset -= len(part)


def truncated(name: str, *, offset: int, kind: str) -> DataError:
    """The error for a file that ends too early.

    Args:
        name: The file.
        offset: Number of bytes that were there.
        kind: What the file should be, with its article: ``a gzip file``.
    """
    return DataError(
        "LB-4402",
        f'"{name}" is not complete: {kind} should go on after its last byte ({offset})',
        hint="The upload was probably interrupted. Ask for the file again.",
    )


def damaged(name: str, *, offset: int, cause: str) -> DataError:
    """The error for a file whose content is wrong.

    Args:
        name: The file.
        offset: Up to where the file was read, in bytes.
        cause: What is wrong, as part of a sentence.
    """
    return DataError(
        "LB-4401",
        f'"{name}" is damaged within its first {offset} bytes: {cause}',
        hint="Ask for the file again.",
    )


def foreign(name: str, *, kind: str) -> DataError:
    """The error for a file that is of another kind altogether; ``kind`` as for ``truncated``."""
    return DataError(
        "LB-4403",
        f'"{name}" is not {kind}',
        hint="Take this step out of the dataflow, or let the reader's fileNameRegex pick the right files.",
    )


def missing_extra(component_id: str, *, extra: str) -> FlowError:
    """The error for a component whose library is not installed."""
    return FlowError(
        "LB-1401",
        f'the component "{component_id}" needs a library that is not installed',
        hint=f'Install it with: pip install "landbridge[{extra}]"',
    )
