"""The parts of a parsed expression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from landbridge.records.path import Path


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that stands in the expression."""

    value: Any


@dataclass(frozen=True, slots=True)
class Variable:
    """A field of the record, by its path."""

    path: Path


@dataclass(frozen=True, slots=True)
class Array:
    """A list of values in the expression."""

    elements: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Unary:
    """One of ``not``, ``minus``, ``plus``, ``empty``, ``size`` and its operand."""

    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary:
    """An operator and its two operands."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Choice:
    """``condition ? chosen : other``; for ``a ?: b`` the chosen one is None and stands for the condition itself."""

    condition: Node
    chosen: Node | None
    other: Node


@dataclass(frozen=True, slots=True)
class Method:
    """A call of one of the methods in ``values.METHODS``."""

    target: Node
    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """The element of an array or the member of an object that is known only from the record."""

    target: Node
    key: Node


Node: TypeAlias = Constant | Variable | Array | Unary | Binary | Choice | Method | Member


def variables(node: Node) -> frozenset[Path]:
    """The paths of all fields in an expression."""
    match node:
        case Constant():
            return frozenset()
        case Variable(path):
            return frozenset([path])
        case Array(elements):
            return _all(*elements)
        case Unary(_, operand):
            return variables(operand)
        case Binary(_, left, right):
            return _all(left, right)
        case Choice(condition, chosen, other):
            return _all(condition, other, *(() if chosen is None else (chosen,)))
        case Method(target, _, arguments):
            return _all(target, *arguments)
        case Member(target, key):
            return _all(target, key)


def _all(*nodes: Node) -> frozenset[Path]:
    return frozenset().union(*map(variables, nodes))
