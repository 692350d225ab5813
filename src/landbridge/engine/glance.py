"""A look at records that are JSON text: only the fields that guards ask for are made columns of.

Between a reader and a JSON file the text of a record passes as it is. Guards want a handful of its fields; to make
columns of all others for that would cost several times what reading costs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from landbridge.records import Batch
from landbridge.records.json_batch import JsonBatch, as_array
from landbridge.records.needs import Needs
from landbridge.records.path import Path, parse
from landbridge.records.shred import Shredder

_ESCAPED: Final = re.compile(rb"\\u00[2-7]")
"""A letter of a key may be written so."""


class Glance:
    """Looks at the fields of one stream that guards ask for. Not for several threads.

    Args:
        objects: Outermost objects that are wanted as a whole.
        fields: Further fields, as written paths.
    """

    def __init__(self, *, objects: Sequence[str], fields: Sequence[str]) -> None:
        self._objects = tuple(objects)
        self._paths = [_without_index(parse(field)) for field in fields]
        keys = {*objects, *(key for path in self._paths for key in path if isinstance(key, str))}
        self._keys = [(f'"{key}"'.encode(), f'"{key}"'.lower().encode()) for key in sorted(keys)]
        self._is_plain = all(key.isascii() and key.isprintable() and not set('"\\') & set(key) for key in keys)
        self._shredder: Shredder | None = None

    def of(self, batch: Batch) -> Batch:
        """The same records with at least the wanted fields; the batch itself, where its columns are there anyway."""
        if not isinstance(batch, JsonBatch) or not self._is_plain or not batch.num_rows:
            return batch
        text = as_array(batch.json_texts())
        if self._is_spelt_otherwise(text):
            return batch
        if self._shredder is None:
            self._shredder = self._made()
        return self._shredder.array(text)

    def _is_spelt_otherwise(self, text: bytes) -> bool:
        """Whether a wanted field may stand there under another spelling; all columns tell."""
        if _ESCAPED.search(text) or any(f'"{name}.'.encode() in text for name in self._objects):
            return True
        lowered = text.lower()
        return any(lowered.count(low) != text.count(key) for key, low in self._keys)

    def _made(self) -> Shredder:
        """Where some fields only are wanted, others are passed over: so each wanted one is shown at the beginning."""
        wanted = [*((name,) for name in self._objects), *self._paths]
        shredder = Shredder(Needs(kept=frozenset(wanted), only=True))
        example: dict[str, Any] = {name: {} for name in self._objects}
        for path in self._paths:
            _show(example, path)
        shredder.array(msgspec.json.encode([example]))
        return shredder


def _without_index(path: Path) -> Path:
    """The path up to its first array."""
    keys = []
    for key in path:
        if not isinstance(key, str):
            break
        keys.append(key)
    return tuple(keys)


def _show(example: dict[str, Any], path: Path) -> None:
    holder = example
    for key in path[:-1]:
        inner = holder.setdefault(str(key), {})
        if not isinstance(inner, dict):
            inner = holder[str(key)] = {}
        holder = inner
    holder.setdefault(str(path[-1]), None)
