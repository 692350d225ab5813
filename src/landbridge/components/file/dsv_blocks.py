"""Cutting delimiter-separated text into blocks of whole records, and finding the records in a doubtful block."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from landbridge.errors import DataError

if TYPE_CHECKING:
    from charset_normalizer import CharsetMatch

BLOCK_BYTES: Final = 4 << 20
"""Records are parsed in blocks of about this size."""

MAX_RECORD_BYTES: Final = 16 << 20
"""A quoted value that does not end within this many bytes was never meant to be quoted."""

_DETECT_BYTES: Final = 1 << 18
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def as_utf8(chunks: Iterator[bytes], charset: str) -> Iterator[bytes]:
    r"""The text in UTF-8, without byte order mark, with ``\n`` at the end of lines that end with a lone ``\r``.

    Args:
        chunks: The file's content.
        charset: Name of its character set, or ``auto-detect``: by byte order mark, else guessed from its beginning.
    """
    head = b""
    while len(head) < _DETECT_BYTES and (chunk := next(chunks, None)) is not None:
        head += chunk
    name, head = _charset(head, charset)
    decoded = rejoined(head, chunks)
    if name not in ("utf-8", "ascii"):
        decoded = _transcoded(decoded, name)
    first = next(decoded, b"")
    chunks = rejoined(first, decoded)
    if b"\r" in first and b"\n" not in first:
        chunks = (chunk.replace(b"\r", b"\n") for chunk in chunks)
    yield from chunks


def _charset(head: bytes, charset: str) -> tuple[str, bytes]:
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name, head[len(mark) :]
    if charset != "auto-detect":
        return codecs.lookup(charset).name, head
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return _guessed(head), head
    return "utf-8", head


def _guessed(text: bytes) -> str:
    """The likeliest single-byte character set: Western European unless another one fits better."""
    from charset_normalizer import from_bytes  # noqa: PLC0415 - few files need a guess, and it is slow to import

    found = from_bytes(text)
    best = found.best()
    if best is None or any(_fits_as_well(match, best) for match in found if match.encoding == "cp1252"):
        return "cp1252"
    return best.encoding


def _fits_as_well(match: CharsetMatch, best: CharsetMatch) -> bool:
    return match.chaos <= best.chaos and match.coherence >= best.coherence


def rejoined(head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """A text of which the beginning was read already."""
    if head:
        yield head
    yield from chunks


def _transcoded(chunks: Iterator[bytes], charset: str) -> Iterator[bytes]:
    # What the character set lacks stays a byte that is not UTF-8, so that the parser rejects just that line.
    decoder = codecs.getincrementaldecoder(charset)(errors="surrogateescape")
    for chunk in chunks:
        yield decoder.decode(chunk).encode(errors="surrogateescape")
    yield decoder.decode(b"", final=True).encode(errors="surrogateescape")


@dataclass(frozen=True, slots=True)
class Block:
    """Whole records.

    Attributes:
        text: Their text.
        line: Number of the first one's first line in the file, from 1.
    """

    text: bytes
    line: int


class Blocks:
    """Cuts text into blocks.

    A newline ends a record when the number of quotes before it is even. Where that finds nothing, or a stray quote
    misleads it, records are matched one by one. A quoted value that never ends makes its first line unreadable: it
    is yielded as a Block of its own in ``broken``, and reading goes on with the next line.

    Args:
        chunks: Text in UTF-8.
        separator: Character between two cells.
        escape: Character before a quote within quotes, if the file has one.
        line: Number of the line with which the text begins.
    """

    def __init__(self, chunks: Iterator[bytes], *, separator: str, escape: str | None, line: int = 1) -> None:
        self._chunks = chunks
        self._record = _record_pattern(separator, escape)
        self._escape = escape.encode() if escape else None
        self._line = line
        self._held = b""
        self._ended = False
        self.broken: list[Block] = []

    def __iter__(self) -> Iterator[Block]:
        wanted = BLOCK_BYTES
        while True:
            self._fill(wanted)
            if not self._held:
                return
            end = self._quick_end() or self._exact_end()
            if end:
                yield self._take(end)
                wanted = BLOCK_BYTES
            elif self._ended or len(self._held) > MAX_RECORD_BYTES:
                self._break_line()
            else:
                wanted = len(self._held) * 2

    def recut(self, block: Block) -> Block | None:
        """The part of a block that is whole records, where the quick cut was wrong; the rest is cut once more."""
        is_last = self._ended and not self._held
        end = self._exact_end_of(block.text, final=is_last)
        rest = block.text[end:]
        self._held = rest + self._held
        self._line -= rest.count(b"\n")
        if end:
            return Block(block.text[:end], block.line)
        if is_last:
            self._break_line()
        else:
            self._fill(len(self._held) * 2)
        return None

    def _break_line(self) -> None:
        self.broken.append(self._take(self._held.find(b"\n") + 1 or len(self._held)))

    def records(self, text: bytes) -> Iterator[bytes]:
        """The records of a text that holds whole ones, each with the end of its line."""
        at = 0
        while (match := self._record.match(text, at)) and match.end() > at:
            yield match[0]
            at = match.end()
        if at < len(text):
            yield text[at:]

    def _fill(self, wanted: int) -> None:
        pieces = [self._held]
        size = len(self._held)
        while size < wanted and not self._ended:
            chunk = next(self._chunks, None)
            if chunk is None:
                self._ended = True
            else:
                pieces.append(chunk)
                size += len(chunk)
        self._held = b"".join(pieces)

    def _take(self, end: int) -> Block:
        text = self._held[:end]
        block = Block(text, self._line)
        self._held = self._held[end:]
        self._line += count(text, "\n")
        return block

    def _quick_end(self) -> int:
        """Where the last record ends by counting quotes; 0 where that cannot tell."""
        text = self._held
        end = len(text) if self._ended else text.rfind(b"\n") + 1
        return end if end and self._quotes(text, end) % 2 == 0 else 0

    def _quotes(self, text: bytes, end: int) -> int:
        quotes = count(text, '"', end)
        if quotes and self._escape and self._escape in text:
            quotes -= text[:end].replace(self._escape * 2, b"").count(self._escape + b'"')
        return quotes

    def _exact_end(self) -> int:
        return self._exact_end_of(self._held, final=self._ended)

    def _exact_end_of(self, text: bytes, *, final: bool) -> int:
        end = 0
        while (match := self._record.match(text, end)) and match.end() > end:
            if match.end() == len(text) and not final and not text.endswith(b"\n"):
                break
            end = match.end()
        return end


def count(text: bytes, character: str, end: int | None = None) -> int:
    """How often an ASCII character occurs before ``end``; several times quicker than ``bytes.count`` if often."""
    return int(np.count_nonzero(np.frombuffer(text, np.uint8)[:end] == ord(character)))


def read_header(
    blocks: Iterator[bytes], *, separator: str, escape: str | None, name: str
) -> tuple[list[str], bytes, int]:
    """The first record, the text that was read beyond it, and the number of lines the header takes.

    Raises:
        DataError: LB-4301 where the header has no end, LB-4302 where a column name stands twice, LB-4306 where it is
            not text in the file's character set.
    """
    head = b""
    pattern = _record_pattern(separator, escape)
    while True:
        match = pattern.match(head)
        if match and match.end() and head.endswith(b"\n", 0, match.end()):
            break
        chunk = next(blocks, None)
        if chunk is None:
            break
        head += chunk
        if len(head) > MAX_RECORD_BYTES:
            raise _endless(name)
    match = pattern.match(head)
    if match is None:
        raise _endless(name)
    end = match.end()
    try:
        line = head[:end].decode()
    except UnicodeDecodeError:
        raise DataError(
            "LB-4306",
            f'the header of "{name}" is not UTF-8 text',
            hint="Set fileCharset to the file's character set, or to auto-detect.",
        ) from None
    cells = next(csv.reader([line], delimiter=separator, escapechar=escape, strict=False), [])
    seen: set[str] = set()
    for cell in cells:
        if cell in seen:
            raise DataError(
                "LB-4302",
                f'the header of "{name}" names the column "{cell}" twice',
                hint="Have one of the columns renamed where the file is made.",
            )
        seen.add(cell)
    return cells, head[end:], head.count(b"\n", 0, end)


def _endless(name: str) -> DataError:
    return DataError("LB-4301", f'the header of "{name}" has no end', hint="Check its quotes and the separator.")


def _record_pattern(separator: str, escape: str | None) -> re.Pattern[bytes]:
    """A pattern that matches one whole record: a quote opens a quoted value only where a value begins."""
    sep = re.escape(separator.encode())
    esc = re.escape(escape.encode()) if escape else None
    inner = rb'(?:[^"' + (esc or b"") + rb"]|" + (esc + rb".|" if esc else b"") + rb'"")*+'
    quoted = rb'"' + inner + rb'"[^' + sep + rb"\r\n]*+"
    plain = rb'(?!")[^' + sep + rb"\r\n]*+"
    cell = rb"(?:" + quoted + rb"|" + plain + rb")"
    return re.compile(cell + rb"(?:" + sep + cell + rb")*+(?:\r\n|\n|\r|\Z)", re.DOTALL)
