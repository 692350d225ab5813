"""A file in which a column says who wants mail: three imports, of which none opts anybody in again.

1. Rows with yes are added or updated. New contacts are opted in by that; who opted out at the platform stays out.
2. Rows with no, or without a word, only update contacts that are there: who never subscribed is not made reachable.
3. Rows with no opt their contacts out.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO, Final

import anyio.to_thread
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from landbridge.components.base import CHUNK_BYTES, FileStart, StepServices
from landbridge.components.file.dsv_parse import ParseDsv
from landbridge.errors import DataError, LandbridgeError
from landbridge.records import Batch, columns as col, consents
from landbridge.records.path import write
from landbridge.remote.publish import Announce, Upload
from landbridge.remote.silverpop_import import ImportStore, ImportUpload, Target, map_of, plain_name

YES: Final = frozenset((*consents.YES, "i"))
"""What means yes, in upper or lower case: also the I of files with a permission status."""

NO: Final = frozenset((*consents.NO, "o"))
"""What means no, likewise."""


class NewsletterStore(ImportStore):
    """An import store that reads the column ``field`` of each file for the e-mail status.

    Set ``field``, ``adds_opted_out`` and ``services`` before the first file.
    """

    field = ""
    adds_opted_out = False
    services: StepServices

    async def create(self, name: str, *, announce: Announce | None = None) -> Upload:
        """Begin a file; see ``Store.create``."""
        del announce
        return NewsletterUpload(self, plain_name(name))


class NewsletterUpload:
    """A file that is kept on this machine until it is complete, and then becomes three."""

    temporary: str | None = None

    def __init__(self, store: NewsletterStore, name: str) -> None:
        self._store = store
        self._name = name
        self._spool: BinaryIO | None = None
        self._parts: list[ImportUpload] = []

    async def write(self, chunk: bytes) -> None:
        """Append ``chunk``."""
        if self._spool is None:
            self._spool = _new_file(self._store.services.spool_dir)
        await anyio.to_thread.run_sync(self._spool.write, chunk)

    async def finish(self) -> None:
        """Divide the rows and upload the three files.

        Raises:
            DataError: LB-4633; the file lacks the column, or a column does not fit the database.
        """
        if self._spool is None:
            return
        spool = self._spool
        files = await anyio.to_thread.run_sync(self._divided, spool)
        store = self._store
        target = replace(store.target, left_out=store.target.left_out | {store.field})
        adds = "ADD_AND_UPDATE" if store.adds_opted_out else "UPDATE_ONLY"
        actions = (("", "ADD_AND_UPDATE"), (".others", adds), (".optout", "OPT_OUT"))
        for (suffix, action), file in zip(actions, files, strict=True):
            with file:
                if file.tell():
                    name = f"{self._name}{suffix}"
                    part = ImportUpload(store, name, replace(target, action=action))  # type: ignore[arg-type]  # literals
                    self._parts.append(part)
                    await _sent(file, part)
        spool.close()
        self._spool = None

    async def publish(self) -> None:
        """Import one after the other; opting out comes last, so that it has the last word."""
        for part in self._parts:
            await part.publish()

    async def discard(self) -> None:
        """Remove what was kept and uploaded."""
        if self._spool is not None:
            self._spool.close()
        for part in self._parts:
            with suppress(LandbridgeError):
                await part.discard()

    def _divided(self, spool: BinaryIO) -> list[BinaryIO]:
        """Three files: who wants mail, the others, and the keys of those who do not want it."""
        spool.seek(0)
        head = spool.readline().rstrip(b"\r\n")
        target: Target = self._store.target
        dialect = map_of(head, replace(target, left_out=target.left_out | {self._store.field}), file=self._name)
        params = ParseDsv.Params(column_separator=dialect.separator, empty_cells="empty")
        spool.seek(0)
        files = [_new_file(self._store.services.spool_dir) for _ in range(3)]
        begun = [False, False, False]
        for batch in ParseDsv(params, self._store.services).parse(FileStart(self._name), _chunks(spool)):
            wants, refuses = self._states(batch)
            parts = (batch.filter(wants), batch.filter(pc.invert(wants)), batch.filter(refuses))
            for number, part in enumerate(parts):
                if part.num_rows:
                    names = target.keys if number == len(parts) - 1 else None
                    _append(files[number], part, names=names, header=not begun[number])
                    begun[number] = True
        return files

    def _states(self, batch: Batch) -> tuple[pa.Array, pa.Array]:
        field = write((self._store.field,))
        if field not in batch.names:
            raise DataError(
                "LB-4633",
                f'the file "{self._name}" has no column "{self._store.field}", which newsletterField names',
                hint="Add the column to the records, or correct newsletterField.",
            )
        said = pc.utf8_lower(pc.utf8_trim_whitespace(pc.fill_null(batch.column(field), "")))
        return pc.is_in(said, pa.array(sorted(YES))), pc.is_in(said, pa.array(sorted(NO)))


def _append(file: BinaryIO, batch: Batch, *, names: object, header: bool) -> None:
    wanted = [write((name,)) for name in names] if isinstance(names, list | tuple) else list(batch.names)
    columns = [col.plain_text(batch.column(name)) for name in wanted]
    table = pa.table(columns, names=[name if name[:1] != "'" else name[1:-1].replace("''", "'") for name in wanted])
    text = io.BytesIO()
    options = pyarrow.csv.WriteOptions(include_header=header, quoting_style="needed")
    pyarrow.csv.write_csv(table, text, options)
    file.write(text.getvalue())


def _new_file(folder: Path) -> BinaryIO:
    return NamedTemporaryFile(dir=folder)  # type: ignore[return-value]


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


async def _sent(file: BinaryIO, upload: ImportUpload) -> None:
    file.seek(0)
    while chunk := await anyio.to_thread.run_sync(file.read, CHUNK_BYTES):
        await upload.write(chunk)
    await upload.finish()
