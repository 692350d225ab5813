"""Cutting a stream of JSON text into blocks of whole records, without decoding it.

Lines are cut at newlines. In an array, or among objects that follow one another, the end of a record is found by
counting brackets: quickly for the whole block first, and where text within strings misleads that, exactly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import msgspec
import numpy as np

T = TypeVar("T")

BLOCK_BYTES: Final = 4 << 20
"""Records are decoded in blocks of about this size."""

MAX_RECORD_BYTES: Final = 64 << 20
"""A single record longer than this is refused; memory stays bounded."""

_BETWEEN: Final = re.compile(rb"\}\s*,(?=\s*\{)")
_TAIL: Final = 1 << 16


class RecordTooLong(ValueError):
    """No record ends within MAX_RECORD_BYTES."""


def line_blocks(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Blocks that end with a newline; the last may lack it.

    Raises:
        RecordTooLong: A line has no end within MAX_RECORD_BYTES.
    """
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        end = chunk.rfind(b"\n") + 1 if size + len(chunk) >= BLOCK_BYTES else 0
        if end:
            yield b"".join((*held, chunk[:end]))
            held, size = [], 0
        held.append(chunk[end:])
        size += len(chunk) - end
        if size > MAX_RECORD_BYTES:
            raise RecordTooLong
    if size:
        yield b"".join(held)


def decode_elements(chunks: Iterator[bytes], decode: Callable[[bytes], T | None]) -> Iterator[T | bytes]:
    """Decode the elements of an array whose opening bracket has been read.

    Args:
        chunks: The text after the opening bracket.
        decode: Gives the result for a text of whole elements joined by commas, or None where it does not decode.

    Yields:
        The results, and last, as bytes, the text that is left: it ends with the array's closing bracket and whatever
        follows, or is cut off, or is damaged.

    Raises:
        RecordTooLong: An element has no end within MAX_RECORD_BYTES.
    """
    held = b""
    wanted = BLOCK_BYTES
    pieces: list[bytes] = []
    size = 0
    for chunk in chunks:
        pieces.append(chunk)
        size += len(chunk)
        if len(held) + size < wanted:
            continue
        held = b"".join((held, *pieces))
        pieces, size = [], 0
        for end in (last_element_end(held), _exact_end(held)):
            decoded = decode(held[:end]) if end else None
            if decoded is not None:
                yield decoded
                held = held[end:].lstrip().removeprefix(b",")
                wanted = BLOCK_BYTES
                break
        else:
            if len(held) > MAX_RECORD_BYTES:
                raise RecordTooLong
            wanted = len(held) * 2
    yield b"".join((held, *pieces))


def _exact_end(text: bytes) -> int:
    ends = exact_ends(text)
    return int(ends[-1]) if len(ends) else 0


def last_element_end(text: bytes) -> int:
    """Where the last whole element ends that is followed by another one, counting brackets only; 0 where none does.

    Brackets within strings are counted too, so the result can be wrong for such text, but then what is cut off is
    not valid JSON: brackets that do not balance never decode. ``exact_ends`` is the answer to that.
    """
    start = max(0, len(text) - _TAIL)
    while True:
        base = _depths(text, 0, start)
        balanced = 0
        at = start
        for match in _BETWEEN.finditer(text, start):
            curly, square = _depths(text, at, match.start() + 1)
            base = (base[0] + curly, base[1] + square)
            at = match.start() + 1
            if base == (0, 0):
                balanced = at
        if balanced or start == 0:
            return balanced
        start = 0


def _depths(text: bytes, start: int, end: int) -> tuple[int, int]:
    return (
        text.count(b"{", start, end) - text.count(b"}", start, end),
        text.count(b"[", start, end) - text.count(b"]", start, end),
    )


def exact_ends(text: bytes) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Where each object ends that stands at the top level of ``text``, which must begin between objects.

    Ends at the first bracket that closes more than was opened.
    """
    brackets, depth = _brackets(text)
    closed = np.flatnonzero(depth < 0)
    if len(closed):
        brackets, depth = brackets[: closed[0]], depth[: closed[0]]
    ends: np.ndarray[tuple[int], np.dtype[np.int64]] = brackets[depth == 0] + 1
    return ends


def array_end(text: bytes) -> int:
    """Where the array ends whose opening bracket stood right before ``text``: behind its bracket; 0 if it does not."""
    brackets, depth = _brackets(text)
    closed = np.flatnonzero(depth < 0)
    return int(brackets[closed[0]]) + 1 if len(closed) else 0


def member_array(text: bytes, key: str) -> int:
    """Where the array begins that the object ``text`` has as its member ``key``; -1 where there is none so far."""
    pattern = re.compile(re.escape(msgspec.json.encode(key)) + rb"\s*:\s*(?=\[)")
    brackets = depth = None
    for match in pattern.finditer(text):
        if brackets is None or depth is None:
            brackets, depth = _brackets(text)
        before = int(np.searchsorted(brackets, match.end()))
        # At the array's own bracket the depth is two: it stands in the object, and in nothing within it.
        if before < len(brackets) and brackets[before] == match.end() and depth[before] == 2:  # noqa: PLR2004
            return match.end()
    return -1


_Positions = np.ndarray[tuple[int], np.dtype[np.int64]]


def _brackets(text: bytes) -> tuple[_Positions, _Positions]:
    """Where brackets stand outside of strings, and how many are open behind each; ``text`` begins outside of one."""
    data = np.frombuffer(text, np.uint8)
    quotes = np.flatnonzero(data == ord('"'))
    if b"\\" in text:
        quotes = np.array([at for at in quotes.tolist() if not _is_escaped(text, at)], np.int64)
    folded = data | 0x20  # [ and { differ in this bit only, and so do ] and }
    brackets = np.flatnonzero((folded == ord("{")) | (folded == ord("}")))
    brackets = brackets[np.searchsorted(quotes, brackets) % 2 == 0]
    return brackets, np.cumsum(np.where(folded[brackets] == ord("{"), 1, -1))


def _is_escaped(text: bytes, at: int) -> bool:
    start = at
    while start and text[start - 1] == ord("\\"):
        start -= 1
    return (at - start) % 2 == 1
