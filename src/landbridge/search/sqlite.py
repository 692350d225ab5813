"""The search language on SQLite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from landbridge.search.patterns import matcher, word_finder
from landbridge.search.query import FieldPath
from landbridge.search.sql import Found, Fragment

_KIND = "CASE {0} WHEN 'integer' THEN 'number' WHEN 'real' THEN 'number' ELSE {0} END"


class Connection(Protocol):
    """What is needed of a connection of ``sqlite3``."""

    def create_function(self, name: str, narg: int, func: Callable[..., Any], /, *, deterministic: bool) -> None:
        """Make a Python function callable from SQL."""


def register_functions(connection: Connection) -> None:
    """Give a connection the functions that the compiled SQL calls."""
    connection.create_function("search_matches", 2, _matches, deterministic=True)
    connection.create_function("search_words", 2, _has_words, deterministic=True)


def _matches(pattern: str, text: str) -> bool:
    return matcher(pattern)(text)


def _has_words(words: str, text: str) -> bool:
    return word_finder(words)(text)


class SqliteDialect:
    """Looks into documents with SQLite's JSON functions."""

    def any_value(self, document: str, path: FieldPath, test: Callable[[Found], Fragment]) -> Fragment:
        """See ``Dialect.any_value``.

        A scalar at the very path is the common case and needs no subquery; arrays on the way are unrolled one by one.
        """
        where = json_path(path)
        kind = f"json_type({document}, {where})"
        value = f"json_extract({document}, {where})"
        direct = test(Found(_KIND.format(kind), value, value))
        element = test(Found(_KIND.format("found.type"), "found.value", "found.value"))
        array = f"EXISTS (SELECT 1 FROM json_each({document}, {where}) AS found WHERE {element.text})"  # noqa: S608
        through, unrolled = "1=0", Fragment("")
        if len(path) > 1:
            unrolled = self._unrolled(document, path, element)
            arrays = " OR ".join(
                f"json_type({document}, {json_path(path[:length])}) = 'array'" for length in range(1, len(path))
            )
            through = f"CASE WHEN {arrays} THEN {unrolled.text} ELSE 1=0 END"
        return Fragment(
            f"(CASE WHEN {kind} IS NULL THEN {through} WHEN {kind} = 'array' THEN {array} ELSE {direct.text} END)",
            unrolled.parameters + element.parameters + direct.parameters,
        )

    def sort_keys(self, document: str, path: FieldPath) -> Sequence[Fragment]:
        """See ``Dialect.sort_keys``."""
        where = json_path(path)
        rank = (
            f"CASE json_type({document}, {where}) WHEN 'integer' THEN 1 WHEN 'real' THEN 1 WHEN 'text' THEN 2"
            " WHEN 'true' THEN 3 WHEN 'false' THEN 3 ELSE 4 END"
        )
        return Fragment(f"({rank})"), Fragment(
            f"(CASE WHEN {rank} = 4 THEN NULL ELSE json_extract({document}, {where}) END)"
        )

    def matches(self, value: str, pattern: str) -> Fragment:
        """See ``Dialect.matches``."""
        return Fragment(f"search_matches(?, {value})", (pattern,))

    def has_words(self, value: str, words: str) -> Fragment:
        """See ``Dialect.has_words``."""
        return Fragment(f"search_words(?, {value})", (words,))

    def json_text(self, document: str, path: FieldPath) -> str:
        """See ``Dialect.json_text``."""
        return f"({document} -> {json_path(path)})"

    def is_array(self, document: str, path: FieldPath) -> str:
        """See ``Dialect.is_array``."""
        return f"json_type({document}, {json_path(path)}) = 'array'"

    @staticmethod
    def _unrolled(document: str, path: FieldPath, element: Fragment) -> Fragment:
        holder = document
        sources: list[str] = []
        for level, key in enumerate(path):
            sources.append(f"json_each({_as_array(holder)}) AS level{level}")
            row = f"level{level}"
            holder = f"(CASE WHEN {row}.type = 'object' THEN {row}.value -> {json_path((key,))} END)"
        sources.append(f"json_each({_as_array(holder)}) AS found")
        return Fragment(f"EXISTS (SELECT 1 FROM {', '.join(sources)} WHERE {element.text})", element.parameters)  # noqa: S608


def _as_array(value: str) -> str:
    # An absent value becomes an empty array and gives no row.
    array = f"WHEN json_type({value}) = 'array' THEN {value} ELSE json_array(json({value}))"
    return f"CASE WHEN {value} IS NULL THEN '[]' {array} END"


def json_path(path: FieldPath) -> str:
    """A path as an SQL text; the grammar allows no quote in a key."""
    keys = "".join(f'."{key}"' for key in path)
    if "'" in keys or "?" in keys:
        raise ValueError("a key holds a quote")
    return f"'${keys}'"
