"""Files that accompany data: file.empty (a marker that says "all is there") and file.format.count."""

from __future__ import annotations

from collections.abc import Iterator

from landbridge.components.base import FileEnd, FileEvent, FileStart, Formatter
from landbridge.components.params import ComponentParams, Param
from landbridge.components.registry import component
from landbridge.records import Batch


@component("file.empty", title="Write an empty marker file")
class Empty(Formatter):
    """Write an empty file when all records have passed, so that the receiver knows that the data is complete.

    Put it after the data's formatter in ``next``: files are published in that order, the marker last. It
    may also be the only step before a writer; then it needs no records.
    """

    class Params(ComponentParams):
        """Parameters of file.empty."""

        file_name: str = Param("Name of the marker; may hold variables and `/`.", example="gigya.ok")
        only_with_records: bool = Param("Write no marker when there were no records.", default=False)

    params: Params
    reads_text = True

    def format(self, batches: Iterator[Batch]) -> Iterator[FileEvent]:
        """Yield the marker once ``batches`` has ended; an error on the way there means no marker."""
        count = sum(batch.num_rows for batch in batches)
        if self.params.only_with_records and not count:
            return
        yield FileStart(self.params.file_name)
        yield FileEnd()


@component("file.format.count", title="Write the number of records")
class Count(Formatter):
    """Write a file that holds nothing but the number of records, as Responsys and others check it."""

    class Params(ComponentParams):
        """Parameters of file.format.count."""

        file_name: str = Param("Name of the file; may hold variables and `/`.", example="users_${now}.count")
        line_end: str = Param(
            "Text after the number. The default is none: some receivers read the whole file as a number.",
            default="",
            example="\n",
        )
        only_with_records: bool = Param("Write no file when there were no records.", default=False)

    params: Params
    reads_text = True

    def format(self, batches: Iterator[Batch]) -> Iterator[FileEvent]:
        """Yield the file once ``batches`` has ended."""
        count = sum(batch.num_rows for batch in batches)
        if self.params.only_with_records and not count:
            return
        yield FileStart(self.params.file_name)
        yield f"{count}{self.params.line_end}".encode()
        yield FileEnd()
