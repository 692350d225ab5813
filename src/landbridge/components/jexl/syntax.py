"""From the text of an expression to its parts."""

from __future__ import annotations

import re
from functools import cache, lru_cache, reduce
from pathlib import Path as FilePath
from typing import Any, Final

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken, VisitError

from landbridge.components.jexl.nodes import Array, Binary, Choice, Constant, Member, Method, Node, Unary, Variable
from landbridge.components.jexl.values import METHODS
from landbridge.components.regex import compile_pattern
from landbridge.dataflow.problems import closest
from landbridge.errors import FlowError

MAX_LENGTH: Final = 20_000
"""Longest expression, in characters."""

MAX_DEPTH: Final = 100
"""Deepest nesting of brackets and operators."""

_SPELLINGS: Final = {
    "eq": "==", "ne": "!=", "lt": "<", "gt": ">", "le": "<=", "ge": ">=", "div": "/", "mod": "%",
}  # fmt: skip
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_FUNCTIONS: Final = ("empty", "size")
_REGEX_METHODS: Final = ("matches", "replaceAll", "replaceFirst", "split")
_HINT: Final = "docs/expressions.md has the grammar."


@lru_cache(maxsize=1024)
def parse(text: str) -> Node:
    """Read an expression.

    Raises:
        FlowError: LB-1611, it does not follow the grammar; LB-1612, it calls a function or method that does not
            exist; LB-1613, it is too long or nested too deeply. The first two name line and column.
    """
    if len(text) > MAX_LENGTH:
        raise FlowError("LB-1613", f"the expression has more than {MAX_LENGTH:,} characters", hint=_HINT)
    try:
        tree = _grammar().parse(text)
        node: Node = _Builder().transform(tree)
    except UnexpectedInput as error:
        raise _malformed(text, error) from None
    except VisitError as error:
        if isinstance(error.orig_exc, FlowError):
            raise error.orig_exc from None
        raise
    except RecursionError:
        raise FlowError("LB-1613", "the expression is nested too deeply", hint=_HINT) from None
    if _depth(node) > MAX_DEPTH:
        raise FlowError("LB-1613", f"the expression is nested deeper than {MAX_DEPTH} levels", hint=_HINT)
    return node


@cache
def _grammar() -> Lark:
    grammar = FilePath(__file__).with_name("grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", maybe_placeholders=True)


def _depth(node: Node) -> int:
    deepest, level = 0, [node]
    while level:
        deepest += 1
        level = [child for item in level for child in _children(item)]
    return deepest


def _children(node: Node) -> tuple[Node, ...]:
    match node:
        case Array(elements):
            return elements
        case Unary(_, operand):
            return (operand,)
        case Binary(_, left, right):
            return (left, right)
        case Choice(condition, chosen, other):
            return (condition, other) if chosen is None else (condition, chosen, other)
        case Method(target, _, arguments):
            return (target, *arguments)
        case Member(target, key):
            return (target, key)
        case _:
            return ()


@v_args(inline=True)
class _Builder(Transformer[Token, Any]):
    """One method a rule of the grammar."""

    def either(self, first: Node, *rest: Any) -> Node:
        return reduce(lambda left, right: Binary("||", left, right), rest[1::2], first)

    def both(self, first: Node, *rest: Any) -> Node:
        return reduce(lambda left, right: Binary("&&", left, right), rest[1::2], first)

    def equality(self, left: Node, operator: Token | None, right: Node | None) -> Node:
        return (
            left if operator is None or right is None else Binary(_SPELLINGS.get(operator, str(operator)), left, right)
        )

    def relation(self, left: Node, operator: Token | None, right: Node | None) -> Node:
        if operator is None or right is None:
            return left
        if operator in ("=~", "!~") and isinstance(right, Constant) and isinstance(right.value, str):
            _check_regex(right.value, operator)
        return Binary(_SPELLINGS.get(operator, str(operator)), left, right)

    def sum(self, first: Node, *rest: Any) -> Node:
        return _left_to_right(first, rest)

    def product(self, first: Node, *rest: Any) -> Node:
        return _left_to_right(first, rest)

    def ternary(self, condition: Node, chosen: Node, other: Node) -> Node:
        return Choice(condition, chosen, other)

    def elvis(self, condition: Node, other: Node) -> Node:
        return Choice(condition, None, other)

    def coalesce(self, left: Node, right: Node) -> Node:
        return Binary("??", left, right)

    def negation(self, _: Token, operand: Node) -> Node:
        return Unary("not", operand)

    def minus(self, operand: Node) -> Node:
        if isinstance(operand, Constant) and type(operand.value) in (int, float):
            return Constant(-operand.value)
        return Unary("minus", operand)

    def plus(self, operand: Node) -> Node:
        return Unary("plus", operand)

    def empty(self, _: Token, operand: Node) -> Node:
        return Unary("empty", operand)

    def size(self, _: Token, operand: Node) -> Node:
        return Unary("size", operand)

    def member(self, target: Node, name: Token) -> Node:
        return _member(target, Constant(str(name)))

    def quoted_member(self, target: Node, name: Token) -> Node:
        return _member(target, Constant(_unquoted(name)))

    def index(self, target: Node, key: Node) -> Node:
        return _member(target, key)

    def method(self, target: Node, name: Token, arguments: tuple[Node, ...] | None) -> Node:
        given = arguments or ()
        if name not in METHODS:
            raise _unknown(f"method {name}()", name, METHODS)
        fewest, most = METHODS[name]
        if not fewest <= len(given) <= most:
            wanted = str(fewest) if fewest == most else f"{fewest} to {most}"
            raise FlowError("LB-1612", f"{name}() takes {wanted} values, not {len(given)}{_place(name)}", hint=_HINT)
        if name in _REGEX_METHODS and isinstance(given[0], Constant):
            _check_regex(given[0].value, name)
        return Method(target, str(name), given)

    def function(self, name: Token, arguments: tuple[Node, ...] | None) -> Node:
        del arguments
        raise _unknown(f"function {name}()", name, _FUNCTIONS)

    def arguments(self, *values: Node) -> tuple[Node, ...]:
        return values

    def array(self, elements: tuple[Node, ...] | None) -> Node:
        return Array(elements or ())

    def name(self, name: Token) -> Node:
        return Variable((str(name),))

    def integer(self, digits: Token) -> Node:
        return Constant(int(digits.rstrip("lLhH")))

    def decimal(self, digits: Token) -> Node:
        return Constant(float(digits.rstrip("dDfFbB")))

    def text(self, quoted: Token) -> Node:
        return Constant(_unquoted(quoted))

    def true(self, _: Token) -> Node:
        return Constant(True)

    def false(self, _: Token) -> Node:
        return Constant(False)

    def null(self, _: Token) -> Node:
        return Constant(None)


def _left_to_right(first: Node, rest: tuple[Any, ...]) -> Node:
    node = first
    for operator, right in zip(rest[::2], rest[1::2], strict=True):
        node = Binary(_SPELLINGS.get(operator, str(operator)), node, right)
    return node


def _member(target: Node, key: Node) -> Node:
    """A longer path where all is known, else a look-up in the value."""
    if isinstance(target, Variable) and isinstance(key, Constant) and type(key.value) in (str, int):
        if isinstance(key.value, int) and key.value < 0:
            return Constant(None)
        step = int(key.value) if isinstance(key.value, str) and key.value.isdecimal() else key.value
        return Variable((*target.path, step))
    return Member(target, key)


def _unquoted(quoted: str) -> str:
    def plain(match: re.Match[str]) -> str:
        return chr(int(match[1], 16)) if match[1] else _ESCAPES.get(match[2], match[2])

    return _ESCAPE.sub(plain, quoted[1:-1])


def _check_regex(regex: Any, token: Token) -> None:
    try:
        compile_pattern(str(regex))
    except ValueError as error:
        raise FlowError("LB-1611", f"{error}{_place(token)}", hint=_HINT) from None


def _place(token: Token) -> str:
    return f" at line {token.line}, column {token.column}"


def _unknown(what: str, name: Token, known: Any) -> FlowError:
    close = closest(name, known)
    hint = f"Did you mean {close}()?" if close else f"There are: {', '.join(known)}."
    return FlowError("LB-1612", f"the expression calls the unknown {what}{_place(name)}", hint=hint)


def _malformed(text: str, error: UnexpectedInput) -> FlowError:
    if isinstance(error, UnexpectedEOF) or (isinstance(error, UnexpectedToken) and error.token.type == "$END"):
        what, line, column = "it ends too early", text.count("\n") + 1, len(text) - text.rfind("\n")
    else:
        line, column = error.line, error.column
        found = error.token if isinstance(error, UnexpectedToken) else _character(text, error)
        what = f'"{found}" is not expected there'
    hint = _HINT
    if what.startswith('"="'):
        hint = "Write == or eq to compare; fields are set by the param field."
    return FlowError("LB-1611", f"the expression is wrong at line {line}, column {column}: {what}", hint=hint)


def _character(text: str, error: UnexpectedInput) -> str:
    at = error.pos_in_stream
    return text[at : at + 1] if isinstance(error, UnexpectedCharacters) and at is not None else ""
