r"""``regex('…')``, ``LIKE '…'`` and the whole-word test of ``CONTAINS``.

``regex`` is a whole-value match in the style of Lucene: ``. + * ? {n,m} [] () |`` and ``\`` are special, anchors and
look-around do not exist. A pattern that could take exponential time in Python's engine (a repeated group, many open
repetitions) is matched by RE2, which is slower for one value but linear.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from landbridge.search.errors import QueryError

MAX_PATTERN_CHARS: Final = 1000
_MAX_OPEN_REPETITIONS: Final = 3
_PIECE: Final = re.compile(r"\\(.)|(\[\^?\]?[^\]]*\])|(\{\d{1,3}(?:,\d{0,3})?\})|([\s\S])", re.DOTALL)
_SHORTHANDS: Final = frozenset("dDwWsS")


def regex(pattern: str) -> str:
    """The anchored pattern of ``regex('pattern')``, in the syntax that Python, RE2 and PostgreSQL read alike.

    Raises:
        QueryError: The pattern is malformed or longer than 1,000 characters.
    """
    if len(pattern) > MAX_PATTERN_CHARS:
        raise QueryError(f"a regular expression is longer than {MAX_PATTERN_CHARS} characters")
    pieces: list[str] = []
    for escaped, group, repetition, char in _PIECE.findall(pattern):
        if escaped:
            pieces.append("\\" + escaped if escaped in _SHORTHANDS else re.escape(escaped))
        elif group:
            pieces.append(_character_class(group))
        elif repetition:
            pieces.append(repetition)
        else:
            pieces.append(char if char in ".+*?()|" else re.escape(char))
    translated = "".join(pieces)
    if "(?" in translated or re.search(r"[+*?}][+*?{]", translated):
        raise QueryError("a regular expression repeats what cannot be repeated")
    try:
        re.compile(translated, re.ASCII)
        if _needs_linear_time(translated):
            _re2(translated, "")
    except (re.error, OverflowError, RecursionError, pa.ArrowInvalid) as error:
        raise QueryError("a regular expression is malformed") from error
    return translated


def like(pattern: str) -> str:
    """The anchored pattern of ``LIKE 'pattern'``: ``%`` is any text, ``_`` one character.

    Raises:
        QueryError: The pattern is longer than 1,000 characters.
    """
    if len(pattern) > MAX_PATTERN_CHARS:
        raise QueryError(f"a LIKE pattern is longer than {MAX_PATTERN_CHARS} characters")
    return "".join({"%": ".*", "_": "."}.get(char) or re.escape(char) for char in re.sub("%+", "%", pattern))


@lru_cache(maxsize=256)
def matcher(pattern: str) -> Callable[[str], bool]:
    """A function that tells whether a whole text matches a pattern of ``regex`` or ``like``."""
    if _needs_linear_time(pattern):
        return lambda text: _re2(pattern, text)
    compiled = re.compile(pattern, re.ASCII | re.DOTALL)
    return lambda text: compiled.fullmatch(text) is not None


@lru_cache(maxsize=1024)
def word_finder(words: str) -> Callable[[str], bool]:
    """A function that tells whether a text holds ``words`` between word separators; ``_`` separates too."""
    if not words:
        return lambda text: not text
    compiled = re.compile(rf"(?<![^\W_]){re.escape(words)}(?![^\W_])")
    return lambda text: compiled.search(text) is not None


def _character_class(text: str) -> str:
    negated = text.startswith("[^")
    inner = text[2 if negated else 1 : -1]
    body = "".join("\\" + char if char in "\\[]^&~|" else char for char in inner)
    return f"[{'^' if negated else ''}{body}]"


def _needs_linear_time(pattern: str) -> bool:
    bare = re.sub(r"\\.|\[\^?(?:\\.|[^\]])*\]", "x", pattern, flags=re.DOTALL)
    open_ended = len(re.findall(r"[+*]|,\}", bare))
    return re.search(r"\)[+*{]", bare) is not None or open_ended > _MAX_OPEN_REPETITIONS


def _re2(pattern: str, text: str) -> bool:
    return bool(pc.match_substring_regex(pa.scalar(text), rf"\A(?s:{pattern})\z").as_py())
