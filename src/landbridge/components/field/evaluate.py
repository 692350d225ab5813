"""field.evaluate: fields computed from other fields by expressions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import pyarrow as pa
from pydantic import model_validator

from landbridge.components.base import RecordError, StepServices, Transform
from landbridge.components.jexl import rows
from landbridge.components.jexl.columnar import Columns, NotColumnar
from landbridge.components.jexl.nodes import Node, variables
from landbridge.components.jexl.syntax import parse as parse_expression
from landbridge.components.jexl.values import Failure
from landbridge.components.params import ComponentParams, FieldPath, Param
from landbridge.components.registry import component
from landbridge.dataflow.variables import holds_unresolved
from landbridge.errors import FlowError
from landbridge.records import Batch, columns as col
from landbridge.records.objects import ABSENT
from landbridge.records.path import Path, parse, write


@component("field.evaluate", title="Compute fields")
class FieldEvaluate(Transform):
    """Set fields to the values of expressions, in Apache Commons JEXL: `Subscribed eq 'true' ? 'Yes' : 'No'`.

    Fields are variables, by their dotted paths. A key that itself holds a dot is written with underscores. A field
    that a record lacks is null. Expressions are evaluated in order, each sees what the ones before have set. A result
    that is a field the record lacks sets nothing; the result null sets null.
    """

    class Params(ComponentParams):
        """See the fields."""

        class Rule(ComponentParams):
            """A field and its expression."""

            field: FieldPath = Param("The field to set.", example="OPTIN")
            expression: str = Param("Its value.", example="OPTIN eq 'true' ? 'Y' : 'N'")

            @model_validator(mode="after")
            def _parses(self) -> FieldEvaluate.Params.Rule:
                if holds_unresolved(self.expression):
                    return self
                try:
                    parse_expression(self.expression)
                except FlowError as error:
                    raise FlowError(error.code, f'field "{self.field}": {error.message}', hint=error.hint) from None
                return self

        language: Literal["jexl"] = Param("Language of the expressions.", default="jexl")
        fields: list[Rule] = Param(
            "The fields and their expressions, in order.",
            example=[{"field": "OPTIN", "expression": "OPTIN eq 'true' ? 'Y' : 'N'"}],
        )

    params: Params

    def __init__(self, params: Params, services: StepServices) -> None:
        super().__init__(params, services)
        self._rules = [Rule(rule.field, rule.expression) for rule in params.fields]

    def apply(self, batch: Batch) -> Batch:
        """Evaluate the expressions in order; records for which one has no value are rejected."""
        for rule in self._rules:
            results, failures = rule.results(batch)
            if failures:
                rejected = batch.take(list(failures))
                self.services.reject(rejected, [RecordError("LB-4611", text) for text in failures.values()])
                kept = pa.array([row not in failures for row in range(batch.num_rows)])
                batch, results = batch.filter(kept), results.filter(kept)
            if not col.is_absent(results):
                batch = batch.put(rule.target, results)
        return batch

    def columns(self, before: Sequence[str] | None) -> Sequence[str] | None:
        """Adds the fields at the end."""
        return before and list(dict.fromkeys([*before, *(write(rule.target) for rule in self._rules)]))


class Rule:
    """One expression, compiled, and the field it sets.

    Args:
        field: Written path of the field.
        expression: The expression.

    Raises:
        FlowError: See ``jexl.syntax.parse``.
    """

    def __init__(self, field: str, expression: str) -> None:
        self.target = parse(field)
        self._field = field
        self._node: Node = parse_expression(expression)
        self._variables = sorted(variables(self._node), key=str)
        self._evaluate = rows.compiled(self._node)

    def results(self, batch: Batch) -> tuple[pa.Array, dict[int, str]]:
        """The column of results, and by row number why a record has none."""
        fields = {path: value_of(batch, path) for path in self._variables}
        try:
            return Columns(fields, batch.num_rows).evaluate(self._node), {}
        except NotColumnar:
            return self._by_row(fields, batch.num_rows)

    def _by_row(self, fields: dict[Path, pa.Array], num_rows: int) -> tuple[pa.Array, dict[int, str]]:
        results: list[Any] = []
        failures: dict[int, str] = {}
        values = [col.to_values(fields[path]) for path in self._variables]
        for row, record in enumerate(zip(*values, strict=True) if values else [()] * num_rows):
            try:
                results.append(self._evaluate(dict(zip(self._variables, record, strict=True))))
            except Failure as failure:
                results.append(ABSENT)
                failures[row] = f'the expression for "{self._field}" has no value: {failure}'
        return col.from_values(results), failures


def value_of(batch: Batch, path: Path) -> pa.Array:
    """The values of a variable: its dotted path, else the key that is written with these dots or underscores."""
    found = batch.get(path)
    for other in _other_spellings(batch, path):
        if not found.null_count:
            break
        found = col.choose(col.valid(found), found, batch.get(other))
    return found


def _other_spellings(batch: Batch, path: Path) -> Iterator[Path]:
    keys = [key for key in path if isinstance(key, str)]
    if len(keys) < len(path):
        return
    if len(keys) > 1:
        yield (".".join(keys),)
        return
    if "_" not in keys[0]:
        return
    # A literal dotted key goes before a nested path that is written the same.
    candidates = [parse(name) for name in batch.names]
    for candidate in sorted(candidates, key=len):
        if candidate != path and "_".join(map(str, candidate)).replace(".", "_") == keys[0]:
            yield candidate
