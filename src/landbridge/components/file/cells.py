"""Cells and rows of delimiter-separated text, made by whole columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from landbridge.records import Batch, columns as col
from landbridge.records.path import parse

_WRITE_ROWS = 1 << 14
_FORMULA = r"^[=+\-@\t\r]"
_NUMBER = r"^[+-]?[0-9.,]*$"


@dataclass(frozen=True, slots=True)
class Cells:
    """A piece of a table: the texts of its cells by column header, null where a cell is empty."""

    num_rows: int
    columns: dict[str, pa.Array]

    @classmethod
    def of(cls, batch: Batch) -> Cells:
        """The cells of a batch: dotted headers for nested fields, JSON text for arrays, nothing for empty objects."""
        found: dict[str, pa.Array] = {}
        for name, column in batch.leaves.items():
            header = ".".join(map(str, parse(name)))
            text = col.plain_text(column)
            if col.is_json(column):
                text = pc.if_else(pc.equal(text, col.literal("{}")), col.NO_TEXT, text)
            if text.null_count < len(text):
                found[header] = pc.coalesce(found[header], text) if header in found else text
        return cls(batch.num_rows, found)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How cells become lines.

    Attributes:
        separator: Text between two cells.
        line_end: Text after each line.
        quote_all: Quote every value; otherwise those that would be misread.
        escape: Character before a quote within quotes; None doubles the quote.
        defuse_formulas: Put an apostrophe before what a spreadsheet takes for a formula.
    """

    separator: str = ","
    line_end: str = "\n"
    quote_all: bool = False
    escape: str | None = None
    defuse_formulas: bool = False

    def header(self, names: Sequence[str]) -> str:
        """The header line."""
        line: str = self.lines([pa.array([name]) for name in names], 1)[0].as_py()
        return line

    def lines(self, cells: Sequence[pa.Array | None], num_rows: int) -> pa.Array:
        """One text a row, with its line end. ``cells`` holds a column for each header, None for an empty one."""
        texts = [col.NO_TEXT if column is None else self._cell(column) for column in cells]
        if not texts:
            return pa.repeat(pa.scalar(self.line_end), num_rows)
        # The line end goes to the last column, so that one join makes the whole line.
        last = pc.fill_null(texts[-1], '""' if len(texts) == 1 else "")  # many readers pass over an empty line
        ended = col.join(last, self.line_end)
        if len(texts) == 1:
            return _repeated(ended, num_rows)
        return pc.binary_join_element_wise(
            *texts[:-1],
            _repeated(ended, num_rows),
            col.literal(self.separator),
            null_handling="replace",
            null_replacement="",
        )

    @property
    def is_arrows(self) -> bool:
        """Whether Arrow's own writer, which is quicker, has this dialect: RFC 4180 with all values in quotes."""
        return self.quote_all and self.escape is None and self.line_end == "\n" and len(self.separator.encode()) == 1

    def block(self, cells: Sequence[pa.Array | None], num_rows: int) -> bytes | memoryview:
        """The lines as one piece of text."""
        if not self.is_arrows or len(cells) == 1:
            return col.bytes_of(self.lines(cells, num_rows))
        texts = [pa.nulls(num_rows, pa.string()) if column is None else self._prepared(column) for column in cells]
        sink = pa.BufferOutputStream()
        options = pyarrow.csv.WriteOptions(
            include_header=False, delimiter=self.separator, quoting_style="all_valid", batch_size=_WRITE_ROWS
        )
        pyarrow.csv.write_csv(pa.record_batch(texts, names=list(map(str, range(len(texts))))), sink, options)
        return memoryview(sink.getvalue())

    def _prepared(self, column: pa.Array) -> pa.Array:
        return _defused(column) if self.defuse_formulas else column

    def _cell(self, column: pa.Array) -> pa.Array:
        """The column's texts as they stand in the file; null where a cell is empty."""
        column = self._prepared(column)
        if self.quote_all:
            return self._quoted(column)
        special = self._special(column)
        if special is None:
            return column
        return pc.replace_with_mask(column, special, self._quoted(column.filter(special)))

    def _special(self, column: pa.Array) -> pa.Array | None:
        """Which values need quotes, None for none: an empty text needs them to differ from an absent value."""
        marks = ['"', "\r", "\n", self.separator, self.escape or ""]
        single = "".join(mark for mark in marks if len(mark) == 1 and mark.isascii())
        found = col.rows_with(column, single.encode(), empty=True)
        for mark in marks:
            if mark and mark not in single:
                longer = pc.fill_null(pc.match_substring(column, mark), fill_value=False)
                found = longer if found is None else pc.or_(found, longer)
        return found

    def _quoted(self, column: pa.Array) -> pa.Array:
        return col.join('"', self._escaped(column), '"')

    def _escaped(self, column: pa.Array) -> pa.Array:
        if not col.has_any(column, b'"' + (self.escape or "").encode()):
            return column
        if self.escape is None:
            return pc.replace_substring(column, '"', '""')
        escaped = pc.replace_substring(column, self.escape, self.escape * 2)
        return pc.replace_substring(escaped, '"', self.escape + '"')


def separator_of(value: str) -> str:
    r"""The separator that a parameter means: ``\t`` and ``tab`` are a tab.

    Raises:
        ValueError: It is empty, or a character that has a meaning of its own.
    """
    separator = "\t" if value.lower() in ("\\t", "tab") else value
    if not separator or set(separator) & set('"\r\n'):
        raise ValueError("must not be empty, a quote or a line break")
    return separator


def _defused(column: pa.Array) -> pa.Array:
    formula = pc.and_not(pc.match_substring_regex(column, _FORMULA), pc.match_substring_regex(column, _NUMBER))
    return pc.if_else(formula, col.join("'", column), column)


def _repeated(texts: pa.Array | pa.Scalar, num_rows: int) -> pa.Array:
    return texts if isinstance(texts, pa.Array) else pa.repeat(texts, num_rows)
