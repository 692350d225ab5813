"""``file.parse.dsv``: delimiter-separated text to records."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from typing import Literal

import pyarrow as pa
import pyarrow.csv
from pydantic import field_validator

from landbridge.components.base import FileStart, LineCuts, Parser
from landbridge.components.file.cells import separator_of
from landbridge.components.file.dsv_blocks import Block, Blocks, as_utf8, read_header, rejoined
from landbridge.components.file.inference import inferred
from landbridge.components.file.line_cuts import DsvCuts
from landbridge.components.params import ComponentParams, FieldPath, Param
from landbridge.components.registry import component
from landbridge.records import Batch, columns as col
from landbridge.records.path import parse as parse_path, write

_LINE_BREAKS = ("\n", "\r")


@component("file.parse.dsv", title="Read DSV (CSV)")
class ParseDsv(Parser):
    """Read records from delimiter-separated values: CSV, TSV and their kin.

    The first line names the columns. A dot in a name is part of the name, as IdentitySync has it. Values are texts,
    leading zeros included, unless `inferTypes` is set. An empty cell is an absent field, a quoted empty one (`""`) an
    empty text. A line that has more or fewer cells than the header, or is not text in the file's character set, is a
    reject with its line number; the job goes on.
    """

    class Params(ComponentParams):
        """See the fields."""

        column_separator: str = Param(
            "Character between two cells; `\\t` or `tab` for a tab.", default=",", example=";"
        )
        file_charset: str = Param(
            "Character set of the file, or `auto-detect`.", default="UTF-8", example="auto-detect"
        )
        infer_types: bool = Param(
            "Make booleans of `true` and `false`, and numbers of texts that are written as JSON numbers are.",
            default=False,
        )
        number_columns: list[str] = Param(
            "Columns in which numbers are made of texts that are written as JSON numbers are; others stay texts.",
            default=[],
            example=["SCORE"],
        )
        add_filename: bool = Param("Add the name of the file each record comes from.", default=False)
        filename_field: FieldPath = Param("Field that `addFilename` fills.", default="filename", example="filename")
        escape_character: str | None = Param(
            "Character before a quote within a quoted value; doubled quotes are understood as well.",
            default=None,
            example="\\",
        )
        empty_cells: Literal["absent", "empty"] = Param(
            "What an empty cell means that is not quoted: no field at all, or an empty text.",
            default="absent",
        )
        columns: list[str] | None = Param(
            "Names of the columns, where the file has no header line.", default=None, example=["UID", "EMAIL"]
        )

        @field_validator("column_separator")
        @classmethod
        def _separator(cls, value: str) -> str:
            separator = separator_of(value)
            if len(separator) != 1 or not separator.isascii():
                raise ValueError("must be one ASCII character")
            return separator

        @field_validator("escape_character")
        @classmethod
        def _one_character(cls, value: str | None) -> str | None:
            if value is not None and (len(value) != 1 or not value.isascii()):
                raise ValueError("must be one ASCII character")
            return None if value == '"' else value

        @field_validator("file_charset")
        @classmethod
        def _known_charset(cls, value: str) -> str:
            if value.lower().replace("_", "-") in ("auto-detect", "autodetect", "auto"):
                return "auto-detect"
            try:
                return codecs.lookup(value).name
            except LookupError:
                raise ValueError(f'unknown character set "{value}"') from None

    params: Params

    def line_cuts(self, wanted: Sequence[int]) -> LineCuts | None:
        """Cuts between records, for text in UTF-8 whose quotes are doubled."""
        params = self.params
        if params.escape_character or params.file_charset not in ("utf-8", "ascii"):
            return None
        return DsvCuts(wanted, separator=params.column_separator, has_header=params.columns is None)

    def parse(self, file: FileStart, chunks: Iterator[bytes]) -> Iterator[Batch]:
        """Yield the records of one file."""
        params = self.params
        text = as_utf8(chunks, params.file_charset)
        line = 1 + file.lines_left_out
        names = params.columns
        if names is None:
            names, rest, lines = read_header(
                text, separator=params.column_separator, escape=params.escape_character, name=file.name
            )
            line += lines
            text = rejoined(rest, text)
        if not names:
            return
        blocks = Blocks(text, separator=params.column_separator, escape=params.escape_character, line=line)
        for block in blocks:
            yield from self._records(file, blocks, block, names)
            self._reject_broken(file, blocks)
        self._reject_broken(file, blocks)

    def _records(self, file: FileStart, blocks: Blocks, cut: Block, names: list[str]) -> Iterator[Batch]:
        block = cut
        is_text = col.is_utf8(block.text)
        table, bad = self._cells(block.text, names) if is_text else (None, [])
        if table is None or _ends_within_quotes(table, block):
            whole = blocks.recut(block)
            if whole is None:
                return
            block = whole
            text = block.text if is_text else self._readable(file, blocks, block)
            if not text:
                return
            table, bad = self._cells(text, names)
        self._reject_ragged(file, block, bad, len(names))
        built = {}
        for name, column in zip(table.column_names, map(_flat, table.columns), strict=True):
            infers = self.params.infer_types or name in self.params.number_columns
            built[write((name,))] = inferred(column) if infers else column
        batch = Batch(built, table.num_rows)
        if self.params.add_filename:
            batch = batch.put(parse_path(self.params.filename_field), col.constant(file.name, batch.num_rows))
        if batch.num_rows:
            yield batch

    def _readable(self, file: FileStart, blocks: Blocks, block: Block) -> bytes:
        """The text of the records that are UTF-8; the others are rejected."""
        good = []
        line = block.line
        for record in blocks.records(block.text):
            if col.is_utf8(record):
                good.append(record)
            else:
                self.services.reject_text(
                    record.decode("utf-8", "replace").rstrip("\r\n"),
                    file=file.name,
                    line=line,
                    code="LB-4304",
                    message="the line is not UTF-8 text; set fileCharset to the file's character set",
                )
            line += record.count(b"\n")
        return b"".join(good)

    def _cells(self, text: bytes, names: list[str]) -> tuple[pa.Table, list[pyarrow.csv.InvalidRow]]:
        """The cells of records that are UTF-8, and the lines that do not fit."""
        bad: list[pyarrow.csv.InvalidRow] = []

        def skip(row: pyarrow.csv.InvalidRow) -> Literal["skip"]:
            bad.append(row)
            return "skip"

        absent = self.params.empty_cells == "absent"
        table = pyarrow.csv.read_csv(
            pa.BufferReader(text),
            read_options=pyarrow.csv.ReadOptions(
                column_names=names, use_threads=False, block_size=max(len(text) + 1, 64)
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=self.params.column_separator,
                escape_char=self.params.escape_character or False,
                newlines_in_values=b'"' in text,
                invalid_row_handler=skip,
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                include_columns=self._included(names),
                strings_can_be_null=absent,
                quoted_strings_can_be_null=False,
                null_values=[""] if absent else [],
                check_utf8=False,  # the block as a whole was looked at, which takes a fraction of the time
            ),
        )
        return table, bad

    def _included(self, names: list[str]) -> list[str]:
        """The columns to build: those that are needed, and the last, which tells whether the block was cut right."""
        return [name for name in names if name == names[-1] or self.needs.covers((name,))]

    def _reject_ragged(self, file: FileStart, block: Block, bad: list[pyarrow.csv.InvalidRow], expected: int) -> None:
        at = 0
        for row in bad:
            text = row.text.encode()
            found = block.text.find(text, at)
            at = found + len(text) if found >= 0 else at
            self.services.reject_text(
                row.text,
                file=file.name,
                line=block.line + block.text.count(b"\n", 0, found) if found >= 0 else None,
                code="LB-4303",
                message=f"the line has {row.actual_columns} cells instead of {expected}",
            )

    def _reject_broken(self, file: FileStart, blocks: Blocks) -> None:
        for block in blocks.broken:
            self.services.reject_text(
                block.text.decode("utf-8", "replace").rstrip("\r\n"),
                file=file.name,
                line=block.line,
                code="LB-4305",
                message="a quoted value that begins on this line has no end",
            )
        blocks.broken.clear()


def _ends_within_quotes(table: pa.Table, block: Block) -> bool:
    """Whether the last value swallowed the end of the block: a stray quote misled the cut."""
    if not table.num_rows or block.text[-3:].rstrip(b"\r\n").endswith(b'"'):
        return False
    last = table.column(table.num_columns - 1)[-1].as_py()
    return last is not None and last[-1:] in _LINE_BREAKS


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
