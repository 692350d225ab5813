"""Cells and rows of delimiter-separated text, made by whole columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from landbridge.records import Batch, columns as col
from landbridge.records.path import parse

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
                text = pc.if_else(pc.equal(text, "{}"), pa.scalar(None, pa.string()), text)
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
        parts: list[pa.Array | str] = []
        literal = ""
        for number, column in enumerate(cells):
            literal += self.separator if number else ""
            if column is None:
                literal += '""' if len(cells) == 1 else ""
                continue
            text, quoted = self._cell(column)
            if len(cells) == 1:  # an empty line would be passed over by most readers
                text = pc.fill_null(text, '""')
            parts += [literal + '"', text] if quoted else [literal, text]
            literal = '"' if quoted else ""
        parts.append(literal + self.line_end)
        if len(parts) == 1:
            return pa.repeat(pa.scalar(parts[0]), num_rows)
        return pc.binary_join_element_wise(*parts, "", null_handling="replace", null_replacement="")

    def _cell(self, column: pa.Array) -> tuple[pa.Array, bool]:
        """The column's texts, escaped, and whether all of them are still to be put in quotes."""
        if self.defuse_formulas:
            column = _defused(column)
        escape = (self.escape or "").encode()
        has_quotes = col.has_any(column, b'"' + escape)
        if self.quote_all:
            escaped = self._escaped(column) if has_quotes else column
            return (_quoted(escaped), False) if column.null_count else (escaped, True)
        if has_quotes or self._needs_quotes(column):
            special = pc.match_substring_regex(column, self._special())
            return pc.if_else(special, _quoted(self._escaped(column)), column), False
        return column, False

    def _needs_quotes(self, column: pa.Array) -> bool:
        if col.has_any(column, b"\r\n" + self.separator[:1].encode()):
            return True
        return bool(pc.min(pc.binary_length(column)).as_py() == 0)

    def _special(self) -> str:
        """Pattern of the values that need quotes: an empty text needs them to differ from an absent value."""
        characters = '"\r\n' + (self.escape or "")
        members = "".join(f"\\x{{{ord(character):x}}}" for character in characters)
        separator = "".join(f"\\x{{{ord(character):x}}}" for character in self.separator)
        return f"^$|[{members}]|{separator}"

    def _escaped(self, column: pa.Array) -> pa.Array:
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


def _quoted(column: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise('"', column, '"', "")


def _defused(column: pa.Array) -> pa.Array:
    formula = pc.and_not(pc.match_substring_regex(column, _FORMULA), pc.match_substring_regex(column, _NUMBER))
    return pc.if_else(formula, pc.binary_join_element_wise("'", column, ""), column)
