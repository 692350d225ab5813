"""Expressions on whole columns, where that is certain to give what ``rows`` gives.

Certain is: every value has the type of its column, and the operation means the same in Arrow. All else raises
NotColumnar, and the records are evaluated one by one. An Arrow null is an absent field, as in a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from landbridge.components.jexl.nodes import Binary, Choice, Constant, Method, Node, Unary, Variable
from landbridge.components.jexl.values import BLANKS, MAX_TEXT, truth
from landbridge.records import columns as col
from landbridge.records.path import Path

_INT64: Final = 2**63
_ORDER: Final[dict[str, Callable[[Any, Any], pa.Array]]] = {
    "<": pc.less,
    ">": pc.greater,
    "<=": pc.less_equal,
    ">=": pc.greater_equal,
}


class NotColumnar(Exception):
    """The expression must be evaluated record by record."""


class Columns:
    """The columns of an expression's fields.

    Args:
        fields: The values of each field, by path.
        num_rows: Number of records.
    """

    def __init__(self, fields: Mapping[Path, pa.Array], num_rows: int) -> None:
        self._fields = fields
        self._num_rows = num_rows

    def evaluate(self, node: Node) -> pa.Array:
        """The column of results.

        Raises:
            NotColumnar: See the class.
        """
        if isinstance(node, Choice):
            return self._choice(node, self.evaluate)
        if isinstance(node, Constant):
            return self._constant(node.value)
        return self._typed(node)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _typed(self, node: Node) -> pa.Array:
        """A column of one plain type."""
        match node:
            case Constant(value):
                return self._constant(value)
            case Variable(path):
                return _plain(self._fields[path])
            case Unary(operator, operand):
                return self._unary(operator, operand)
            case Binary(operator, left, right):
                return self._binary(operator, left, right)
            case Choice():
                return _plain(self._choice(node, self._typed))
            case Method(target, name, arguments):
                return self._method(self._typed(target), name, arguments)
            case _:
                raise NotColumnar

    def _constant(self, value: Any) -> pa.Array:
        if type(value) not in (str, bool, int, float) or (type(value) is int and not -_INT64 <= value < _INT64):
            raise NotColumnar
        return col.constant(value, self._num_rows)

    def _choice(self, node: Choice, evaluate: Callable[[Node], pa.Array]) -> pa.Array:
        other = evaluate(node.other)
        if node.chosen is None:
            value = self._typed(node.condition)
            return col.choose(_truth(value), value, other)
        return col.choose(self._truth_of(node.condition), evaluate(node.chosen), other)

    def _truth_of(self, node: Node) -> pa.Array:
        if isinstance(node, Constant):
            return pa.repeat(pa.scalar(truth(node.value)), self._num_rows)
        return _truth(self._typed(node))

    def _unary(self, operator: str, operand: Node) -> pa.Array:
        if operator == "not":
            return pc.invert(self._truth_of(operand))
        column = self._typed(operand)
        if operator == "empty":
            return _is_empty(column)
        if operator == "size" and pa.types.is_string(column.type):
            return pc.cast(pc.fill_null(pc.utf8_length(column), 0), pa.int64())
        raise NotColumnar

    def _binary(self, operator: str, left: Node, right: Node) -> pa.Array:
        if operator in ("&&", "||"):
            first, second = self._truth_of(left), self._truth_of(right)
            return pc.and_(first, second) if operator == "&&" else pc.or_(first, second)
        if operator in ("==", "!="):
            equal = self._equal(left, right)
            return equal if operator == "==" else pc.invert(equal)
        first, second = self._typed(left), self._typed(right)
        if operator in _ORDER:
            return _ordered(operator, first, second)
        if operator == "??":
            return _plain(col.choose(pc.is_valid(first), first, second)) if first.type == second.type else _no()
        if operator == "+" and _are_texts(first, second) and not first.null_count and not second.null_count:
            return pc.binary_join_element_wise(_short(first), _short(second), "")
        if operator in ("=^", "!^", "=$", "!$") and _are_texts(first, second):
            found = _affix(operator, first, right)
            return found if operator.startswith("=") else pc.invert(found)
        raise NotColumnar

    def _equal(self, left: Node, right: Node) -> pa.Array:
        if Constant(None) in (left, right):
            other = right if left == Constant(None) else left
            return pc.is_null(self._typed(other))
        return _equal(self._typed(left), self._typed(right))

    def _method(self, target: pa.Array, name: str, arguments: tuple[Node, ...]) -> pa.Array:
        given = [argument.value for argument in arguments if isinstance(argument, Constant)]
        method = _METHODS.get(name)
        if method is None or not pa.types.is_string(target.type) or len(given) != len(arguments):
            raise NotColumnar
        if not all(isinstance(value, str) and value for value in given[:1]) or not all(
            isinstance(value, str) for value in given
        ):
            raise NotColumnar
        return method(target, *given)


def _no(*_: Any) -> pa.Array:
    raise NotColumnar


def _plain(column: pa.Array) -> pa.Array:
    return _no() if col.is_json(column) else column


def _are_texts(first: pa.Array, second: pa.Array) -> bool:
    return bool(pa.types.is_string(first.type) and pa.types.is_string(second.type))


def _truth(column: pa.Array) -> pa.Array:
    if pa.types.is_boolean(column.type):
        found = column
    elif pa.types.is_string(column.type):
        found = pc.and_(pc.not_equal(column, ""), pc.not_equal(column, "false"))
    else:
        found = pc.not_equal(column, 0)
    return pc.fill_null(found, fill_value=False)


def _is_empty(column: pa.Array) -> pa.Array:
    if pa.types.is_boolean(column.type):
        return pc.is_null(column)
    return pc.fill_null(pc.equal(column, "" if pa.types.is_string(column.type) else 0), fill_value=True)


def _equal(first: pa.Array, second: pa.Array) -> pa.Array:
    both, one = _nulls(first, second)
    if pa.types.is_boolean(first.type) or pa.types.is_boolean(second.type):
        first, second = _truth(first), _truth(second)
    elif first.type != second.type:
        raise NotColumnar
    return pc.if_else(one, both, pc.fill_null(pc.equal(first, second), fill_value=False))


def _ordered(operator: str, first: pa.Array, second: pa.Array) -> pa.Array:
    if first.type != second.type or pa.types.is_boolean(first.type):
        raise NotColumnar
    both, one = _nulls(first, second)
    if operator in ("<", ">"):
        both = pa.repeat(pa.scalar(value=False), len(first))
    return pc.if_else(one, both, pc.fill_null(_ORDER[operator](first, second), fill_value=False))


def _nulls(first: pa.Array, second: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Where both have no value, and where one of them at least has none."""
    no_first, no_second = pc.is_null(first), pc.is_null(second)
    return pc.and_(no_first, no_second), pc.or_(no_first, no_second)


def _affix(operator: str, column: pa.Array, affix: Node) -> pa.Array:
    if not isinstance(affix, Constant) or not isinstance(affix.value, str):
        raise NotColumnar
    test = pc.starts_with if operator.endswith("^") else pc.ends_with
    return pc.fill_null(test(column, affix.value), fill_value=False)


def _cased(column: pa.Array, *, change: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Outside of ASCII, cases of letters differ between libraries."""
    if not pc.all(pc.string_is_ascii(column), min_count=0).as_py():
        raise NotColumnar
    return change(column)


def _length(column: pa.Array) -> pa.Array:
    return pc.cast(pc.utf8_length(column), pa.int64())


def _replace(column: pa.Array, old: str, new: str) -> pa.Array:
    return pc.replace_substring(_short(column, times=max(1, len(new))), old, new)


def _short(column: pa.Array, *, times: int = 1) -> pa.Array:
    """The column, if no text can reach the largest length when it grows ``times``-fold and is joined with another."""
    longest = pc.max(pc.binary_length(column)).as_py() or 0
    return column if 2 * times * longest < MAX_TEXT else _no()


_METHODS: Final[dict[str, Callable[..., pa.Array]]] = {
    "toLowerCase": partial(_cased, change=pc.ascii_lower),
    "toUpperCase": partial(_cased, change=pc.ascii_upper),
    "trim": partial(pc.utf8_trim, characters=BLANKS),
    "length": _length,
    "size": _length,
    "contains": pc.match_substring,
    "startsWith": pc.starts_with,
    "endsWith": pc.ends_with,
    "replace": _replace,
}
