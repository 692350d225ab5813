"""From the text of a query to ``Query``."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any, Final, NoReturn

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken, VisitError

from landbridge.search import patterns
from landbridge.search.errors import QueryError
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

MAX_QUERY_CHARS: Final = 1_000_000
MAX_DEPTH: Final = 64
"""Parentheses and negations inside one another."""

_COUNT_DIGITS: Final = 18
_ESCAPE: Final = re.compile(r"""\\(u[0-9a-fA-F]{4}|["'\\/nrtbf])""")
_ESCAPED: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_SURROGATES: Final = range(0xD800, 0xE000)
_JSON_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_QUOTED: Final = re.compile(r"""(["'])(?:(?!\1)[^\\]|\\[\s\S])*(?:\1|\\?\Z)""")
_MANY_NEGATIONS: Final = re.compile(rf"(?:(?:!|\bnot\b)[\s(]*+){{{MAX_DEPTH}}}", re.IGNORECASE)
_BOOLEANS: Final = {"true": True, "false": False}
_OPERATORS: Final = {"<>": "!=", "==": "="}
_NULL: Final = Literal("null")
_WITHOUT_NULL: Final = "null can only be compared by = and !="


@lru_cache(maxsize=512)
def parse(text: str) -> Query:
    """Read a query.

    Raises:
        QueryError: It is not a query; the error names the position.
    """
    if len(text) > MAX_QUERY_CHARS:
        raise QueryError(f"it is longer than {MAX_QUERY_CHARS:,} characters")
    _check_depth(text)
    try:
        query = _LARK.parse(text)
    except UnexpectedInput as error:
        _refuse(error, text)
    except VisitError as error:
        if isinstance(error.orig_exc, QueryError):
            raise error.orig_exc from None
        raise
    if not isinstance(query, Query):
        raise QueryError("it is not a query")
    return query


def literal(value: str | float | bool) -> Literal:
    """The literal that a Python value stands for."""
    if isinstance(value, bool):
        return Literal("true" if value else "false", boolean=value)
    if isinstance(value, str):
        return Literal(value, _number(value) if _JSON_NUMBER.fullmatch(value) else None, _BOOLEANS.get(value.lower()))
    return Literal(repr(value), value)


def _number(text: str) -> int | float | None:
    if text.lstrip("-").isdecimal() and len(text) <= _COUNT_DIGITS + 2 and abs(number := int(text)) <= MAX_INTEGER:
        return number
    return None if math.isinf(real := float(text)) else real


def _check_depth(text: str) -> None:
    bare = _QUOTED.sub("''", text)
    depth = deepest = 0
    for match in re.finditer(r"[()]", bare):
        depth += 1 if match[0] == "(" else -1
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH or _MANY_NEGATIONS.search(bare):
        raise QueryError(f"conditions are nested deeper than {MAX_DEPTH}")


def _refuse(error: UnexpectedInput, text: str) -> NoReturn:
    if isinstance(error, UnexpectedEOF) or (isinstance(error, UnexpectedToken) and error.token.type == "$END"):
        raise QueryError("it ends too early", position=len(text) + 1) from None
    position = (error.pos_in_stream or 0) + 1
    if isinstance(error, UnexpectedCharacters):
        unclosed = text[position - 1] in "\"'"
        raise QueryError("a text is not closed" if unclosed else "unexpected character", position=position) from None
    raise QueryError("unexpected word", position=position, hint="Clauses have a fixed order.") from None


@v_args(inline=True)
class _Build(Transformer[Token, Any]):
    """Turns what the grammar found into values, as it is found."""

    def start(self, select: tuple[Field | Call, ...], source: str, *clauses: tuple[str, Any]) -> Query:
        given: dict[str, Any] = {}
        for name, value in clauses:
            if name in given:
                raise QueryError(f"{name.split('_')[0].upper()} stands twice")
            given[name] = value
        return Query(select, source, **given)

    def select(self, *items: Field | Call) -> tuple[Field | Call, ...]:
        return items

    def everything(self, _star: Token) -> Field:
        return Field(())

    def field(self, path: FieldPath, alias: str | None = None) -> Field:
        return Field(path, alias)

    def call(self, function: Token, argument: Token | FieldPath, alias: str | None = None) -> Call:
        name = Aggregate(function.lower())
        if isinstance(argument, tuple):
            return Call(name, argument, alias)
        if name is not Aggregate.COUNT:
            raise QueryError(f"{name}() needs a field", position=(function.start_pos or 0) + 1)
        return Call(name, None, alias)

    def where(self, condition: Condition) -> tuple[str, Condition]:
        return "where", condition

    def filter(self, condition: Condition) -> tuple[str, Condition]:
        return "filter", condition

    def with_(self, *names: str) -> tuple[str, tuple[str, ...]]:
        return "with_objects", names

    def group(self, *paths: FieldPath) -> tuple[str, tuple[FieldPath, ...]]:
        return "group_by", paths

    def order(self, *keys: Order) -> tuple[str, tuple[Order, ...]]:
        return "order_by", keys

    def key(self, path: FieldPath, direction: Token | None = None) -> Order:
        return Order(path, descending=direction is not None and direction.lower() == "desc")

    def offset(self, number: Token) -> tuple[str, int]:
        return "start", _count(number)

    def limit(self, number: Token) -> tuple[str, int]:
        return "limit", _count(number)

    def either(self, *conditions: Condition) -> Condition:
        return conditions[0] if len(conditions) == 1 else Or(conditions)

    def both(self, *conditions: Condition) -> Condition:
        return conditions[0] if len(conditions) == 1 else And(conditions)

    def negation(self, condition: Condition) -> Condition:
        return Not(condition)

    def compare(self, path: FieldPath, operator: Token, value: Literal) -> Condition:
        comparison = Comparison(_OPERATORS.get(operator, operator))
        if value is _NULL:
            if comparison is Comparison.EQUAL:
                return Not(Present(path))
            if comparison is Comparison.NOT_EQUAL:
                return Present(path)
            raise QueryError(_WITHOUT_NULL, position=(operator.start_pos or 0) + 1)
        if comparison is Comparison.NOT_EQUAL:
            return Not(Compare(path, Comparison.EQUAL, value))
        return Compare(path, comparison, value)

    def matches(self, path: FieldPath, operator: Token, pattern: Token) -> Condition:
        comparison = Comparison(_OPERATORS.get(operator, operator))
        condition = Matches(path, patterns.regex(_unquote(pattern)))
        if comparison is Comparison.EQUAL:
            return condition
        if comparison is Comparison.NOT_EQUAL:
            return Not(condition)
        raise QueryError("regex() can only be compared by = and !=", position=(operator.start_pos or 0) + 1)

    def one_of(self, path: FieldPath, *values: Literal) -> Condition:
        if any(value is _NULL for value in values):
            raise QueryError(_WITHOUT_NULL)
        return OneOf(path, values)

    def not_one_of(self, path: FieldPath, *values: Literal) -> Condition:
        return Not(self.one_of(path, *values))

    def contains(self, path: FieldPath, value: Literal) -> Condition:
        if value is _NULL:
            raise QueryError(_WITHOUT_NULL)
        return Contains(path, value)

    def not_contains(self, path: FieldPath, value: Literal) -> Condition:
        return Not(self.contains(path, value))

    def like(self, path: FieldPath, pattern: Token) -> Condition:
        return Matches(path, patterns.like(_unquote(pattern)))

    def not_like(self, path: FieldPath, pattern: Token) -> Condition:
        return Not(self.like(path, pattern))

    def absent(self, path: FieldPath) -> Condition:
        return Not(Present(path))

    def present(self, path: FieldPath) -> Condition:
        return Present(path)

    def text(self, token: Token) -> Literal:
        return literal(_unquote(token))

    def number(self, token: Token) -> Literal:
        number = _number(token)
        if number is None:
            raise QueryError("a number is too large", position=(token.start_pos or 0) + 1)
        return Literal(str(token), number)

    def true(self, _token: Token) -> Literal:
        return literal(True)

    def false(self, _token: Token) -> Literal:
        return literal(False)

    def null(self) -> Literal:
        return _NULL

    def path(self, token: Token) -> FieldPath:
        return tuple(token.split("."))

    def name(self, token: Token) -> str:
        return str(token)


def _count(token: Token) -> int:
    if not token.isdecimal() or not token.isascii() or len(token) > _COUNT_DIGITS:
        raise QueryError("a count is not a whole number", position=(token.start_pos or 0) + 1)
    return int(token)


def _unquote(token: Token) -> str:
    def unescaped(match: re.Match[str]) -> str:
        char = match[1]
        if char.startswith("u") and len(char) > 1:
            code = int(char[1:], 16)
            return match[0] if code in _SURROGATES or code == 0 else chr(code)
        return _ESCAPED.get(char, char)

    text = _ESCAPE.sub(unescaped, token[1:-1]) if "\\" in token else str(token[1:-1])
    if "\x00" in text or (not text.isascii() and any(ord(char) in _SURROGATES for char in text)):
        raise QueryError("a text holds a character that no record holds", position=(token.start_pos or 0) + 1)
    return text


setattr(_Build, "with", _Build.with_)

_LARK: Final = Lark.open(
    "grammar.lark", rel_to=__file__, parser="lalr", lexer="contextual", maybe_placeholders=False, transformer=_Build()
)
