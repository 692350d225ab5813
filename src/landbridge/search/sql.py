"""Conditions and orders as SQL over a table of JSON documents; every value of the query is a bound parameter.

The document is a JSON text in one column. Fields that are searched most have columns of their own, so that an index
serves them. The meaning is that of ``landbridge.search.evaluate``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from landbridge.search.query import (
    And,
    Compare,
    Comparison,
    Condition,
    Contains,
    FieldPath,
    Literal,
    Matches,
    Not,
    OneOf,
    Or,
    Order,
    Present,
)

Value: TypeAlias = str | int | float


class ColumnType(StrEnum):
    """What an indexed column holds."""

    INTEGER = "integer"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Column:
    """A column that holds the value of one path, or null where it is absent."""

    name: str
    type: ColumnType


@dataclass(frozen=True, slots=True)
class Side:
    """A table that holds the values of one array path, one row each: ``key`` refers to the document's ``id``."""

    table: str
    key: str
    value: str
    only: str = ""
    """A condition on the table's rows, as SQL."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table keeps its documents."""

    document: str
    """The column with the JSON text."""
    identity: str = "id"
    columns: Mapping[FieldPath, Column | Side] = None  # type: ignore[assignment]

    def column(self, path: FieldPath) -> Column | Side | None:
        """The column or table that holds the values of ``path``; None where only the document does."""
        return self.columns.get(path) if self.columns else None


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of SQL with its parameters, in the order of the question marks."""

    text: str
    parameters: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """SQL for one value of a document: the name of its JSON type, and itself as a text and as a number."""

    kind: str
    text: str
    number: str


class Dialect(Protocol):
    """How a database looks into a JSON document."""

    def any_value(self, document: str, path: FieldPath, test: Callable[[Found], Fragment]) -> Fragment:
        """SQL that is true where a value at ``path`` passes ``test``."""
        ...

    def sort_keys(self, document: str, path: FieldPath) -> Sequence[Fragment]:
        """SQL for the rank of a value's type (4 = absent), and for the value, in one or more keys."""
        ...

    def matches(self, value: str, pattern: str) -> Fragment:
        """SQL that is true where a text matches a pattern of ``landbridge.search.patterns`` as a whole."""
        ...

    def has_words(self, value: str, words: str) -> Fragment:
        """SQL that is true where a text holds words between word separators."""
        ...

    def json_text(self, document: str, path: FieldPath) -> str:
        """SQL for the JSON text of the value at ``path``, without entering arrays; null where there is none."""
        ...

    def is_array(self, document: str, path: FieldPath) -> str:
        """SQL that is true where the value at ``path`` is an array."""
        ...


TYPE_TEXT, TYPE_NUMBER, TYPE_TRUE, TYPE_FALSE = "text", "number", "true", "false"
"""The names of JSON types that ``Dialect.any_value`` gives; anything else is an object, an array or a null."""

_DECODER: Final = msgspec.json.Decoder()
_TRUE: Final = Fragment("1=1")
_FALSE: Final = Fragment("1=0")


def where(condition: Condition | None, layout: Layout, dialect: Dialect) -> Fragment:
    """A condition as SQL that is true or false and never null."""
    match condition:
        case None:
            return _TRUE
        case Not(inner):
            fragment = where(inner, layout, dialect)
            return Fragment(f"NOT ({fragment.text})", fragment.parameters)
        case And(parts):
            return _joined("AND", [where(part, layout, dialect) for part in parts])
        case Or(parts):
            return _joined("OR", [where(part, layout, dialect) for part in parts])
        case _:
            column = layout.column(condition.path)
            if isinstance(column, Side):
                return _in_side_table(condition, column, layout, dialect)
            if column is not None:
                return _in_column(condition, column, dialect)
            return dialect.any_value(
                layout.document, condition.path, lambda found: value_test(condition, found, dialect)
            )


def order_by(keys: Sequence[Order], layout: Layout, dialect: Dialect) -> Fragment:
    """ORDER BY with the table's own order last, so that the order is total; without the words ``ORDER BY``."""
    parts: list[Fragment] = []
    for key in keys:
        direction = " DESC" if key.descending else ""
        column = layout.column(key.path)
        if isinstance(column, Column):
            parts.append(Fragment(f"{column.name}{direction} NULLS LAST"))
            continue
        rank, *values = dialect.sort_keys(layout.document, key.path)
        parts.append(Fragment(f"({rank.text} = 4)", rank.parameters))
        parts.extend(Fragment(f"{part.text}{direction}", part.parameters) for part in (rank, *values))
    parts.append(Fragment(layout.identity))
    return Fragment(", ".join(part.text for part in parts), _parameters(parts))


def parts(paths: Sequence[FieldPath], document: str, dialect: Dialect) -> str:
    """SQL for what the documents have at some paths, a column each.

    A column holds the JSON text of the value. Where an array stands on the way it holds all of the outermost value,
    with a blank before it.
    """
    columns: list[str] = []
    for path in paths:
        text = dialect.json_text(document, path)
        arrays = " OR ".join(dialect.is_array(document, path[:length]) for length in range(1, len(path)))
        whole = f"' ' || {dialect.json_text(document, path[:1])}"
        columns.append(f"CASE WHEN {arrays} THEN {whole} ELSE {text} END" if arrays else text)
    return ", ".join(columns)


def rebuilt(paths: Sequence[FieldPath], texts: Sequence[str | None]) -> dict[str, Any]:
    """A record with only what stands at some paths; see ``parts``."""
    record: dict[str, Any] = {}
    # Short paths first: what stands below them is then there already.
    for path, text in sorted(zip(paths, texts, strict=True), key=lambda part: len(part[0])):
        if text is None:
            continue
        is_whole = text.startswith(" ")
        *parents, last = path[:1] if is_whole else path
        holder: Any = record
        for key in parents:
            holder = holder.setdefault(key, {}) if isinstance(holder, dict) else None
        if isinstance(holder, dict) and (is_whole or last not in holder):
            holder[last] = _DECODER.decode(text)
    return record


def value_test(condition: Compare | OneOf | Contains | Present | Matches, found: Found, dialect: Dialect) -> Fragment:
    """SQL that tests one value."""
    match condition:
        case Present():
            return Fragment(f"{found.kind} <> 'null'")
        case Matches(_, pattern):
            return _typed(found.kind, {TYPE_TEXT: dialect.matches(found.text, pattern)})
        case Contains(_, literal):
            tests = _equalities(found, [literal])
            return _typed(found.kind, {**tests, TYPE_TEXT: dialect.has_words(found.text, literal.text)})
        case OneOf(_, literals):
            return _typed(found.kind, _equalities(found, literals))
        case Compare(_, Comparison.EQUAL, literal):
            return _typed(found.kind, _equalities(found, [literal]))
        case Compare(_, operator, literal):
            tests = {TYPE_TEXT: Fragment(f"{found.text} {operator} ?", (literal.text,))}
            if literal.number is not None:
                tests[TYPE_NUMBER] = Fragment(f"{found.number} {operator} ?", (literal.number,))
            return _typed(found.kind, tests)


def _equalities(found: Found, literals: Sequence[Literal]) -> dict[str, Fragment]:
    tests = {TYPE_TEXT: _one_of(found.text, [literal.text for literal in literals])}
    numbers = [literal.number for literal in literals if literal.number is not None]
    if numbers:
        tests[TYPE_NUMBER] = _one_of(found.number, numbers)
    for name, boolean in ((TYPE_TRUE, True), (TYPE_FALSE, False)):
        if any(literal.boolean is boolean for literal in literals):
            tests[name] = _TRUE
    return tests


def _typed(kind: str, tests: Mapping[str, Fragment]) -> Fragment:
    cases = " ".join(f"WHEN '{name}' THEN {test.text}" for name, test in tests.items())
    return Fragment(f"CASE {kind} {cases} ELSE 1=0 END", _parameters(tests.values()))


def _one_of(value: str, wanted: Sequence[Value]) -> Fragment:
    if len(wanted) == 1:
        return Fragment(f"{value} = ?", (wanted[0],))
    unique = tuple(dict.fromkeys(wanted))
    return Fragment(f"{value} IN ({','.join('?' * len(unique))})", unique)


def _in_column(condition: Compare | OneOf | Contains | Present | Matches, column: Column, dialect: Dialect) -> Fragment:
    if isinstance(condition, Present):
        return Fragment(f"{column.name} IS NOT NULL")
    test = _column_test(condition, column.name, column.type, dialect)
    return Fragment(f"({column.name} IS NOT NULL AND {test.text})", test.parameters)


def _in_side_table(
    condition: Compare | OneOf | Contains | Present | Matches, side: Side, layout: Layout, dialect: Dialect
) -> Fragment:
    only = f"{side.only} AND " if side.only else ""
    test = _column_test(condition, side.value, ColumnType.TEXT, dialect)
    text = f"{layout.identity} IN (SELECT {side.key} FROM {side.table} WHERE {only}{test.text})"  # noqa: S608 - bound
    return Fragment(text, test.parameters)


def _column_test(
    condition: Compare | OneOf | Contains | Present | Matches, name: str, kind: ColumnType, dialect: Dialect
) -> Fragment:
    match condition:
        case Present():
            return _TRUE
        case Matches(_, pattern):
            return dialect.matches(name, pattern) if kind is ColumnType.TEXT else _FALSE
        case Contains(_, literal) if kind is ColumnType.TEXT:
            return dialect.has_words(name, literal.text)
        case Contains(path, literal):
            return _column_test(OneOf(path, (literal,)), name, kind, dialect)
        case OneOf(_, literals):
            wanted = [form for literal in literals if (form := _form(literal, kind)) is not None]
            return _one_of(name, wanted) if wanted else _FALSE
        case Compare(_, operator, literal):
            form = _form(literal, kind)
            return _FALSE if form is None else Fragment(f"{name} {operator} ?", (form,))


def _form(literal: Literal, kind: ColumnType) -> Value | None:
    return literal.text if kind is ColumnType.TEXT else literal.number


def _joined(operator: str, parts: Sequence[Fragment]) -> Fragment:
    # As a balanced tree, because databases limit the depth of an expression.
    if len(parts) == 1:
        return Fragment(f"({parts[0].text})", parts[0].parameters)
    middle = len(parts) // 2
    left, right = _joined(operator, parts[:middle]), _joined(operator, parts[middle:])
    return Fragment(f"({left.text} {operator} {right.text})", left.parameters + right.parameters)


def _parameters(parts: Iterable[Fragment]) -> tuple[Any, ...]:
    return tuple(parameter for part in parts for parameter in part.parameters)
