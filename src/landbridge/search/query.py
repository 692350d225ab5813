"""What a query says, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

FieldPath: TypeAlias = tuple[str, ...]
"""Keys from the record's root to a value; arrays on the way are entered."""

MAX_INTEGER: Final = 2**63 - 1
"""Integers beyond 64 bits are compared as floating point, as every store of ours does."""


class Comparison(StrEnum):
    """The comparison operators."""

    EQUAL = "="
    NOT_EQUAL = "!="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    LESS = "<"
    LESS_OR_EQUAL = "<="


class Aggregate(StrEnum):
    """The functions of a select list."""

    COUNT = "count"
    SUM = "sum"
    MINIMUM = "min"
    MAXIMUM = "max"
    AVERAGE = "avg"
    SUM_OF_SQUARES = "sum_of_squares"
    VARIANCE = "variance"
    STANDARD_DEVIATION = "std"


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant, in each type that a value of a record may have.

    ``text`` is what a text value is compared with, ``number`` what a number, ``boolean`` what a boolean; None where the
    constant has no such form, and then the comparison is false.
    """

    text: str
    number: int | float | None = None
    boolean: bool | None = None


@dataclass(frozen=True, slots=True)
class Compare:
    """``path op literal``."""

    path: FieldPath
    operator: Comparison
    literal: Literal


@dataclass(frozen=True, slots=True)
class OneOf:
    """``path IN (…)``."""

    path: FieldPath
    literals: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Contains:
    """``path CONTAINS literal``: a whole word of a text, or an element of an array."""

    path: FieldPath
    literal: Literal


@dataclass(frozen=True, slots=True)
class Present:
    """``path IS NOT NULL``."""

    path: FieldPath


@dataclass(frozen=True, slots=True)
class Matches:
    """``path = regex('…')`` and ``path LIKE '…'``; ``pattern`` is for ``landbridge.search.patterns``."""

    path: FieldPath
    pattern: str


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a condition."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class And:
    """All of two or more conditions."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of two or more conditions."""

    conditions: tuple[Condition, ...]


Condition: TypeAlias = Compare | OneOf | Contains | Present | Matches | Not | And | Or


@dataclass(frozen=True, slots=True)
class Field:
    """A selected path; the empty path is ``*``."""

    path: FieldPath
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A selected function, ``count(*)`` (path None) or ``sum(data.points)``."""

    function: Aggregate
    path: FieldPath | None
    alias: str | None = None

    @property
    def name(self) -> str:
        """The key of the result, ``count(*)`` where there is no alias."""
        return self.alias or f"{self.function}({'.'.join(self.path) if self.path else '*'})"


@dataclass(frozen=True, slots=True)
class Order:
    """One key of ORDER BY."""

    path: FieldPath
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A whole query. ``start`` and ``limit`` are None where the query does not say."""

    select: tuple[Field | Call, ...]
    source: str
    where: Condition | None = None
    filter: Condition | None = None
    with_objects: tuple[str, ...] = ()
    group_by: tuple[FieldPath, ...] = ()
    order_by: tuple[Order, ...] = ()
    start: int | None = None
    limit: int | None = None

    @property
    def is_aggregate(self) -> bool:
        """Whether the results are groups and not records."""
        return bool(self.group_by) or any(isinstance(item, Call) for item in self.select)

    @property
    def selects_all(self) -> bool:
        """Whether the select list is ``*`` alone, so that records go out as they are."""
        return self.select == (Field(()),)


def paths_of(condition: Condition | None) -> frozenset[FieldPath]:
    """Every path that a condition reads."""
    match condition:
        case None:
            return frozenset()
        case Not(inner):
            return paths_of(inner)
        case And(parts) | Or(parts):
            return frozenset().union(*map(paths_of, parts))
        case _:
            return frozenset((condition.path,))
