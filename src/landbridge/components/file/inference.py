"""Types of texts, where a flow asks for them (``inferTypes``)."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from landbridge.records import columns as col

_INTEGER: Final = r"^-?(0|[1-9][0-9]{0,17})$"
_NUMBER: Final = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?$"
_BOOLEAN: Final = r"^(true|false)$"


def inferred(texts: pa.Array) -> pa.Array:
    """The column with booleans and numbers in place of the texts that spell them as JSON does.

    A text such as ``007`` or ``1,5`` stays text. A column of mixed types is a json column.
    """
    present = pc.drop_null(texts)
    if not len(present):
        return texts
    for pattern, arrow_type in ((_INTEGER, pa.int64()), (_NUMBER, pa.float64()), (_BOOLEAN, pa.bool_())):
        matches = pc.match_substring_regex(present, pattern)
        if pc.all(matches).as_py() and not (arrow_type == pa.float64() and _has_integers(present)):
            return pc.cast(texts, arrow_type)
    typed = pc.match_substring_regex(texts, f"{_NUMBER}|{_BOOLEAN}")
    if not pc.any(typed).as_py():
        return texts
    return col.json_array(pc.if_else(typed, texts, col.json_text(texts)))


def _has_integers(texts: pa.Array) -> bool:
    return bool(pc.any(pc.match_substring_regex(texts, _INTEGER)).as_py())
