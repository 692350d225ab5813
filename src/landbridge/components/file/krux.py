"""file.format.krux: user attributes for Krux, later Salesforce DMP and Salesforce Audience Studio.

The layout is that of the vendor's "Data Import Specification" for user attributes: UTF-8, one line for each
user, ``user1234^gender:male;age:18-24;interest:fishing,boating``, that is the id, a caret, and attributes
with a colon after the name, semicolons between them and commas between several values of one. A value has
fewer than 255 characters. The specification knows no way to quote a separator.
"""

from __future__ import annotations

from landbridge.components.file.attributes import AttributeFormatter, AttributeParams, Layout, Notation
from landbridge.components.file.parts import numbered
from landbridge.components.params import Param
from landbridge.components.registry import component


@component("file.format.krux", title="Write a Krux (Salesforce DMP) file")
class FormatKrux(AttributeFormatter):
    """Write each record as a line ``id^name:value;name:value`` for Krux, now Salesforce Audience Studio.

    Every field but the id becomes an attribute named like the field; arrays become several values.
    Characters that the format uses itself are replaced by blanks within values, as it cannot quote them. A
    record without an id is a reject.
    """

    class Params(AttributeParams):
        """Parameters of file.format.krux."""

        file_name: str = Param("Name of the file; may hold variables and `/`.", example="krux_${now}.csv")
        id_field: str = Param("The field with the user's id, as Krux was told it.", default="id", example="id")

    params: Params
    layout = Layout(
        after_id="^",
        between=";",
        notation=lambda name: Notation(before=f"{name}:", between=",", after=""),
        unsafe="^;:,",
        unsafe_in_id=r"\^",
        longest=254,
    )

    def name(self, number: int) -> str:
        """The name that the step gives; further parts have a number before the extension."""
        return numbered(self.params.file_name, number)
