"""Where a file of lines can be cut into parts that are read on their own, where that is provable.

A part of a file must give exactly the records that reading the whole file gives. So a cut is made only where nothing
before it can change the meaning of what follows:

- JSON lines: at any newline, when the beginning of the file proves that each line is an object.
- DSV: at a newline outside quotes, when every quote of the file stands where a well-formed file has quotes. Then the
  number of quotes before a place tells whether it is within a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np

from landbridge.components.base import Cut
from landbridge.components.file.dsv_blocks import read_header

PROOF_BYTES: Final = 4 << 20
"""So much of a JSON file is read as lines before it is believed to be lines."""

_HEADER_BYTES: Final = 1 << 20

_MARKS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_NEWLINE, _RETURN, _QUOTE = ord("\n"), ord("\r"), ord('"')
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])


class JsonLineCuts:
    """Looks for cuts in a file of JSON lines; see ``LineCuts``."""

    def __init__(self, wanted: Sequence[int]) -> None:
        self._wanted = list(wanted)
        self._head = b""
        self._is_proven = False
        self._is_wrong = False
        self._offset = self._lines = 0
        self._cuts: list[Cut] = []

    def feed(self, chunk: bytes) -> bool:
        """See ``LineCuts``."""
        if not self._is_proven:
            self._head += chunk
            if len(self._head) < PROOF_BYTES:
                return True
            chunk, self._head = self._head, b""
            self._prove(chunk[: chunk.rfind(b"\n") + 1])
        if not self._is_wrong:
            self._look(chunk)
        return not self._is_wrong

    def finish(self) -> list[Cut] | None:
        """See ``LineCuts``."""
        if not self._is_proven:
            self._prove(self._head)
            if not self._is_wrong:
                self._look(self._head)
        return None if self._is_wrong else self._cuts

    def _prove(self, text: bytes) -> None:
        self._is_proven = True
        try:
            rows = _OBJECT.decode_lines(text)
            self._is_wrong = not text.startswith(b"{") or len(rows) != text.count(b"\n") + (not text.endswith(b"\n"))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._is_wrong = True

    def _look(self, chunk: bytes) -> None:
        ends = np.flatnonzero(np.frombuffer(chunk, np.uint8) == _NEWLINE)
        while self._wanted and ends.size and self._offset + int(ends[-1]) + 1 >= self._wanted[0]:
            at = int(np.searchsorted(ends, self._wanted[0] - self._offset - 1))
            _add(self._cuts, Cut(self._offset + int(ends[at]) + 1, self._lines + at + 1))
            del self._wanted[0]
        self._offset += len(chunk)
        self._lines += int(ends.size)


class DsvCuts:
    """Looks for cuts in a DSV file; see ``LineCuts``.

    Args:
        wanted: Where cuts are wanted, in bytes.
        separator: Character between two cells.
        has_header: The first line names the columns.
    """

    def __init__(self, wanted: Sequence[int], *, separator: str, has_header: bool) -> None:
        self._wanted = list(wanted)
        self._separator = separator
        self._has_header = has_header
        self._is_wrong = False
        self._offset = self._lines = 0
        self._is_quoted = False
        self._held = b""
        self._cuts: list[Cut] = []
        self._header: bytes | None = None if has_header else b""
        self._before = _NEWLINE
        """The byte before the text that is looked at next; a file begins like a line."""

    def feed(self, chunk: bytes) -> bool:
        """See ``LineCuts``."""
        if self._is_wrong:
            return False
        if self._offset == 0 and not self._held and chunk.startswith(_MARKS):
            self._is_wrong = True
            return False
        self._held += chunk
        if self._header is None and b"\n" not in self._held and len(self._held) < _HEADER_BYTES:
            return True
        # The last byte waits for the next one, without which a quote cannot be judged.
        text, self._held = self._held[:-1], self._held[-1:]
        self._look(text, after=self._held)
        return not self._is_wrong

    def finish(self) -> list[Cut] | None:
        """See ``LineCuts``."""
        self._look(self._held, after=b"\n")
        if self._is_wrong or self._is_quoted or self._header is None:
            return None
        return [Cut(cut.offset, cut.lines - self._header.count(b"\n"), self._header) for cut in self._cuts]

    def _look(self, text: bytes, *, after: bytes) -> None:
        if not text or self._is_wrong:
            return
        data = np.frombuffer(text, np.uint8)
        quotes = np.flatnonzero(data == _QUOTE)
        if (data == _RETURN).any():
            returns = np.flatnonzero(data == _RETURN)
            following = np.append(data, after[0] if after else _NEWLINE)[returns + 1]
            if (following != _NEWLINE).any():  # a lone one ends a line, too, for some readers
                self._is_wrong = True
                return
        if quotes.size and not self._are_well_formed(data, quotes, after):
            self._is_wrong = True
            return
        ends = np.flatnonzero(data == _NEWLINE)
        if quotes.size or self._is_quoted:
            outside = (np.searchsorted(quotes, ends) + self._is_quoted) % 2 == 0
        else:
            outside = np.ones(ends.size, bool)
        if self._header is None:
            self._find_header(text, ends, outside)
        self._cut(ends, outside)
        self._is_quoted = bool((quotes.size + self._is_quoted) % 2)
        self._offset += len(text)
        self._lines += int(ends.size)
        self._before = text[-1]

    def _are_well_formed(self, data: Any, quotes: Any, after: bytes) -> bool:
        """Whether every quote opens a cell at its beginning, closes it at its end, or is one of a doubled pair."""
        separator = ord(self._separator)
        before = np.concatenate(([self._before], data[:-1]))[quotes]
        following = np.append(data[1:], after[0] if after else _NEWLINE)[quotes]
        opens = (np.arange(quotes.size) + self._is_quoted) % 2 == 0
        good_opening = np.isin(before, (separator, _NEWLINE, _QUOTE))
        good_closing = np.isin(following, (separator, _NEWLINE, _RETURN, _QUOTE))
        return bool(np.where(opens, good_opening, good_closing).all())

    def _find_header(self, text: bytes, ends: Any, outside: Any) -> None:
        if self._offset:  # a header longer than the first chunk
            self._is_wrong = True
            return
        first = ends[outside]
        if first.size:
            self._header = text[: int(first[0]) + 1]
            names, rest, _ = read_header(iter([self._header]), separator=self._separator, escape=None, name="")
            self._is_wrong = bool(rest) or not names

    def _cut(self, ends: Any, outside: Any) -> None:
        possible = np.flatnonzero(outside)
        while self._wanted and possible.size and self._offset + int(ends[possible[-1]]) + 1 >= self._wanted[0]:
            at = int(possible[np.searchsorted(ends[possible], self._wanted[0] - self._offset - 1)])
            _add(self._cuts, Cut(self._offset + int(ends[at]) + 1, self._lines + at + 1))
            del self._wanted[0]


def _add(cuts: list[Cut], cut: Cut) -> None:
    if not cuts or cut.offset > cuts[-1].offset:
        cuts.append(cut)
