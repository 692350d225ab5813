"""What operators and methods do to single values, as Apache Commons JEXL 3 does it in its lenient mode.

The rules are those of the class JexlArithmetic of that library, read in its source. Where they end in an error that
only Java knows (a text that is no number), or in Java's way of writing numbers, this is simpler; each such place says
so. ABSENT is a field that the record lacks. It behaves as null, but goes on as ABSENT where it is the result.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from landbridge.components.regex import Pattern, Replacement, compile_pattern, compile_replacement
from landbridge.records import columns as col
from landbridge.records.objects import ABSENT

METHODS: Final[dict[str, tuple[int, int]]] = {
    "charAt": (1, 1), "concat": (1, 1), "contains": (1, 1), "containsKey": (1, 1), "endsWith": (1, 1),
    "equals": (1, 1), "equalsIgnoreCase": (1, 1), "get": (1, 1), "indexOf": (1, 1), "isEmpty": (0, 0),
    "lastIndexOf": (1, 1), "length": (0, 0), "matches": (1, 1), "replace": (2, 2), "replaceAll": (2, 2),
    "replaceFirst": (2, 2), "size": (0, 0), "split": (1, 1), "startsWith": (1, 1), "substring": (1, 2),
    "toLowerCase": (0, 0), "toString": (0, 0), "toUpperCase": (0, 0), "trim": (0, 0),
}  # fmt: skip
"""Methods by name: the smallest and the largest number of values they take."""

BLANKS: Final = "".join(map(chr, range(33)))
"""What Java's ``trim`` takes off."""

MAX_TEXT: Final = 1 << 24
"""Longest text an expression may make, in characters."""

_INTEGER: Final = re.compile(r"[+-]?\d+")
_DECIMAL: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_MAX_DIGITS: Final = 400
_KEPT: Final = 256
"""So many compiled regular expressions are kept: they may come from the records, of which there is no end."""


class Failure(Exception):
    """An expression has no value for a record; the text says why, without the record's values."""


def is_null(value: Any) -> bool:
    """Whether there is no value."""
    return value is None or value is ABSENT


def kind(value: Any) -> str:
    """What to call a value in a message."""
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a text", list: "an array", dict: "an object"}
    return names.get(type(value), "null")


def truth(value: Any) -> bool:
    """As a condition: null, false, 0, "" and "false" are false, all else is true."""
    if is_null(value):
        return False
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return not math.isnan(value) and value != 0
    return value not in ("", "false") if isinstance(value, str) else True


def text(value: Any) -> str:
    """As text: "" for null, numbers and objects as JSON writes them (JEXL writes numbers as Java does)."""
    if is_null(value):
        return ""
    return value if isinstance(value, str) else col.encode(value)


def equals(left: Any, right: Any) -> bool:
    """Say whether values are equal: a boolean compares as a condition, a number as a number, else a text as text."""
    if is_null(left) or is_null(right):
        return is_null(left) and is_null(right)
    if isinstance(left, bool) or isinstance(right, bool):
        return truth(left) == truth(right)
    if isinstance(left, list | dict) and isinstance(right, list | dict):
        return _same(left, right)
    try:
        return compare(left, right) == 0
    except Failure:
        return False  # JEXL fails where a text is no number


def compare(left: Any, right: Any) -> int:
    """-1, 0 or 1 for values that are not null. Texts compare by the code points of their characters.

    Raises:
        Failure: A number meets a text that is none, or an array or object meets a number.
    """
    first, second = _comparable(left, right)
    if isinstance(first, float) and math.isnan(first):
        return 0 if isinstance(second, float) and math.isnan(second) else -1
    if isinstance(second, float) and math.isnan(second):
        return 1
    return int(first > second) - int(first < second)


def _comparable(left: Any, right: Any) -> tuple[Any, Any]:
    if isinstance(left, float) or isinstance(right, float):
        return _double(left), _double(right)
    if _is_integer(left) or _is_integer(right):
        return number(left), number(right)
    if isinstance(left, str) or isinstance(right, str):
        return text(left), text(right)
    if isinstance(left, bool) and isinstance(right, bool):
        return left, right
    raise Failure(f"{kind(left)} and {kind(right)} cannot be compared")


def ordered(operator: str, left: Any, right: Any) -> bool:
    """``<``, ``>``, ``<=`` and ``>=``; nothing is smaller or greater than null."""
    if is_null(left) or is_null(right):
        return operator in ("<=", ">=") and is_null(left) and is_null(right)
    order = compare(left, right)
    return {"<": order < 0, ">": order > 0, "<=": order <= 0, ">=": order >= 0}[operator]


def number(value: Any) -> int | float:
    """As a number: 0 for null and "", 1 and 0 for booleans.

    JEXL itself takes "1.5" beside another decimal only.

    Raises:
        Failure: It is none.
    """
    if is_null(value) or value == "":
        return 0
    if isinstance(value, int | float):
        return int(value) if isinstance(value, bool) else value
    if isinstance(value, str) and len(value) <= _MAX_DIGITS:
        if _INTEGER.fullmatch(value):
            return int(value)
        if _DECIMAL.fullmatch(value.strip()):
            return float(value)
    raise Failure(f"{kind(value)} is not a number")


def _double(value: Any) -> float:
    if isinstance(value, str) and value == "":
        return math.nan
    try:
        return float(number(value))
    except OverflowError:
        raise Failure("a number is too large") from None


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def add(left: Any, right: Any) -> Any:
    """``+``: two texts are joined, all else is added as numbers, or joined where that cannot be.

    "5" + 1 is 6, and "a" + 1 is "a1". As in JEXL, "1.5" + 1 is "1.51", because beside an integer only an integer
    counts as a number.
    """
    if is_null(left) and is_null(right):
        return 0
    if not (isinstance(left, str) and isinstance(right, str)):
        is_decimal = isinstance(left, float) or isinstance(right, float)
        with_integers = all(
            not isinstance(side, str) or side == "" or _INTEGER.fullmatch(side) for side in (left, right)
        )
        if is_decimal or with_integers:
            try:
                return calculate("+", left, right)
            except Failure:
                pass  # joined as texts
    joined = text(left) + text(right)
    if len(joined) > MAX_TEXT:
        raise Failure("a text becomes too long")
    return joined


def calculate(operator: str, left: Any, right: Any) -> int | float:
    """``+``, ``-``, ``*``, ``/`` and ``%`` of numbers. Whole numbers are exact and divide towards zero; x / 0 is 0.0.

    Raises:
        Failure: One of them is no number, or the result is too large.
    """
    if is_null(left) and is_null(right):
        return 0
    first, second = number(left), number(right)
    if isinstance(first, float) or isinstance(second, float):
        first, second = _double(left), _double(right)
    try:
        result: int | float = _OPERATIONS[operator](first, second)
    except OverflowError:
        raise Failure("a number becomes too large") from None
    if isinstance(result, float) and not math.isfinite(result):
        raise Failure("the result is not a number" if math.isnan(result) else "a number becomes too large")
    if isinstance(result, int) and abs(result) >= 10**_MAX_DIGITS:
        raise Failure("a number becomes too large")
    return result


def _divide(first: Any, second: Any) -> int | float:
    if second == 0:
        return 0.0
    if isinstance(first, float):
        return float(first / second)
    quotient = abs(first) // abs(second)
    return int(quotient if (first < 0) == (second < 0) else -quotient)


def _remainder(first: Any, second: Any) -> int | float:
    if second == 0:
        return 0.0
    if isinstance(first, float):
        return math.fmod(first, second)
    rest = int(abs(first) % abs(second))
    return -rest if first < 0 else rest


_OPERATIONS: Final[dict[str, Callable[[Any, Any], int | float]]] = {
    "+": lambda first, second: first + second,
    "-": lambda first, second: first - second,
    "*": lambda first, second: first * second,
    "/": _divide,
    "%": _remainder,
}


def minus(value: Any) -> Any:
    """``-x``; of a boolean the opposite.

    Raises:
        Failure: It is no number.
    """
    if is_null(value):
        return value
    return (not value) if isinstance(value, bool) else -number(value)


def is_empty(value: Any) -> bool:
    """``empty``: null, "", 0, an array without elements, an object without members."""
    if is_null(value):
        return True
    if isinstance(value, bool):
        return False
    if isinstance(value, int | float):
        return math.isnan(value) or value == 0
    return len(value) == 0


def size(value: Any) -> int:
    """``size``: characters of a text, elements of an array, members of an object; 0 for null.

    Raises:
        Failure: A number or a boolean has no size.
    """
    if is_null(value):
        return 0
    if isinstance(value, str | list | dict):
        return len(value)
    raise Failure(f"{kind(value)} has no size")


def matches(left: Any, right: Any) -> bool:
    """``=~``: a text matches an expression as a whole, or a value is in an array, or a key in an object.

    Raises:
        Failure: The right side is a number or boolean, or not a regular expression.
    """
    if is_null(left) or is_null(right):
        return is_null(left) and is_null(right)
    if isinstance(right, str):
        return _pattern(right).fullmatch(text(left))
    if isinstance(right, list):
        wanted = left if isinstance(left, list) else [left]
        return all(any(_same(value, element) for element in right) for value in wanted)
    if isinstance(right, dict):
        return set(left) <= set(right) if isinstance(left, dict) else left in right if isinstance(left, str) else False
    raise Failure(f"{kind(right)} stands right of =~")


def starts_with(left: Any, right: Any) -> bool:
    """``=^``; values that are no texts are compared instead."""
    if is_null(left) or is_null(right) or not isinstance(left, str):
        return equals(left, right)
    return left.startswith(text(right))


def ends_with(left: Any, right: Any) -> bool:
    """``=$``; values that are no texts are compared instead."""
    if is_null(left) or is_null(right) or not isinstance(left, str):
        return equals(left, right)
    return left.endswith(text(right))


def member(value: Any, key: Any) -> Any:
    """``value[key]``; ABSENT where there is none."""
    if isinstance(value, list):
        if isinstance(key, str) and key.isdecimal():
            key = int(key)
        return value[key] if _is_integer(key) and 0 <= key < len(value) else ABSENT
    if isinstance(value, dict):
        return value.get(key if isinstance(key, str) else text(key), ABSENT)
    return ABSENT


def call(name: str, target: Any, arguments: list[Any]) -> Any:
    """The result of a method; null of null.

    Raises:
        Failure: The value has no such method, or does not take these arguments.
    """
    if is_null(target):
        return target
    if name == "toString":
        return text(target)
    if name == "equals":
        return _same(target, None if arguments[0] is ABSENT else arguments[0])
    methods: dict[str, Callable[..., Any]] = {}
    if isinstance(target, str):
        methods = _TEXT_METHODS
    elif isinstance(target, list):
        methods = _ARRAY_METHODS
    elif isinstance(target, dict):
        methods = _OBJECT_METHODS
    if name not in methods:
        raise Failure(f"{kind(target)} has no {name}()")
    if any(map(is_null, arguments)):
        raise Failure(f"{name}() is given null")
    return methods[name](target, *arguments)


def _same(left: Any, right: Any) -> bool:
    """Whether values are equal without any conversion; 1 and 1.0 are, 1 and true are not."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(value, right[key]) for key, value in left.items())
    return bool(left == right)


@lru_cache(maxsize=_KEPT)
def _pattern(regex: str) -> Pattern:
    try:
        return compile_pattern(regex)
    except ValueError:
        raise Failure("a text is not a regular expression") from None


@lru_cache(maxsize=_KEPT)
def _replacement(regex: str, replacement: str) -> Replacement:
    try:
        return compile_replacement(regex, replacement, match_empty=True)
    except ValueError:
        raise Failure("a text is not a regular expression, or not a replacement") from None


def _position(value: Any) -> int:
    if _is_integer(value):
        return int(value)
    raise Failure(f"{kind(value)} is not a position")


def _char_at(value: str, at: Any) -> str:
    position = _position(at)
    if not 0 <= position < len(value):
        raise Failure("a position is outside of the text")
    return value[position]


def _substring(value: str, start: Any, end: Any = None) -> str:
    first = _position(start)
    last = len(value) if end is None else _position(end)
    if not 0 <= first <= last <= len(value):
        raise Failure("a position is outside of the text")
    return value[first:last]


def _replace(value: str, old: Any, new: Any) -> str:
    replaced = value.replace(text(old), text(new))
    if len(replaced) > MAX_TEXT:
        raise Failure("a text becomes too long")
    return replaced


def _replace_first(value: str, regex: Any, replacement: Any) -> str:
    match = _pattern(text(regex)).search(value)
    if match is None:
        return value
    return (
        value[: match.start()] + _replacement(text(regex), text(replacement)).on_text(match[0]) + value[match.end() :]
    )


def _split(value: str, regex: Any) -> list[str]:
    """As Java: without the empty texts at the end."""
    if not value:
        return [""]
    parts, at = [], 0
    for match in _pattern(text(regex)).matches(value):
        if match.end() == 0 or (match.start() == match.end() == len(value)):
            continue
        parts.append(value[at : match.start()])
        at = match.end()
    parts.append(value[at:])
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return parts if parts != [""] else []


def _get(value: list[Any], at: Any) -> Any:
    position = _position(at)
    if not 0 <= position < len(value):
        raise Failure("a position is outside of the array")
    return value[position]


_TEXT_METHODS: Final[dict[str, Callable[..., Any]]] = {
    "charAt": _char_at,
    "concat": lambda value, other: _joined(value, text(other)),
    "contains": lambda value, part: text(part) in value,
    "endsWith": lambda value, part: value.endswith(text(part)),
    "equalsIgnoreCase": lambda value, other: value.lower() == text(other).lower(),
    "indexOf": lambda value, part: value.find(text(part)),
    "isEmpty": lambda value: not value,
    "lastIndexOf": lambda value, part: value.rfind(text(part)),
    "length": len,
    "matches": lambda value, regex: _pattern(text(regex)).fullmatch(value),
    "replace": _replace,
    "replaceAll": lambda value, regex, new: _replacement(text(regex), text(new)).on_text(value),
    "replaceFirst": _replace_first,
    "size": len,
    "split": _split,
    "startsWith": lambda value, part: value.startswith(text(part)),
    "substring": _substring,
    "toLowerCase": str.lower,
    "toUpperCase": str.upper,
    "trim": lambda value: value.strip(BLANKS),
}
_ARRAY_METHODS: Final[dict[str, Callable[..., Any]]] = {
    "contains": lambda value, wanted: any(_same(element, wanted) for element in value),
    "get": _get,
    "indexOf": lambda value, wanted: next((at for at, element in enumerate(value) if _same(element, wanted)), -1),
    "isEmpty": lambda value: not value,
    "length": len,
    "size": len,
}
_OBJECT_METHODS: Final[dict[str, Callable[..., Any]]] = {
    "containsKey": lambda value, key: text(key) in value,
    "get": lambda value, key: value.get(text(key)),
    "isEmpty": lambda value: not value,
    "size": len,
}


def _joined(left: str, right: str) -> str:
    if len(left) + len(right) > MAX_TEXT:
        raise Failure("a text becomes too long")
    return left + right
