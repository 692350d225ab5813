"""file.format.aam: traits for Adobe Audience Manager ("inbound data file").

Name and layout follow Adobe's pages on inbound data files. The name is
``ftp_dpm_DPID[_TARGET]_TIMESTAMP(.sync|.overwrite)[.PART]``, the time stamp in seconds since 1970 (UTC). A
line is the user's id, a tab, and ``"key"="value"`` pairs with commas between; a key with several values is
repeated. Tabs and line ends are not allowed in keys and values, colons not in ids. Adobe takes up to 5 GB
in one file and advises 1 GB. Which of the two kinds IdentitySync writes is not public; ``sync``, which
takes nothing away, is the default here.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Literal

from landbridge.components.base import FileEvent, FileStart, Formatter
from landbridge.components.file.attributes import AttributeLines, Layout, Notation
from landbridge.components.file.parts import MEGABYTE, Parts
from landbridge.components.params import ComponentParams, Param
from landbridge.components.registry import component
from landbridge.records import Batch

_LAYOUT = Layout(
    after_id="\t",
    between=",",
    notation=lambda name: Notation(before=f'"{name}"="', between=f'","{name}"="', after='"'),
    unsafe='"',
    unsafe_in_id=r":|%3[Aa]",
)


@component("file.format.aam", title="Write an Adobe Audience Manager file")
class FormatAam(Formatter):
    """Write each record as a line ``UID<tab>"name"="value","name"="value"`` for Adobe Audience Manager.

    The file is named as Audience Manager asks for it. Every field but the id becomes a key; the elements of
    an array repeat it. Quotes, tabs and line ends within values become blanks. A record without an id, or
    with a colon in it, is a reject.
    """

    class Params(ComponentParams):
        """Parameters of file.format.aam."""

        dpid: int = Param("Id of the data source that the user ids belong to.", ge=0, example=478)
        target_dpid: int | None = Param(
            "Id of the data source that owns the traits, where the user ids are device ids or of a partner.",
            default=None,
            ge=0,
            example=21,
        )
        file_type: Literal["sync", "overwrite"] = Param(
            "`sync` adds to what is known of a user, `overwrite` replaces it.", default="sync", example="sync"
        )
        create_empty_file: bool = Param("Write a file even when there are no records.", default=False, example=True)
        max_file_size: float | None = Param(
            "Split into numbered parts below this size. Adobe advises 1000.",
            default=None,
            ge=0.000001,
            unit="MB",
            example=1000,
        )
        id_field: str = Param("The field with the user's id.", default="UID", example="UID")
        element: str = Param(
            "The member to take where the elements of an array are objects.", default="name", example="name"
        )

    params: Params

    def format(self, batches: Iterator[Batch]) -> Iterator[FileEvent]:
        """Yield the file, or its parts.

        Raises:
            FlowError: LB-1201, ``idField`` is not a field path.
        """
        params = self.params
        lines = AttributeLines(_LAYOUT, id_field=params.id_field, element=params.element, services=self.services)
        max_bytes = int(params.max_file_size * MEGABYTE) if params.max_file_size else None
        parts = Parts("part", max_bytes=max_bytes)
        names = map(self._name, count(1))
        for event in self._events(lines, parts, batches):
            yield FileStart(next(names)) if isinstance(event, FileStart) else event
        lines.report()

    def _events(self, lines: AttributeLines, parts: Parts, batches: Iterator[Batch]) -> Iterator[FileEvent]:
        for batch in batches:
            yield from parts.rows(lines.of(batch))
        yield from parts.end(create_empty=self.params.create_empty_file)

    def _name(self, number: int) -> str:
        params = self.params
        ids = "_".join(str(dpid) for dpid in (params.dpid, params.target_dpid) if dpid is not None)
        part = f".{number}" if params.max_file_size else ""
        return f"ftp_dpm_{ids}_{int(self.services.started.timestamp())}.{params.file_type}{part}"
