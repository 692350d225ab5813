"""What fields hold: constants, replaced texts, reformatted dates."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import model_validator

from landbridge.components.base import RecordError, StepServices, Transform
from landbridge.components.dates import Convert, reformat
from landbridge.components.field.params import FieldValue
from landbridge.components.params import ComponentParams, FieldPath, Param
from landbridge.components.regex import Replacement, compile_replacement
from landbridge.components.registry import component
from landbridge.errors import FlowError
from landbridge.records import Batch, columns as col
from landbridge.records.needs import Needs
from landbridge.records.path import Path, parse, write


@component("field.add", title="Add fields")
class Add(Transform):
    """Set fields to a constant in every record; a dotted name makes nested objects."""

    class Params(ComponentParams):
        """See the fields."""

        fields: list[FieldValue] = Param(
            "The fields and their values.", example=[{"field": "data.source", "value": "landbridge"}]
        )

    params: Params

    def apply(self, batch: Batch) -> Batch:
        """Set the constants in order."""
        for pair in self.params.fields:
            batch = batch.put(parse(pair.field), col.constant(pair.value, batch.num_rows))
        return batch

    def needs(self, after: Needs) -> Needs:
        """Reads no field."""
        return after

    def columns(self, before: Sequence[str] | None) -> Sequence[str] | None:
        """Adds the fields at the end."""
        added = [write(parse(pair.field)) for pair in self.params.fields]
        return before and list(dict.fromkeys([*before, *added]))


@component("field.replace", title="Replace text")
class Replace(Transform):
    """Replace what a regular expression matches, with the rules of Java's `replaceAll`.

    `$1` and `${name}` in the replacement stand for groups. Only texts are changed, also those within arrays; numbers
    and booleans stay as they are. An alternative that matches the empty text, such as `(a|)`, is ignored unless
    `matchEmpty` is set: taken literally it would put the replacement between any two characters.
    """

    class Params(ComponentParams):
        """See the fields."""

        class Rule(ComponentParams):
            """One replacement."""

            field: FieldPath = Param("The field, or `*` for all.", example="*")
            regex: str = Param("Regular expression as Java has them.", example="[|\\n]")
            replacement: str = Param("Text to put in its place; `$1` is the first group.", default="", example=" ")

            @model_validator(mode="after")
            def _compiles(self) -> Replace.Params.Rule:
                compile_replacement(self.regex, self.replacement)
                return self

        fields: list[Rule] = Param(
            "The replacements, in order.", example=[{"field": "*", "regex": "[|\\n]", "replacement": " "}]
        )
        match_empty: bool = Param("Let the expression match the empty text between two characters.", default=False)

    params: Params

    def __init__(self, params: Params, services: StepServices) -> None:
        super().__init__(params, services)
        self._rules = [
            (
                rule.field,
                compile_replacement(rule.regex, rule.replacement, match_empty=params.match_empty),
            )
            for rule in params.fields
        ]

    def apply(self, batch: Batch) -> Batch:
        """Apply the rules in order."""
        for field, replacement in self._rules:
            if field == "*":
                changed = {name: _replaced(batch.column(name), replacement) for name in batch.names}
                batch = Batch(changed, batch.num_rows)
            else:
                path = parse(field)
                changed = {
                    name: _replaced(batch.column(name), replacement)
                    for name in batch.names
                    if parse(name)[: len(path)] == path
                }
                batch = batch.with_columns(changed).change_within(path, partial(_within, replacement))
        return batch

    def needs(self, after: Needs) -> Needs:
        """Changes fields in their places."""
        return after

    def columns(self, before: Sequence[str] | None) -> Sequence[str] | None:
        """Names stay as they are."""
        return before


def _replaced(column: pa.Array, replacement: Replacement) -> pa.Array:
    if pa.types.is_string(column.type):
        return replacement.on_texts(column)
    if col.is_json(column):
        return col.json_array(
            col.map_values(column.storage, lambda text: col.encode(_within(replacement, col.decode(text))))
        )
    return column


def _within(replacement: Replacement, value: Any) -> Any:
    if isinstance(value, str):
        return replacement.on_text(value)
    if isinstance(value, list):
        return [_within(replacement, element) for element in value]
    if isinstance(value, dict):
        return {key: _within(replacement, member) for key, member in value.items()}
    return value


@component("field.date.format", title="Reformat dates")
class DateFormat(Transform):
    """Rewrite dates and times from one pattern to another, with the letters of Java's SimpleDateFormat.

    A value that does not fit the source pattern is a failed record.
    """

    class Params(ComponentParams):
        """See the fields."""

        class Rule(ComponentParams):
            """One field's patterns."""

            field: FieldPath = Param("The field to rewrite.", example="created")
            target_field: FieldPath | None = Param("Where the result goes, if not to the same field.", default=None)
            source_format: str = Param(
                "Pattern of the value, `unix` (seconds), `unixms`, or `iso`.",
                default="iso",
                aliases=("inputFormat", "fromFormat"),
                example="yyyy-MM-dd'T'HH:mm:ss.SSSX",
            )
            target_format: str = Param(
                "Pattern of the result, `unix`, `unixms`, or `iso`.",
                aliases=("outputFormat", "toFormat", "format"),
                example="dd/MM/yyyy",
            )
            source_time_zone: str = Param("Zone of a value that names none.", default="UTC", example="Europe/Zurich")
            target_time_zone: str = Param("Zone of the result.", default="UTC", example="Europe/Zurich")

            @model_validator(mode="after")
            def _compiles(self) -> DateFormat.Params.Rule:
                self.converter()
                return self

            def converter(self) -> Convert:
                """The conversion of one value."""
                return reformat(
                    self.source_format,
                    self.target_format,
                    source_zone=self.source_time_zone,
                    target_zone=self.target_time_zone,
                )

        fields: list[Rule] = Param(
            "The fields and their patterns.", example=[{"field": "created", "targetFormat": "dd/MM/yyyy"}]
        )

    params: Params

    def apply(self, batch: Batch) -> Batch:
        """Rewrite the fields; records with a value that does not fit are rejected."""
        for rule in self.params.fields:
            source = parse(rule.field)
            batch = self._rewritten(batch, source, parse(rule.target_field) if rule.target_field else source, rule)
        return batch

    def _rewritten(self, batch: Batch, source: Path, target: Path, rule: Params.Rule) -> Batch:
        values = col.plain_text(batch.get(source))
        convert = rule.converter()

        def attempt(text: str) -> str | None:
            try:
                return convert(text)
            except (ValueError, FlowError):
                return None

        rewritten = col.map_values(values, attempt)
        failed = pc.and_(pc.is_valid(values), pc.is_null(rewritten))
        if pc.any(failed).as_py():
            rejected = batch.filter(failed)
            error = RecordError("LB-4501", f'"{write(source)}" is not a date of the form {rule.source_format}')
            self.services.reject(rejected, [error] * rejected.num_rows)
            kept = pc.invert(failed)
            batch, rewritten = batch.filter(kept), rewritten.filter(kept)
        numeric = rule.target_format in ("unix", "unixms")
        return batch.put(target, pc.cast(rewritten, pa.int64()) if numeric else rewritten)

    def columns(self, before: Sequence[str] | None) -> Sequence[str] | None:
        """Adds targets that are fields of their own."""
        targets = [write(parse(rule.target_field)) for rule in self.params.fields if rule.target_field]
        return before and list(dict.fromkeys([*before, *targets]))
