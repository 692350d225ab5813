"""Files of "who has which attributes", as data-management platforms read them: one record, one line."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from landbridge.components.base import FileEvent, FileStart, Formatter, RecordError, StepServices
from landbridge.components.file.parts import MEGABYTE, Parts
from landbridge.components.params import ComponentParams, Param
from landbridge.records import Batch, columns as col, path as paths

_LOST = "\0"
"""Stands for a value that cannot be written; as a control code it is in no written value."""


@dataclass(frozen=True, slots=True)
class Notation:
    """How one attribute is written: ``before``, its values with ``between`` in between, ``after``."""

    before: str
    between: str
    after: str


@dataclass(frozen=True, slots=True)
class Layout:
    """A platform's kind of line.

    Args:
        after_id: Text between the id and the first attribute.
        between: Text between attributes.
        notation: How an attribute of this name is written.
        unsafe: Characters that would be misread within a name or value; each becomes a blank.
        unsafe_in_id: Regular expression; a record whose id matches is rejected, for an id must not change.
        longest: Most characters of a value; longer ones are left out.
    """

    after_id: str
    between: str
    notation: Callable[[str], Notation]
    unsafe: str
    unsafe_in_id: str
    longest: int | None = None


class AttributeParams(ComponentParams):
    """Parameters of every formatter of such files."""

    create_empty_file: bool = Param("Write a file even when there are no records.", default=False, example=True)
    max_file_size: float | None = Param(
        "Begin a new part before a file grows beyond this size.",
        default=None,
        ge=0.000001,
        unit="MB",
        example=1000,
    )
    id_field: str = Param("The field with the user's id.", default="UID", example="UID")
    element: str = Param(
        "The member to take where the elements of an array are objects.", default="name", example="name"
    )


class AttributeFormatter(Formatter):
    """Base of the formatters of such files: a platform says how a line looks and what a file is called."""

    layout: ClassVar[Layout]
    params: AttributeParams

    @abstractmethod
    def name(self, number: int) -> str:
        """The name of the part of this number, counted from 1."""

    def format(self, batches: Iterator[Batch]) -> Iterator[FileEvent]:
        """Yield the file, or its parts.

        Raises:
            FlowError: LB-1201, ``idField`` is not a field path.
        """
        params = self.params
        lines = AttributeLines(self.layout, id_field=params.id_field, element=params.element, services=self.services)
        names = map(self.name, count(1))
        for event in self._parts(lines, batches):
            yield FileStart(next(names)) if isinstance(event, FileStart) else event
        lines.report()

    def _parts(self, lines: AttributeLines, batches: Iterator[Batch]) -> Iterator[FileEvent]:
        max_bytes = int(self.params.max_file_size * MEGABYTE) if self.params.max_file_size else None
        parts = Parts("part", max_bytes=max_bytes)
        for batch in batches:
            yield from parts.rows(lines.of(batch))
        yield from parts.end(create_empty=self.params.create_empty_file)


class AttributeLines:
    """Turns batches into lines.

    Columns are joined as a whole; only arrays are looked at one by one, each distinct one once. A value
    that is absent, null or empty has no place in a line. An array is several values of its attribute; of
    objects in an array the member ``element`` counts. A record without attributes is a line with its id
    alone.

    Args:
        layout: The platform's kind of line.
        id_field: Written path of the field with the id.
        element: Member that stands for an object in an array.
        services: Where records without a usable id go.
    """

    def __init__(self, layout: Layout, *, id_field: str, element: str, services: StepServices) -> None:
        self._layout = layout
        self._id_field = id_field
        self._id_path = paths.parse(id_field)
        self._element = element
        self._services = services
        self._unsafe = re.compile(rf"[{re.escape(layout.unsafe)}\x00-\x1f\x7f]")
        self._left_out = 0

    def of(self, batch: Batch) -> pa.Array:
        """The lines of ``batch``, each with its line feed, as a string array."""
        ids = col.plain_text(batch.get(self._id_path))
        unusable = pc.fill_null(pc.match_substring_regex(ids, rf"^$|[\x00-\x1f\x7f]|{self._layout.unsafe_in_id}"), True)
        if pc.any(unusable).as_py():
            self._reject(batch.filter(unusable))
            batch, ids = batch.filter(pc.invert(unusable)), ids.filter(pc.invert(unusable))
        columns = batch.remove(self._id_path).columns
        attributes = [text for name, column in columns.items() if (text := self._attribute(name, column)) is not None]
        if not attributes:
            return pc.binary_join_element_wise(ids, self._layout.after_id, "\n", "")
        # Arrow's own way to skip nulls would drop the rows in which all are null.
        joined = pc.binary_join_element_wise(*attributes, "", null_handling="replace", null_replacement="")
        joined = pc.binary_replace_slice(joined, 0, len(self._layout.between), "")
        return pc.binary_join_element_wise(ids, self._layout.after_id, joined, "\n", "")

    def report(self) -> None:
        """Write to the job's trace how many values had no place in the lines."""
        if self._left_out:
            limit = f"longer than {self._layout.longest} characters or " if self._layout.longest else ""
            self._services.log("warning", f"{self._left_out} values were left out: they are {limit}objects")

    def _reject(self, batch: Batch) -> None:
        error = RecordError("LB-4421", f'"{self._id_field}" is empty or holds a character that the format cannot carry')
        self._services.reject(batch, [error] * batch.num_rows)

    def _attribute(self, name: str, column: pa.Array) -> pa.Array | None:
        notation = self._layout.notation(self._clean(".".join(map(str, paths.parse(name)))))
        if col.is_json(column):
            text = col.map_values(column.storage, lambda value: self._several(col.decode(value), notation.between))
        else:
            text = self._single(col.plain_text(column))
        lost = pc.equal(text, _LOST)
        self._left_out += pc.sum(lost).as_py() or 0
        text = pc.if_else(pc.or_(lost, pc.equal(text, "")), pa.scalar(None, pa.string()), text)
        if text.null_count == len(text):
            return None
        return pc.binary_join_element_wise(self._layout.between + notation.before, text, notation.after, "")

    def _single(self, text: pa.Array) -> pa.Array:
        if col.has_any(text, self._layout.unsafe.encode() + b"\x7f", controls=True):
            text = pc.replace_substring_regex(text, self._unsafe.pattern, " ")
        if self._layout.longest is None:
            return text
        return pc.if_else(pc.greater(pc.utf8_length(text), self._layout.longest), _LOST, text)

    def _several(self, value: Any, between: str) -> str:
        """The text of a value that may be an array; ``_LOST`` where a part of it cannot be written."""
        texts = []
        for member in value if isinstance(value, list) else [value]:
            if not member and isinstance(member, dict):
                continue
            scalar = member.get(self._element, member) if isinstance(member, dict) else member
            if isinstance(scalar, dict | list):
                return _LOST
            text = self._clean(scalar if isinstance(scalar, str) else col.encode(scalar))
            if scalar is None or not text:
                continue
            if self._layout.longest is not None and len(text) > self._layout.longest:
                return _LOST
            texts.append(text)
        return between.join(texts)

    def _clean(self, text: str) -> str:
        return self._unsafe.sub(" ", text)
