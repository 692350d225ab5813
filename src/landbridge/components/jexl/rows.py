"""Expressions record by record: the meaning that the columns must have, too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from landbridge.components.jexl import values
from landbridge.components.jexl.nodes import Array, Binary, Choice, Constant, Member, Method, Node, Unary, Variable
from landbridge.records.path import Path

Row = Mapping[Path, Any]
Evaluate = Callable[[Row], Any]

_UNARY: Final[dict[str, Callable[[Any], Any]]] = {
    "not": lambda value: not values.truth(value),
    "minus": values.minus,
    "plus": values.number,
    "empty": values.is_empty,
    "size": values.size,
}
_BINARY: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "==": values.equals,
    "!=": lambda left, right: not values.equals(left, right),
    "=~": values.matches,
    "!~": lambda left, right: not values.matches(left, right),
    "=^": values.starts_with,
    "!^": lambda left, right: not values.starts_with(left, right),
    "=$": values.ends_with,
    "!$": lambda left, right: not values.ends_with(left, right),
    "+": values.add,
}


def compiled(node: Node) -> Evaluate:
    """A function from the values of the expression's fields to its value; it raises values.Failure."""
    match node:
        case Constant(value):
            return lambda _: value
        case Variable(path):
            return lambda row: row[path]
        case Array(elements):
            parts = [compiled(element) for element in elements]
            return lambda row: [_stored(part(row)) for part in parts]
        case Unary(operator, operand):
            apply, inner = _UNARY[operator], compiled(operand)
            return lambda row: apply(inner(row))
        case Binary():
            return _binary(node)
        case Choice():
            return _choice(node)
        case Method(target, name, arguments):
            owner, given = compiled(target), [compiled(argument) for argument in arguments]
            return lambda row: values.call(name, owner(row), [argument(row) for argument in given])
        case Member(target, key):
            owner, inner = compiled(target), compiled(key)
            return lambda row: values.member(owner(row), inner(row))


def _stored(value: Any) -> Any:
    return None if values.is_null(value) else value


def _binary(node: Binary) -> Evaluate:
    operator, left, right = node.operator, compiled(node.left), compiled(node.right)
    if operator == "&&":
        return lambda row: values.truth(left(row)) and values.truth(right(row))
    if operator == "||":
        return lambda row: values.truth(left(row)) or values.truth(right(row))
    if operator == "??":

        def first_value(row: Row) -> Any:
            value = left(row)
            return right(row) if values.is_null(value) else value

        return first_value
    if operator in _BINARY:
        apply = _BINARY[operator]
        return lambda row: apply(left(row), right(row))
    if operator in ("<", ">", "<=", ">="):
        return lambda row: values.ordered(operator, left(row), right(row))
    return lambda row: values.calculate(operator, left(row), right(row))


def _choice(node: Choice) -> Evaluate:
    condition, other = compiled(node.condition), compiled(node.other)
    if node.chosen is None:

        def itself(row: Row) -> Any:
            value = condition(row)
            return value if values.truth(value) else other(row)

        return itself
    chosen = compiled(node.chosen)
    return lambda row: chosen(row) if values.truth(condition(row)) else other(row)
