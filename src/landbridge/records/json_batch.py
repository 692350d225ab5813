"""A batch that keeps the JSON text of its records, for streams of which no step asks for a field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import pyarrow as pa

from landbridge.records import columns as col
from landbridge.records.batch import Batch, Lazy
from landbridge.records.objects import JsonObject

Shred = Callable[[bytes], Batch]
"""Makes columns of a JSON array of objects; safe to be called from any thread."""

_OBJECTS: Final = msgspec.json.Decoder(list[JsonObject])


class JsonBatch(Batch):
    """Records as their JSON texts; columns are made when the first of them is asked for.

    Between a reader and an API, a script or a JSON file the text passes as it is. What changes a field makes columns
    of it first, as if they had been there all the time.

    Args:
        texts: The JSON object of each record, on one line, as a string array without nulls.
        shred: Makes the columns.
    """

    __slots__ = ("_made", "_shred", "_texts")

    def __init__(self, texts: pa.Array, shred: Shred) -> None:
        self.num_rows = len(texts)
        self._texts = texts
        self._shred = shred
        self._made: Batch | None = None

    @property
    def _columns(self) -> dict[str, pa.Array | Lazy]:  # type: ignore[override]  # made on demand here
        if self._made is None:
            self._made = self._shred(as_array(self._texts))
        return self._made._columns

    def built(self) -> Batch:
        """The same records: nothing is kept but their text."""
        return self

    def json_texts(self) -> pa.Array:
        """The JSON text of every record, as a string array."""
        return self._texts

    def to_objects(self) -> list[JsonObject]:
        """The records as plain objects."""
        found: list[JsonObject] = _OBJECTS.decode(as_array(self._texts))
        return found

    @property
    def nbytes(self) -> int:
        """Memory of the texts in bytes."""
        return int(self._texts.nbytes)

    @classmethod
    def concat(cls, batches: Sequence[Batch]) -> Batch:
        """One batch of the records of several; their text stays text where all have it."""
        kept = [batch for batch in batches if isinstance(batch, JsonBatch)]
        if kept and len(kept) == len(batches):
            return JsonBatch(pa.concat_arrays([batch.json_texts() for batch in kept]), kept[0]._shred)
        return Batch.concat(batches)

    def _map(self, change: Callable[[pa.Array], pa.Array], num_rows: int) -> Batch:
        if self._made is not None:
            return super()._map(change, num_rows)
        return JsonBatch(change(self._texts), self._shred)


def as_array(texts: pa.Array) -> bytes:
    """One JSON array of all these JSON texts."""
    return b"[" + bytes(col.bytes_of(col.join(texts, ","))[:-1]) + b"]"
