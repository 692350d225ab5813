"""``file.format.dsv``: records to delimiter-separated text, always rectangular."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa
from pydantic import field_validator

from landbridge.components.base import FileDrop, FileEvent, Formatter
from landbridge.components.file.cells import Cells, Dialect, separator_of
from landbridge.components.file.parts import MEGABYTE, Parts
from landbridge.components.file.spool import Spool
from landbridge.components.params import ComponentParams, Param
from landbridge.components.registry import component
from landbridge.records import Batch
from landbridge.records.path import parse

_LOOK_AHEAD_RECORDS = 20_000


@component("file.format.dsv", title="Write DSV (CSV)")
class FormatDsv(Formatter):
    r"""Write records as delimiter-separated values: CSV, TSV and their kin.

    The file is always rectangular. Its header names every field that any record has, in the order in which they were
    first seen; a field that shows up late makes the formatter start the file over, which costs time but loses
    nothing. Nested objects become dotted columns, arrays JSON text.

    An absent value or null is an empty cell, an empty text a quoted one (`""`), so that reading the file back with
    `file.parse.dsv` gives the same records. Quotes in a text are doubled, unless `escapeCharacter` is set.
    """

    class Params(ComponentParams):
        """See the fields."""

        file_name: str = Param("Name of the file; may hold variables and `/`.", example="users_${now}.csv")
        column_separator: str = Param("Text between two cells; `\\t` or `tab` for a tab.", default=",", example=";")
        quote_fields: bool = Param("Quote every value, not only those that need it.", default=False)
        escape_character: str | None = Param(
            "Character before a quote within a quoted value; quotes are doubled when it is not set.",
            default=None,
            example="\\",
        )
        line_end: str = Param("End of each line.", default="\n", example="\r\n")
        write_header: bool = Param("Begin every file with the names of the columns.", default=True)
        dsv_format_version: str = Param("Dialect; only `Standard` is known.", default="Standard")
        max_file_size: float | None = Param(
            "Begin a new part before a file grows beyond this size.",
            default=None,
            example=5000,
            unit="MB",
            ge=0.000001,
        )
        create_empty_file: bool = Param("Write a file even when there are no records.", default=False)
        columns: list[str] | None = Param(
            "Exactly these columns in this order; other fields are left out.",
            default=None,
            example=["UID", "EMAIL"],
        )
        defuse_formulas: bool = Param(
            "Put an apostrophe before texts that a spreadsheet would run as a formula.", default=False
        )
        file_charset: str = Param("Character set of the file.", default="UTF-8", example="ISO-8859-1")
        byte_order_mark: bool = Param("Begin the file with a byte order mark (UTF-8 only).", default=False)

        @field_validator("line_end", mode="before")
        @classmethod
        def _line_end(cls, value: Any) -> Any:
            return value.replace("\\r", "\r").replace("\\n", "\n") if isinstance(value, str) else value

        @field_validator("column_separator", mode="before")
        @classmethod
        def _separator(cls, value: Any) -> Any:
            return separator_of(value) if isinstance(value, str) else value

        @field_validator("escape_character")
        @classmethod
        def _one_character(cls, value: str | None) -> str | None:
            if value is not None and len(value) != 1:
                raise ValueError("must be one character")
            return None if value == '"' else value

        @field_validator("file_charset")
        @classmethod
        def _known_charset(cls, value: str) -> str:
            try:
                return codecs.lookup(value).name
            except LookupError:
                raise ValueError(f'unknown character set "{value}"') from None

    params: Params

    def format(self, batches: Iterator[Batch]) -> Iterator[FileEvent]:
        """Yield the files; starts over with FileDrop when a column shows up late."""
        pieces = map(Cells.of, batches)
        if self.params.columns is not None:
            header = [".".join(map(str, parse(name))) for name in self.params.columns]
            yield from self._write(header, pieces)
            return
        header = [".".join(map(str, parse(name))) for name in self.known_columns or ()]
        first: list[Cells] = []
        seen = 0
        for piece in pieces:
            first.append(piece)
            header = _union(header, piece)
            seen += piece.num_rows
            if seen >= _LOOK_AHEAD_RECORDS:
                yield from self._write_spooled(header, chain(first, pieces))
                return
        yield from self._write(header, iter(first))

    def _write_spooled(self, header: list[str], pieces: Iterator[Cells]) -> Iterator[FileEvent]:
        """Write as the records come, and once more when a column shows up that the header lacks."""
        with Spool(self.services.spool_dir) as spool:
            late: list[str] = []
            written = 0

            def known() -> Iterator[Cells]:
                nonlocal written
                for piece in pieces:
                    spool.add(piece)
                    if not piece.columns.keys() <= set(header):
                        late.extend(_union(header, piece))
                        return
                    written += 1
                    yield piece

            yield from self._write(header, known())
            if not late:
                return
            for piece in pieces:
                spool.add(piece)
                late = _union(late, piece)
            self.services.log("info", f"{len(late) - len(header)} columns showed up late; the file is written again")
            yield FileDrop()
            yield from self._write(late, spool.pieces(), told=written)

    def _write(self, header: list[str], pieces: Iterator[Cells], *, told: int = 0) -> Iterator[FileEvent]:
        """The files; the rejects of the first ``told`` pieces are known from the time they were written before."""
        params = self.params
        dialect = Dialect(
            separator=params.column_separator,
            line_end=params.line_end,
            quote_all=params.quote_fields,
            escape=params.escape_character,
            defuse_formulas=params.defuse_formulas,
        )
        mark = codecs.BOM_UTF8 if params.byte_order_mark else b""
        names = dialect.header(header).encode(params.file_charset, "replace") if header and params.write_header else b""
        parts = Parts(
            params.file_name,
            head=mark + names,
            max_bytes=int(params.max_file_size * MEGABYTE) if params.max_file_size else None,
        )
        for number, piece in enumerate(pieces):
            cells = [piece.columns.get(name) for name in header]
            if params.file_charset == "utf-8" and not params.max_file_size:
                yield from parts.block(dialect.block(cells, piece.num_rows), piece.num_rows)
            else:
                yield from parts.rows(self._encoded(dialect.lines(cells, piece.num_rows), tell=number >= told))
        yield from parts.end(create_empty=params.create_empty_file)

    def _encoded(self, lines: pa.Array, *, tell: bool) -> pa.Array:
        """The lines in the file's character set; a line that has no form in it is left out and, if asked to, told."""
        if self.params.file_charset == "utf-8":
            return lines
        encoded = []
        for line in lines.to_pylist():
            try:
                encoded.append(line.encode(self.params.file_charset))
            except UnicodeEncodeError as error:
                if not tell:
                    continue
                self.services.reject_text(
                    line,
                    file=self.params.file_name,
                    line=None,
                    code="LB-4201",
                    message=f"{self.params.file_charset} lacks the character at position {error.start + 1} of the line",
                )
        return pa.array(encoded, pa.binary())


def _union(header: Sequence[str], piece: Cells) -> list[str]:
    return list(dict.fromkeys([*header, *piece.columns]))
