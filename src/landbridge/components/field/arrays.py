"""Arrays: joined into a text, or one record of each element."""

from __future__ import annotations

from itertools import count
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from landbridge.components.base import Transform
from landbridge.components.params import ComponentParams, FieldPath, Param
from landbridge.components.registry import component
from landbridge.records import Batch, columns as col, objects
from landbridge.records.objects import ABSENT
from landbridge.records.path import parse


@component("field.array.join", title="Join an array into text")
class ArrayJoin(Transform):
    """Turn an array into one text, as mailing platforms want interests (`ski;tennis`)."""

    class Params(ComponentParams):
        """See the fields."""

        field: FieldPath = Param("The array to join.", example="profile.interests")
        separator: str = Param("Text between the elements.", default=",", aliases=("delimiter",), example=";")
        element: FieldPath | None = Param(
            "The member to take where elements are objects.", default=None, example="name"
        )

    params: Params

    def apply(self, batch: Batch) -> Batch:
        """Replace the array by its text; a value that is no array stays as it is."""
        path = parse(self.params.field)
        column = batch.get(path)
        if not col.is_json(column):
            return batch
        joined = [self._joined(value) for value in col.to_values(column)]
        return batch.put(path, col.from_values(joined))

    def _joined(self, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        if self.params.element:
            member = parse(self.params.element)
            value = [found for element in value if (found := objects.get(element, member)) is not ABSENT]
        return self.params.separator.join(_text(element) for element in value if element is not None)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else col.encode(value)


@component("field.array.extract", title="Make a record of each element")
class ArrayExtract(Transform):
    """Make one record of each element of an array, with some fields of the record it stood in.

    An element that is an object gives its members; any other value stands under the array's own name. A record
    without the array, or with an empty one, gives none.
    """

    makes_records = True

    class Params(ComponentParams):
        """See the fields."""

        field: FieldPath = Param("The array.", example="achievements")
        propagation_fields: list[FieldPath] = Param(
            "Fields of the parent record that every element gets.", default=[], example=["UID"]
        )
        generate_key: bool = Param(
            "Add a key that is the same in every run: the propagated fields and the element's number. It is unique "
            "where those fields tell the parent records apart.",
            default=False,
        )
        key_field: FieldPath = Param("Field that `generateKey` fills.", default="key", example="key")

    params: Params

    def apply(self, batch: Batch) -> Batch:
        """One record an element, in order."""
        path = parse(self.params.field)
        propagated = [parse(name) for name in self.params.propagation_fields]
        elements: list[dict[str, Any]] = []
        parents: list[int] = []
        numbers: list[str] = []
        for row, value in enumerate(col.to_values(batch.get(path))):
            for number, element in zip(count(), value if isinstance(value, list) else ()):
                elements.append(element if isinstance(element, dict) else {str(path[-1]): element})
                parents.append(row)
                numbers.append(str(number))
        extracted = Batch.from_objects(elements)
        carried = batch.select(propagated).take(parents)
        if self.params.generate_key:
            extracted = extracted.put(parse(self.params.key_field), _keys(carried, numbers))
        for parent in propagated:
            extracted = extracted.put(parent, carried.get(parent))
        return extracted.reorder([*carried.names, *extracted.names])


def _keys(carried: Batch, numbers: list[str]) -> pa.Array:
    """What identifies each element: the fields of its parent, and its number there."""
    parts = [pc.fill_null(col.plain_text(column), "") for column in carried.columns.values()]
    return pc.binary_join_element_wise(*parts, pa.array(numbers, pa.string()), "-")
