"""file.format.krux: user attributes for Krux, later Salesforce DMP and Salesforce Audience Studio.

The layout is that of the vendor's "Data Import Specification" for user attributes: UTF-8, one line for each
user, ``user1234^gender:male;age:18-24;interest:fishing,boating``, that is the id, a caret, and attributes
with a colon after the name, semicolons between them and commas between several values of one. A value has
fewer than 255 characters. The specification knows no way to quote a separator.
"""

from __future__ import annotations

from collections.abc import Iterator

from landbridge.components.base import FileEvent, Formatter
from landbridge.components.file.attributes import AttributeLines, Layout, Notation
from landbridge.components.file.parts import MEGABYTE, Parts
from landbridge.components.params import ComponentParams, Param
from landbridge.components.registry import component
from landbridge.records import Batch

_LAYOUT = Layout(
    after_id="^",
    between=";",
    notation=lambda name: Notation(before=f"{name}:", between=",", after=""),
    unsafe="^;:,",
    unsafe_in_id=r"\^",
    longest=254,
)


@component("file.format.krux", title="Write a Krux (Salesforce DMP) file")
class FormatKrux(Formatter):
    """Write each record as a line ``id^name:value;name:value`` for Krux, now Salesforce Audience Studio.

    Every field but the id becomes an attribute named like the field; arrays become several values.
    Characters that the format uses itself are replaced by blanks within values, as it cannot quote them. A
    record without an id is a reject.
    """

    class Params(ComponentParams):
        """Parameters of file.format.krux."""

        file_name: str = Param("Name of the file; may hold variables and `/`.", example="krux_${now}.csv")
        create_empty_file: bool = Param("Write a file even when there are no records.", default=False, example=True)
        max_file_size: float | None = Param(
            "Begin a new part before a file grows beyond this size.",
            default=None,
            ge=0.000001,
            unit="MB",
            example=5000,
        )
        id_field: str = Param("The field with the user's id, as Krux was told it.", default="id", example="id")
        element: str = Param(
            "The member to take where the elements of an array are objects.", default="name", example="name"
        )

    params: Params

    def format(self, batches: Iterator[Batch]) -> Iterator[FileEvent]:
        """Yield the file.

        Raises:
            FlowError: LB-1201, ``idField`` is not a field path.
        """
        params = self.params
        lines = AttributeLines(_LAYOUT, id_field=params.id_field, element=params.element, services=self.services)
        max_bytes = int(params.max_file_size * MEGABYTE) if params.max_file_size else None
        parts = Parts(params.file_name, max_bytes=max_bytes)
        for batch in batches:
            yield from parts.rows(lines.of(batch))
        yield from parts.end(create_empty=params.create_empty_file)
        lines.report()
