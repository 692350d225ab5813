"""file.compress.lzo and file.uncompress.lzo: LZO in the container of the lzop program."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from landbridge.components.base import FileEnd, FileEvent, FileStart, FileTransform, StepServices
from landbridge.components.file.codec import Source, joined, missing_extra, without_suffix
from landbridge.components.params import ComponentParams, Param
from landbridge.components.registry import component

try:
    from landbridge.components.file import lzop
except ModuleNotFoundError as error:
    if error.name != "lzo":
        raise
    _IS_INSTALLED = False
else:
    _IS_INSTALLED = True

SUFFIX = ".lzo"
INDEX_SUFFIX = ".index"


class _Lzo(FileTransform):
    """Base of both directions: says so at once where the LZO library is missing."""

    def __init__(self, params: Any, services: StepServices) -> None:
        super().__init__(params, services)
        if not _IS_INSTALLED:
            raise missing_extra(self.spec.id, extra="lzo")


@component("file.compress.lzo", title="Compress with LZO", extra="lzo")
class CompressLzo(_Lzo):
    """Compress each file with LZO as the lzop program does it and append ``.lzo`` to its name.

    With ``createIndexFile`` a second file follows, named like the first with ``.index`` appended. It holds
    the positions of the blocks and lets Hadoop (hadoop-lzo) read the parts of one file in parallel.
    """

    class Params(ComponentParams):
        """Parameters of file.compress.lzo."""

        create_index_file: bool = Param("Write the index that hadoop-lzo reads.", default=False, example=True)

    params: Params

    def transform(self, file: FileStart, chunks: Iterator[bytes]) -> Iterator[FileEvent]:
        """Yield the compressed file and, where wanted, its index."""
        name = file.name + SUFFIX
        positions: list[int] = []
        yield file.renamed(name)
        yield from joined(lzop.encode(chunks, modified=file.modified, positions=positions))
        yield FileEnd()
        if self.params.create_index_file:
            yield FileStart(name + INDEX_SUFFIX, modified=file.modified)
            if positions:
                yield lzop.index(positions)
            yield FileEnd()


@component("file.uncompress.lzo", title="Expand LZO", extra="lzo")
class UncompressLzo(_Lzo):
    """Expand lzop files, made with any level and any checksums, and take ``.lzo`` off their names.

    Concatenated files are read as one. What follows the last one is ignored with a warning, as lzop does it.
    """

    def transform(self, file: FileStart, chunks: Iterator[bytes]) -> Iterator[FileEvent]:
        """Yield the expanded file.

        Raises:
            DataError: LB-4401 damaged, LB-4402 ends too early, LB-4403 not an lzop file, LB-4406 made with a
                feature that is not supported.
        """
        source = Source(chunks)
        yield file.renamed(without_suffix(file.name, SUFFIX))
        yield from joined(lzop.decode(source, name=file.name))
        ignored = sum(map(len, iter(source.take_some, b"")))
        if ignored:
            self.services.log("warning", f'"{file.name}": {ignored} bytes after the end of the LZO data are ignored')
        yield FileEnd()
