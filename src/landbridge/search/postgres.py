"""The search language on PostgreSQL, over documents kept as JSON text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from landbridge.search.query import FieldPath
from landbridge.search.sql import Found, Fragment

_KIND = (
    "CASE jsonb_typeof(found.value) WHEN 'string' THEN 'text' WHEN 'boolean' THEN found.value::text"
    " ELSE jsonb_typeof(found.value) END"
)
_TEXT = "((found.value #>> '{}') COLLATE \"C\")"


class PostgresDialect:
    """Looks into documents with SQL/JSON paths, whose lax mode runs through arrays as the language does."""

    def any_value(self, document: str, path: FieldPath, test: Callable[[Found], Fragment]) -> Fragment:
        """See ``Dialect.any_value``."""
        passed = test(Found(_KIND, _TEXT, "(found.value #>> '{}')::numeric"))
        values = f"jsonb_path_query({document}::jsonb, 'lax {_json_path(path)}[*]')"
        text = f"EXISTS (SELECT 1 FROM {values} AS found(value) WHERE {passed.text})"  # noqa: S608 - values are bound
        return Fragment(text, passed.parameters)

    def sort_keys(self, document: str, path: FieldPath) -> Sequence[Fragment]:
        """See ``Dialect.sort_keys``."""
        value = f"jsonb_path_query_first({document}::jsonb, 'strict {_json_path(path)}', '{{}}', true)"
        kind = f"COALESCE(jsonb_typeof({value}), 'null')"
        rank = f"(CASE {kind} WHEN 'number' THEN 1 WHEN 'string' THEN 2 WHEN 'boolean' THEN 3 ELSE 4 END)"
        plain = f"({value} #>> '{{}}')"
        number = f"(CASE {kind} WHEN 'number' THEN {plain}::numeric END)"
        text = f"(CASE WHEN {kind} IN ('string', 'boolean') THEN {plain} COLLATE \"C\" END)"
        return Fragment(rank), Fragment(number), Fragment(text)

    def json_text(self, document: str, path: FieldPath) -> str:
        """See ``Dialect.json_text``."""
        return f'({self._value(document, path)})::text COLLATE "C"'

    def is_array(self, document: str, path: FieldPath) -> str:
        """See ``Dialect.is_array``."""
        return f"json_typeof({self._value(document, path)}) = 'array'"

    @staticmethod
    def _value(document: str, path: FieldPath) -> str:
        _json_path(path)
        return f"{document}::json" + "".join(f" -> '{key}'" for key in path)

    def matches(self, value: str, pattern: str) -> Fragment:
        """See ``Dialect.matches``."""
        return Fragment(f"{value} ~ ?", (f"^(?:{pattern})$",))

    def has_words(self, value: str, words: str) -> Fragment:
        """See ``Dialect.has_words``."""
        if not words:
            return Fragment(f"{value} = ''")
        return Fragment(f"{value} ~ ?", (f"(?<![[:alnum:]]){re.escape(words)}(?![[:alnum:]])",))


def _json_path(path: FieldPath) -> str:
    keys = "".join(f'."{key}"' for key in path)
    if "'" in keys or "?" in keys or "\\" in keys:
        raise ValueError("a key holds a quote")
    return f"${keys}"
