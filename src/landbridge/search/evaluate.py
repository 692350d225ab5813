"""A query over records in memory: the meaning that every store must reproduce."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, TypeAlias

from landbridge.search.patterns import matcher, word_finder
from landbridge.search.query import (
    MAX_INTEGER,
    Aggregate,
    And,
    Call,
    Compare,
    Comparison,
    Condition,
    Contains,
    Field,
    FieldPath,
    Literal,
    Matches,
    Not,
    OneOf,
    Or,
    Order,
    Present,
    Query,
)

Record: TypeAlias = Mapping[str, Any]
Test: TypeAlias = Callable[[Any], bool]

_OPERATORS: Final[Mapping[Comparison, Callable[[Any, Any], bool]]] = {
    Comparison.EQUAL: lambda left, right: left == right,
    Comparison.NOT_EQUAL: lambda left, right: left != right,
    Comparison.GREATER: lambda left, right: left > right,
    Comparison.GREATER_OR_EQUAL: lambda left, right: left >= right,
    Comparison.LESS: lambda left, right: left < right,
    Comparison.LESS_OR_EQUAL: lambda left, right: left <= right,
}
_RANK_NUMBER, _RANK_TEXT, _RANK_BOOLEAN, _RANK_ABSENT = 1, 2, 3, 4


@dataclass(frozen=True, slots=True)
class Result:
    """What a query found: the page of records, and how many records (or groups) matched in all."""

    records: tuple[dict[str, Any], ...]
    total: int


def search(query: Query, records: Iterable[Record], *, default_limit: int = 300) -> Result:
    """Run a whole query over records, in their order where the query does not say another.

    Args:
        query: What to find.
        records: Where; the query's source name is not looked at.
        default_limit: Number of results where the query does not say.
    """
    test = compiled(query.where)
    found: list[Any] = [record for record in records if test(record)]
    total = len(found)
    if query.is_aggregate:
        found = aggregate(query, ((record, 1) for record in found))
        total = total if not query.group_by else len(found)
    found = ordered(query.order_by, found)
    start = query.start or 0
    page = found[start : start + (default_limit if query.limit is None else query.limit)]
    if not query.is_aggregate:
        page = [project(query, record) for record in page]
    return Result(tuple(page), total)


def matches(condition: Condition | None, record: Record) -> bool:
    """Whether a record fulfils a condition; no condition is fulfilled by every record."""
    return compiled(condition)(record)


def values_at(record: Any, path: FieldPath) -> Iterator[Any]:
    """The values that a path names, through arrays; nulls are left out."""
    items = [record]
    for key in path:
        below: list[Any] = []
        for item in items:
            if isinstance(item, dict):
                if key in item:
                    below.append(item[key])
            elif isinstance(item, list):
                below += [element[key] for element in item if isinstance(element, dict) and key in element]
        if not below:
            return
        items = below
    for item in items:
        for value in item if isinstance(item, list) else (item,):
            if value is not None:
                yield value


@lru_cache(maxsize=256)
def compiled(condition: Condition | None) -> Test:
    """A function that tells whether a record fulfils a condition."""
    match condition:
        case None:
            return lambda _record: True
        case Not(inner):
            negated = compiled(inner)
            return lambda record: not negated(record)
        case And(parts):
            tests = tuple(map(compiled, parts))
            return lambda record: all(test(record) for test in tests)
        case Or(parts):
            tests = tuple(map(compiled, parts))
            return lambda record: any(test(record) for test in tests)
        case _:
            path, test_value = condition.path, _value_test(condition)
            return lambda record: any(test_value(value) for value in values_at(record, path))


def _value_test(condition: Compare | OneOf | Contains | Present | Matches) -> Test:
    match condition:
        case Present():
            return lambda _value: True
        case Matches(_, pattern):
            fits = matcher(pattern)
            return lambda value: isinstance(value, str) and fits(value)
        case Contains(_, wanted):
            found = word_finder(wanted.text)
            return lambda value: found(value) if isinstance(value, str) else _compare(value, Comparison.EQUAL, wanted)
        case OneOf(_, literals):
            return _membership(literals)
        case Compare(_, operator, wanted):
            return lambda value: _compare(value, operator, wanted)


def _membership(literals: Sequence[Literal]) -> Test:
    texts = {literal.text for literal in literals}
    numbers = {literal.number for literal in literals} - {None}
    booleans = {literal.boolean for literal in literals} - {None}

    def test(value: Any) -> bool:
        if isinstance(value, str):
            return value in texts
        if isinstance(value, bool):
            return value in booleans
        return isinstance(value, int | float) and _stored_number(value) in numbers

    return test


def _compare(value: Any, operator: Comparison, literal: Literal) -> bool:
    if isinstance(value, str):
        return _OPERATORS[operator](value, literal.text)
    if isinstance(value, bool):
        return operator is Comparison.EQUAL and value is literal.boolean
    if isinstance(value, int | float) and literal.number is not None:
        return _OPERATORS[operator](_stored_number(value), literal.number)
    return False


def _stored_number(value: float) -> float:
    return float(value) if isinstance(value, int) and not -MAX_INTEGER <= value <= MAX_INTEGER else value


def ordered(keys: Sequence[Order], records: list[Any]) -> list[Any]:
    """Records in the order of ORDER BY; equal ones stay in their order, and absent values come last in any case."""
    for order in reversed(keys):
        keyed = [(sort_key(record, order.path), record) for record in records]
        present = [pair for pair in keyed if pair[0][0] != _RANK_ABSENT]
        present.sort(key=itemgetter(0), reverse=order.descending)
        records = [pair[1] for pair in present] + [pair[1] for pair in keyed if pair[0][0] == _RANK_ABSENT]
    return records


def sort_key(record: Any, path: FieldPath) -> tuple[int, Any]:
    """Numbers before texts before booleans before what is absent or no scalar; arrays are not entered."""
    for key in path:
        record = record.get(key) if isinstance(record, dict) else None
    if isinstance(record, bool):
        return _RANK_BOOLEAN, record
    if isinstance(record, str):
        return _RANK_TEXT, record
    if isinstance(record, int | float):
        return _RANK_NUMBER, _stored_number(record)
    return _RANK_ABSENT, 0


def project(query: Query, record: Record) -> dict[str, Any]:
    """The selected part of a record: nested as in the record, an alias in place of the last key."""
    if query.selects_all:
        return dict(record)
    selected: dict[str, Any] = {}
    for item in query.select:
        if isinstance(item, Field):
            if not item.path:
                selected.update(record)
            else:
                _take(selected, record, item.path, alias=item.alias)
    if query.filter is not None and isinstance(counters := selected.get("counters"), list):
        keep = compiled(query.filter)
        selected["counters"] = [counter for counter in counters if keep({**counter, "counters": counter})]
    return selected


def _take(target: dict[str, Any], record: Any, path: FieldPath, *, alias: str | None) -> None:
    key, rest = path[0], path[1:]
    value = record.get(key)
    if value is None and not (key in record and not rest):
        return
    if not rest:
        target[alias or key] = value
    elif isinstance(value, dict):
        inner = target.get(key)
        # A copy, because an earlier item of the select list may have put the record's own object here.
        inner = dict(inner) if isinstance(inner, dict) else {}
        _take(inner, value, rest, alias=alias)
        if inner:
            target[key] = inner
    elif isinstance(value, list):
        before = target.get(key)
        rows = list(before) if isinstance(before, list) and len(before) == len(value) else [{} for _ in value]
        rows = [dict(row) if isinstance(row, dict) else {} for row in rows]
        for row, element in zip(rows, value, strict=True):
            if isinstance(element, dict):
                _take(row, element, rest, alias=alias)
        if any(rows):
            target[key] = rows


def aggregate(query: Query, records: Iterable[tuple[Record, int]]) -> list[dict[str, Any]]:
    """The groups of a query with functions, in the order their first record was found.

    Args:
        query: A query with functions or GROUP BY.
        records: Records, each with the number of times it occurs; only what ``paths_read`` names is looked at.
    """
    groups: dict[tuple[Any, ...], tuple[Record, list[_Total]]] = {}
    calls = [item for item in query.select if isinstance(item, Call)]
    for record, times in records:
        key = tuple(sort_key(record, path) for path in query.group_by)
        if key not in groups:
            groups[key] = (record, [_Total() for _ in calls])
        for call, total in zip(calls, groups[key][1], strict=True):
            if call.path is None:
                total.count += times
            else:
                for value in values_at(record, call.path):
                    total.add(value, times)
    if not groups and not query.group_by:
        groups[()] = ({}, [_Total() for _ in calls])
    return [_group(query, first, totals) for first, totals in groups.values()]


def paths_read(query: Query) -> list[FieldPath]:
    """The paths of a record that ``aggregate`` looks at."""
    functions = (item.path for item in query.select if isinstance(item, Call) and item.path is not None)
    return list(dict.fromkeys((*query.group_by, *functions)))


def _group(query: Query, first: Record, totals: Sequence[_Total]) -> dict[str, Any]:
    fields = tuple(item for item in query.select if isinstance(item, Field))
    result = project(Query(fields, query.source), first) if fields and query.group_by else {}
    calls = (item for item in query.select if isinstance(item, Call))
    for call, total in zip(calls, totals, strict=True):
        value = total.result(call.function)
        if value is not None:
            result[call.name] = value
    return result


class _Total:
    """A running total of one function in one group."""

    def __init__(self) -> None:
        self.count = 0
        self.lowest: tuple[int, Any] | None = None
        self.highest: tuple[int, Any] | None = None
        self._numbers = 0
        self._sum: float = 0
        self._squares: float = 0

    def add(self, value: Any, times: int) -> None:
        self.count += times
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return
        key = (_RANK_TEXT, value) if isinstance(value, str) else (_RANK_NUMBER, value)
        self.lowest = key if self.lowest is None or key < self.lowest else self.lowest
        self.highest = key if self.highest is None or key > self.highest else self.highest
        if not isinstance(value, str):
            self._numbers += times
            self._sum += value * times
            self._squares += float(value) * float(value) * times

    def result(self, function: Aggregate) -> Any:
        match function:
            case Aggregate.COUNT:
                return self.count
            case Aggregate.MINIMUM:
                return self.lowest[1] if self.lowest else None
            case Aggregate.MAXIMUM:
                return self.highest[1] if self.highest else None
        if function is Aggregate.SUM:
            return _finite(self._sum)
        if function is Aggregate.SUM_OF_SQUARES:
            return _finite(self._squares)
        if not self._numbers:
            return None
        mean = self._sum / self._numbers
        if function is Aggregate.AVERAGE:
            return _finite(mean)
        variance = max(0.0, self._squares / self._numbers - mean * mean)
        return _finite(variance if function is Aggregate.VARIANCE else math.sqrt(variance))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
