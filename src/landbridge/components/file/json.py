"""``file.parse.json`` and ``file.format.json``: arrays of objects and JSON lines, streamed in both directions."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final, Literal

import msgspec

from landbridge.components.base import FileEvent, FileStart, Formatter, LineCuts, Parser, StepServices
from landbridge.components.file.line_cuts import JsonLineCuts
from landbridge.components.file.parts import MEGABYTE, Parts
from landbridge.components.params import ComponentParams, FieldPath, Param
from landbridge.components.registry import component
from landbridge.errors import DataError
from landbridge.records import Batch, columns as col
from landbridge.records.json_text import (
    RecordTooLong,
    array_end,
    decode_elements,
    exact_ends,
    line_blocks,
    member_array,
)
from landbridge.records.objects import JsonObject
from landbridge.records.path import parse as parse_path
from landbridge.records.shred import Shredder

_OBJECT: Final = msgspec.json.Decoder(JsonObject)
_ANY: Final = msgspec.json.Decoder(msgspec.Raw)
_ELEMENTS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_MALFORMED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_LINES_LOOKED_AT: Final = 100
_WRAP_SEARCH_BYTES: Final = 1 << 20


@component("file.parse.json", title="Read JSON")
class ParseJson(Parser):
    """Read records from a JSON file: one array of objects, one object a line (JSON lines), or objects in a row.

    Which of them it is, is seen from the file. A line that is not a JSON object is a reject with its line number; an
    array that is damaged as a whole stops the job.
    """

    class Params(ComponentParams):
        """See the fields."""

        add_filename: bool = Param("Add the name of the file each record comes from.", default=False)
        filename_field: FieldPath = Param("Field that `addFilename` fills.", default="filename", example="filename")
        wrap_field: str | None = Param(
            "Key of the array, where the file is an object that holds the array of records.",
            default=None,
            example="results",
        )

    params: Params

    def __init__(self, params: Any, services: StepServices) -> None:
        super().__init__(params, services)
        self._shredder = Shredder()

    def line_cuts(self, wanted: Sequence[int]) -> LineCuts | None:
        """Cuts between lines; an array is never cut."""
        return None if self.params.wrap_field else JsonLineCuts(wanted)

    def parse(self, file: FileStart, chunks: Iterator[bytes]) -> Iterator[Batch]:
        """Yield the records of one file."""
        self._shredder.needs = self.needs
        self._shredder.as_text = self.as_text and not self.params.add_filename
        head, rest = _begin(chunks)
        try:
            yield from (self._named(batch.built(), file) for batch in self._batches(file, head, rest))
        except RecordTooLong:
            raise DataError(
                "LB-4103",
                f'"{file.name}" holds a record of more than 64 MB',
                hint="Check that the file is JSON, with one record an object.",
            ) from None

    def _batches(self, file: FileStart, head: bytes, rest: Iterator[bytes]) -> Iterator[Batch]:
        if self.params.wrap_field:
            head, rest = _unwrap(file, head, rest, self.params.wrap_field)
        if head.startswith(b"[") and not file.lines_left_out:
            yield from self._array(file, chain([head[1:]], rest))
        elif head:
            yield from self._lines(file, chain([head], rest))

    def _lines(self, file: FileStart, chunks: Iterator[bytes]) -> Iterator[Batch]:
        number = 1 + file.lines_left_out
        blocks = line_blocks(chunks)
        for block in blocks:
            try:
                batch = self._shredder.lines(block)
            except _MALFORMED:
                if number == 1 and _is_row_of_objects(block):
                    yield from self._objects(file, chain([block], blocks))
                    return
                yield from self._good_lines(file, block, number)
            else:
                yield batch
            number += block.count(b"\n")

    def _good_lines(self, file: FileStart, block: bytes, number: int) -> Iterator[Batch]:
        """The lines of a block that are records; the others are rejects."""
        good = []
        for at, line in enumerate(block.split(b"\n"), number):
            problem = _problem(line) if line.strip() else None
            if problem:
                self._reject(line, file, at, problem)
            elif line.strip():
                good.append(line)
        if good:
            yield self._shredder.lines(b"\n".join(good))

    def _objects(self, file: FileStart, chunks: Iterator[bytes]) -> Iterator[Batch]:
        """Objects that follow one another, each over several lines."""
        held = b""
        for chunk in chunks:
            held += chunk
            ends = exact_ends(held).tolist()
            if ends:
                yield from self._elements(file, _as_array(held, ends))
                held = held[ends[-1] :]
            if not held.lstrip().startswith(b"{") and held.strip():
                break
        if held.strip():
            raise _unreadable(file, held.lstrip())

    def _array(self, file: FileStart, chunks: Iterator[bytes]) -> Iterator[Batch]:
        for found in decode_elements(chunks, self._whole_elements):
            if isinstance(found, bytes):
                yield from self._last(file, found)
            else:
                yield found

    def _whole_elements(self, text: bytes) -> Batch | None:
        try:
            return self._shredder.array(b"[" + text + b"]")
        except _MALFORMED:
            return None

    def _last(self, file: FileStart, block: bytes) -> Iterator[Batch]:
        text = block.rstrip()
        if self.params.wrap_field:
            end = array_end(text) or len(text)
            if end == len(text) or not _decodes(b'{"":[]' + text[end:]):
                raise _unreadable(file, b'{"":[' + text)
            text = text[:end]
        if not text.endswith(b"]"):
            raise _unreadable(file, b"[" + text)
        yield from self._elements(file, b"[" + text)

    def _elements(self, file: FileStart, text: bytes) -> Iterator[Batch]:
        try:
            batch = self._shredder.array(text)
        except _MALFORMED:
            yield from self._doubtful(file, text)
        else:
            if batch.num_rows:
                yield batch

    def _doubtful(self, file: FileStart, text: bytes) -> Iterator[Batch]:
        """Elements one by one: those that are no objects are rejects; text that is no array ends the job."""
        try:
            elements = [bytes(raw) for raw in _ELEMENTS.decode(text)]
        except _MALFORMED as error:
            raise _invalid(file, _reason(error)) from None
        good = []
        for number, element in enumerate(elements, 1):
            problem = _problem(element)
            if problem is None:
                good.append(element)
            else:
                self._reject(element, file, None, f"element {number} of its block: {problem}")
        if good:
            yield self._shredder.array(b"[" + b",".join(good) + b"]")

    def _reject(self, text: bytes, file: FileStart, line: int | None, problem: str) -> None:
        self.services.reject_text(
            text.decode("utf-8", "replace"), file=file.name, line=line, code="LB-4102", message=problem
        )

    def _named(self, batch: Batch, file: FileStart) -> Batch:
        if not self.params.add_filename:
            return batch
        return batch.put(parse_path(self.params.filename_field), col.constant(file.name, batch.num_rows))


@component("file.format.json", title="Write JSON")
class FormatJson(Formatter):
    """Write records as one JSON array of objects, or as JSON lines."""

    reads_text = True

    class Params(ComponentParams):
        """See the fields."""

        file_name: str = Param("Name of the file; may hold variables and `/`.", example="accounts_${now}.json")
        max_file_size: float | None = Param(
            "Begin a new part before a file grows beyond this size.",
            default=None,
            example=5000,
            unit="MB",
            ge=0.000001,
        )
        create_empty_file: bool = Param("Write a file even when there are no records.", default=False)
        wrap_field: str | None = Param("Put the array under this key of an object.", default=None, example="results")
        layout: Literal["array", "lines"] = Param("One array, or one object a line.", default="array")

    params: Params

    def format(self, batches: Iterator[Batch]) -> Iterator[FileEvent]:
        """Yield the files with all records."""
        params = self.params
        max_bytes = int(params.max_file_size * MEGABYTE) if params.max_file_size else None
        if params.layout == "lines":
            parts = Parts(params.file_name, max_bytes=max_bytes)
            before, after = "", "\n"
        else:
            wrap = params.wrap_field
            parts = Parts(
                params.file_name,
                head=(f"{{{col.encode(wrap)}:[\n" if wrap else "[\n").encode(),
                foot=b"\n]}\n" if wrap else b"\n]\n",
                separator=b",\n",
                max_bytes=max_bytes,
            )
            before, after = ",\n", ""
        for batch in batches:
            yield from parts.rows(col.join(before, batch.json_texts(), after))
        yield from parts.end(create_empty=params.create_empty_file)


def _begin(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first chunk from the first character on, without byte order mark and leading blanks, and the rest."""
    held = b""
    for chunk in chunks:
        held += chunk
        text = held.removeprefix(codecs.BOM_UTF8).lstrip()
        if text and len(held) > len(codecs.BOM_UTF8):
            return text, chunks
    return held.removeprefix(codecs.BOM_UTF8).lstrip(), iter(())


def _unwrap(file: FileStart, head: bytes, rest: Iterator[bytes], key: str) -> tuple[bytes, Iterator[bytes]]:
    while (start := member_array(head, key)) < 0:
        chunk = next(rest, None)
        if chunk is None or len(head) > _WRAP_SEARCH_BYTES:
            raise DataError("LB-4104", f'"{file.name}" has no array under "{key}"', hint="Check the param wrapField.")
        head += chunk
    return head[start:], rest


def _is_row_of_objects(block: bytes) -> bool:
    """Whether text that is not JSON lines is objects one after the other, each over as many lines as it likes."""
    ends = exact_ends(block).tolist()
    if ends:
        is_line = _problem(block.partition(b"\n")[0]) is None
        return _decodes(_as_array(block, ends)) and not (is_line and block[ends[-1] :].strip())
    return all(_problem(line) for line in block.split(b"\n", _LINES_LOOKED_AT)[:_LINES_LOOKED_AT] if line.strip())


def _as_array(text: bytes, ends: list[int]) -> bytes:
    """The objects that end at ``ends`` as one array."""
    return b"[" + b",".join(text[start:end] for start, end in zip([0, *ends], ends, strict=False)) + b"]"


def _decodes(text: bytes) -> bool:
    try:
        _ANY.decode(text)
    except _MALFORMED:
        return False
    return True


def _problem(text: bytes) -> str | None:
    """Why ``text`` is not a JSON object; None where it is one."""
    try:
        _OBJECT.decode(text)
    except _MALFORMED as error:
        return _reason(error)
    return None


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    if isinstance(error, RecursionError):
        return "its values are nested too deeply"
    return str(error).removeprefix("JSON is malformed: ")


def _unreadable(file: FileStart, text: bytes) -> DataError:
    """Why ``text``, which should be an array or object, is none."""
    try:
        _ANY.decode(text)
    except _MALFORMED as error:
        reason = _reason(error)
        if "truncated" not in reason or not text.startswith((b"{", b"[")):
            return _invalid(file, reason)
        return DataError(
            "LB-4105",
            f'"{file.name}" is cut off: its end is missing',
            hint="Nothing was delivered. Have the file sent again.",
        )
    return _invalid(file, "it holds neither objects nor an array of objects")


def _invalid(file: FileStart, reason: str) -> DataError:
    return DataError(
        "LB-4101",
        f'"{file.name}" is not valid JSON: {reason}',
        hint="Nothing was delivered. Check that it is JSON and not CSV, for instance with `python -m json.tool`.",
    )
