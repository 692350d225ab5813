"""field.boolean: yes and no in other words; what is neither is rejected, and never taken for a no."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from landbridge.components.base import RecordError, Transform
from landbridge.components.field.params import FieldList
from landbridge.components.params import Param
from landbridge.components.registry import component
from landbridge.records import Batch, columns as col
from landbridge.records.consents import yes_or_no
from landbridge.records.path import Path, write


class BooleanParams(FieldList):
    """Parameters of the component."""

    fields: list[str] = Param("The fields, as dotted paths.", example=["data.subscribed"])
    yes: Any = Param("What a yes becomes.", default=True, example="Y")
    no: Any = Param("What a no becomes.", default=False, example="N")
    absent: Any = Param(
        "What a field becomes that a record lacks, or that is empty; without it, it stays as it is.",
        default=None,
        example="",
    )


@component("field.boolean", title="Read yes and no")
class Boolean(Transform):
    """Rewrite yes and no, however they are told, in the words of the receiver.

    `true`, `yes`, `y` and `1` mean yes, `false`, `no`, `n` and `0` mean no, in upper or lower case. A record with any
    other value is rejected (LB-4502): taken for a no, it would opt somebody out who has said nothing of the kind.
    """

    Params = BooleanParams
    params: BooleanParams

    def apply(self, batch: Batch) -> Batch:
        """Rewrite the fields; records with a value that is neither are rejected."""
        for path in self.params.paths:
            batch = self._rewritten(batch, path)
        return batch

    def _rewritten(self, batch: Batch, path: Path) -> Batch:
        column = batch.get(path)
        text = col.plain_text(column)
        said = yes_or_no(column)
        missing = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(text), ""), True)
        neither = pc.and_(pc.is_null(said), pc.invert(missing))
        if pc.any(neither).as_py():
            rejected = batch.filter(neither)
            error = RecordError("LB-4502", f'"{write(path)}" is neither yes nor no')
            self.services.reject(rejected, [error] * rejected.num_rows)
            good = pc.invert(neither)
            batch, column, said, missing = (each.filter(good) for each in (batch, column, said, missing))
        answer = self._answers(said)
        if missing.true_count:
            absent = self.params.absent
            kept = column if absent is None else col.constant(absent, batch.num_rows)
            answer = col.choose(missing, kept, answer)
        return batch.put(path, answer)

    def _answers(self, said: pa.Array) -> pa.Array:
        words = (col.constant(word, len(said)) for word in (self.params.yes, self.params.no))
        return col.choose(pc.fill_null(said, False), *words)
