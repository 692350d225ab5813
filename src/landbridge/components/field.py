"""``field.*``: operations on the fields of a record, each a few Arrow calls on whole columns."""

from __future__ import annotations

from landbridge.components.base import Transform
from landbridge.components.params import ComponentParams, Param
from landbridge.components.registry import component
from landbridge.records import Batch
from landbridge.records.path import parse


class FieldPair(ComponentParams):
    """A field and the one it becomes."""

    source_field: str = Param("The field to take.", example="profile.email")
    target_field: str = Param("The field to make; in single quotes, dots are part of the name.", example="EMAIL")


@component("field.rename", title="Rename fields")
class Rename(Transform):
    """Move values to other names. A field that a record lacks is passed over; an emptied parent object remains."""

    class Params(ComponentParams):
        """See the fields."""

        fields: list[FieldPair] = Param(
            "What becomes what, in order.", example=[{"sourceField": "profile.email", "targetField": "EMAIL"}]
        )

    params: Params

    def apply(self, batch: Batch) -> Batch:
        """Rename in the order of the pairs."""
        for pair in self.params.fields:
            batch = batch.rename(parse(pair.source_field), parse(pair.target_field))
        return batch


@component("field.remove", title="Remove fields")
class Remove(Transform):
    """Drop fields and everything below them."""

    class Params(ComponentParams):
        """See the fields."""

        fields: list[str] = Param("The fields to drop.", example=["profile", "data"])

    params: Params

    def apply(self, batch: Batch) -> Batch:
        """Drop the fields."""
        return batch.remove(*map(parse, self.params.fields))
