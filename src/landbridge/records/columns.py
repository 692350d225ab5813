"""One column of a batch: an Arrow array of leaf values, and its text forms.

Leaf types are bool, int64, float64, string, and ``json`` (Arrow's JSON extension type over UTF-8 text) for arrays,
empty objects, mixed types, numbers that need more than 64 bits, and explicit nulls. An Arrow null is an *absent*
value; an explicit null is the JSON text ``null``.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Sequence
from functools import lru_cache, reduce
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from landbridge.records.objects import ABSENT

JSON: Final = pa.json_(pa.utf8())
"""Type of a column that holds JSON text."""

_MAX_BYTES: Final = 2**31 - 1
"""What one string column can hold."""

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_ARROW_TYPES: dict[type, pa.DataType] = {
    str: pa.string(),
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
}
_CONTROL = r"[\x00-\x08\x0B\x0C\x0E-\x1F]"


@lru_cache(maxsize=4096)
def literal(text: str) -> pa.Scalar:
    """A text as compute functions want it; making one anew costs as much as a call on a small column."""
    return pa.scalar(text, pa.string())


NO_TEXT: Final = pa.scalar(None, pa.string())
"""An absent text."""


def join(*parts: pa.Array | str, absent: str | None = None) -> pa.Array:
    """Row by row the parts one after the other; a row that lacks one is absent, or has ``absent`` in its place."""
    ready = [literal(part) if isinstance(part, str) else part for part in parts]
    if absent is None:
        return pc.binary_join_element_wise(*ready, literal(""))
    return pc.binary_join_element_wise(*ready, literal(""), null_handling="replace", null_replacement=absent)


def encode(value: Any) -> str:
    """JSON text of one value, compact, non-ASCII characters unescaped."""
    return msgspec.json.encode(value).decode()


def decode(text: str) -> Any:
    """The value of one JSON text."""
    return msgspec.json.decode(text)


def from_values(values: Sequence[Any]) -> pa.Array:
    """A column of Python values; ABSENT marks the rows without one."""
    kinds = set(map(type, values))
    kinds.discard(type(ABSENT))
    if not kinds:
        return pa.nulls(len(values), pa.string())
    if len(kinds) == 1 and (arrow_type := _ARROW_TYPES.get(next(iter(kinds)))) is not None:
        column = [None if value is ABSENT else value for value in values]
        try:
            return pa.array(column, arrow_type)
        except (OverflowError, pa.ArrowInvalid):
            pass  # an integer beyond 64 bits: kept exactly, as text
    write = repr if kinds <= {int, float} else encode
    return json_array([None if value is ABSENT else write(value) for value in values])


def to_values(column: pa.Array) -> list[Any]:
    """The Python values of a column, ABSENT where there is none. For paths that have no columnar form."""
    if is_json(column):
        return [ABSENT if text is None else decode(text) for text in column.storage.to_pylist()]
    return [ABSENT if value is None else value for value in column.to_pylist()]


def json_array(texts: Sequence[str | None] | pa.Array) -> pa.Array:
    """A ``json`` column from JSON texts, None for absent."""
    storage = texts if isinstance(texts, pa.Array) else pa.array(texts, pa.string())
    return pa.ExtensionArray.from_storage(JSON, storage)


def is_json(column: pa.Array) -> bool:
    """Whether the column holds JSON text rather than plain values."""
    return isinstance(column.type, pa.JsonType)


def plain(column: pa.Array) -> pa.Array:
    """The array that compute functions accept: the storage of a json column, else the column."""
    return column.storage if is_json(column) else column


def is_absent(column: pa.Array) -> bool:
    """Whether no row has a value."""
    return bool(column.null_count == len(column))


def valid(column: pa.Array) -> pa.Array:
    """Which rows have a value."""
    return pc.is_valid(plain(column))


def unify(columns: Sequence[pa.Array]) -> list[pa.Array]:
    """The same columns, all of one type: their own where they agree, else json."""
    kinds = {column.type for column in columns if not is_absent(column)}
    if not kinds:
        kinds = {pa.string()}
    target = next(iter(kinds)) if len(kinds) == 1 else JSON
    return [
        column if column.type == target else _absent(len(column), target) if is_absent(column) else to_json(column)
        for column in columns
    ]


def choose(mask: pa.Array, if_true: pa.Array, if_false: pa.Array) -> pa.Array:
    """Row by row the value of ``if_true`` or ``if_false``."""
    first, second = unify([if_true, if_false])
    chosen = pc.if_else(mask, plain(first), plain(second))
    return json_array(chosen) if is_json(first) else chosen


def blank(column: pa.Array, rows: pa.Array) -> pa.Array:
    """The column without the values of the rows marked in ``rows``."""
    return choose(rows, _absent(len(column), column.type), column)


def constant(value: Any, length: int) -> pa.Array:
    """``length`` times the same value."""
    one = from_values([value])
    repeated = pa.repeat(plain(one)[0], length)
    return json_array(repeated) if is_json(one) else repeated


def to_json(column: pa.Array) -> pa.Array:
    """The column as json type."""
    return column if is_json(column) else json_array(json_text(column))


def json_text(column: pa.Array) -> pa.Array:
    """The JSON text of every value, null where absent."""
    if is_json(column):
        return column.storage
    if pa.types.is_string(column.type):
        return join('"', escaped_json(column), '"')
    return plain_text(column)


def plain_text(column: pa.Array) -> pa.Array:
    """The text of every value as people write it: strings bare, arrays and objects as JSON, null where absent.

    An explicit null has no text and becomes null too.
    """
    if pa.types.is_string(column.type):
        return column
    if pa.types.is_float64(column.type):
        text = pc.cast(column, pa.string())
        # Arrow writes 1.0 as "1"; the point tells a reader that it was not an integer.
        return pc.if_else(pc.match_substring_regex(text, r"^-?\d+$"), join(text, ".0"), text)
    if is_json(column):
        return _bare(column.storage)
    return pc.cast(column, pa.string())


def map_values(column: pa.Array, change: Callable[[str], str | None]) -> pa.Array:
    """Apply a Python function to each distinct value of a string column.

    Values of identity data repeat a lot, so the function runs far less often than once per row.
    """
    encoded = column.dictionary_encode()
    changed = pa.array([change(value) for value in encoded.dictionary.to_pylist()], pa.string())
    return changed.take(encoded.indices)


def has_any(column: pa.Array, characters: bytes, *, controls: bool = False) -> bool:
    """Whether one of ``characters`` (or, with ``controls``, a code below 32) occurs in a string column.

    Looks at the bytes of the whole column at once: an order of magnitude quicker than a pattern match by row.
    """
    data = _data(column)
    if controls and bool((data < 32).any()):  # noqa: PLR2004 - the first printable ASCII code
        return True
    text = data.tobytes()  # a copy, and yet quicker: the search in bytes is the C library's
    return any(code in text for code in characters)


def rows_with(column: pa.Array, characters: bytes, *, empty: bool = False) -> pa.Array | None:
    """Which rows of a string column have one of the ASCII ``characters``; None where no row has.

    Args:
        column: Texts; an absent one has no characters.
        characters: What to look for.
        empty: Whether an empty text counts as well.
    """
    ends, data = _ends(column), _data(column)
    text = data.tobytes()
    found = [code for code in characters if code in text]
    rows = np.zeros(len(column), np.bool_)
    if found:
        places = np.flatnonzero(reduce(np.logical_or, (data == code for code in found)))
        rows[np.searchsorted(ends, places + ends[0], side="right") - 1] = True
    if empty:
        nothing = ends[1:] == ends[:-1]
        if nothing.any():
            rows |= nothing & np.asarray(column.is_valid())
    return pa.array(rows) if rows.any() else None


def is_utf8(text: bytes) -> bool:
    """Whether all of ``text`` is UTF-8; several times quicker than ``bytes.decode`` where it is not all ASCII."""
    if text.isascii():
        return True
    whole = pa.Array.from_buffers(pa.binary(), 1, [None, pa.py_buffer(array("i", (0, len(text)))), pa.py_buffer(text)])
    try:
        whole.cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return True


def texts_of(pieces: Sequence[Any]) -> pa.Array | None:
    """A string column of bytes-like pieces, None where they are not all UTF-8; quicker than Arrow on objects."""
    data = b"".join(pieces)
    if len(data) > _MAX_BYTES or not is_utf8(data):
        return None
    ends = np.cumsum([0, *map(len, pieces)], dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), len(pieces), [None, pa.py_buffer(ends), pa.py_buffer(data)])


def bytes_of(column: pa.Array) -> memoryview:
    """The bytes of all strings of a column, one after the other, without a copy."""
    return _data(column).data


def _data(column: pa.Array) -> np.ndarray[Any, np.dtype[np.uint8]]:
    data = column.buffers()[2]
    ends = _ends(column)
    return np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]


def _ends(column: pa.Array) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Where the texts lie: one begins at each of these places, and ends at the next."""
    offsets = column.buffers()[1]
    if offsets is None or not len(column):
        return np.zeros(len(column) + 1, np.int32)
    return np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]


def escaped_json(column: pa.Array) -> pa.Array:
    """The texts of a string column as they stand between the quotes of JSON."""
    if has_any(column, b'"\\', controls=True):
        column = pc.replace_substring(column, "\\", "\\\\")
        column = pc.replace_substring(column, '"', '\\"')
        for raw, escaped in (("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
            column = pc.replace_substring(column, raw, escaped)
        if has_any(column, b"", controls=True):
            column = map_values(column, _escape_controls)
    return column


def _escape_controls(text: str) -> str:
    return re.sub(_CONTROL, lambda match: f"\\u{ord(match[0]):04x}", text)


def _bare(text: pa.Array) -> pa.Array:
    if has_any(text, b"\\"):
        return map_values(text, _bare_value)
    bare = pc.if_else(pc.starts_with(text, '"'), pc.utf8_slice_codeunits(text, 1, -1), text)
    return pc.if_else(pc.equal(text, literal("null")), NO_TEXT, bare)


def _bare_value(text: str) -> str | None:
    if text == "null":
        return None
    return decode(text) if text.startswith('"') else text


def _absent(length: int, arrow_type: pa.DataType) -> pa.Array:
    if isinstance(arrow_type, pa.JsonType):
        return json_array(pa.nulls(length, pa.string()))
    return pa.nulls(length, arrow_type)
