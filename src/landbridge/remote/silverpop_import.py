"""A folder of Silverpop's SFTP server as a store: what is published there is imported.

``publish`` gives the file its name in the folder ``upload``, writes the map file next to it, begins the import job,
waits for its end and fetches what it says of single rows. Importing the same file twice has the effect of importing it
once, so an interrupted job simply does it again, when the opt-outs are safe that its first import may have undone.
"""

from __future__ import annotations

import csv
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from landbridge.errors import ConnectionFailed, DataError, FlowError
from landbridge.remote.publish import Announce, Entry, Upload
from landbridge.remote.sftp import SftpStore
from landbridge.remote.silverpop import Client
from landbridge.remote.silverpop_jobs import (
    FILE_TYPES,
    FinishedJob,
    ImportAction,
    MapFile,
    Patience,
    begin_import,
    ended,
)
from landbridge.remote.silverpop_lists import CONSENT_TYPES, ListFacts
from landbridge.remote.silverpop_opt_outs import OptOuts
from landbridge.remote.silverpop_results import DOWNLOAD, UPLOAD, put, refused_rows, remove_results

_MAX_HEADER: Final = 1 << 20
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Target:
    """Where imports go, and how.

    Attributes:
        facts: The database, or the relational table.
        is_table: Whether it is a table.
        keys: Columns by which contacts are matched.
        action: What an import does; without meaning for a table.
        left_out: Columns of a file that are not imported.
    """

    facts: ListFacts
    is_table: bool
    keys: Sequence[str]
    action: ImportAction = "ADD_AND_UPDATE"
    left_out: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a file.

    Attributes:
        file: Its name.
        job: The import job.
        refused: The rows that were not taken, as the platform gives them back; may be fewer than it counts.
        left_out: Rows that the import was not to take: their contacts are not there, or were not to be changed.
    """

    file: str
    job: FinishedJob
    refused: Sequence[str]
    left_out: int = 0


class ImportStore:
    """Imports files into one database or table.

    Args:
        client: An open client.
        files: The SFTP server's root, open.
        target: Where to.
        patience: How long to wait for a job.
        told: Called with what became of each file.
        keep_files: Leave the files in the folders when they have been imported.
        keep_opt_outs: Note who has opted out before each import, and opt them out again behind it.
    """

    def __init__(
        self,
        client: Client,
        files: SftpStore,
        target: Target,
        *,
        patience: Patience,
        told: Callable[[Imported], None],
        keep_files: bool = False,
        keep_opt_outs: bool = False,
    ) -> None:
        self.client = client
        self.files = files
        self.target = target
        self.patience = patience
        self.told = told
        self.keep_files = keep_files
        self.keep_opt_outs = keep_opt_outs
        self.opt_outs: OptOuts | None = None
        if not target.is_table:
            self.opt_outs = OptOuts(
                client, files, target.facts.id, patience=patience, refused=self._not_restored, keep_files=keep_files
            )

    async def list(self) -> Sequence[Entry]:
        """Nothing: whether a file was imported cannot be seen from the folder."""
        return []

    async def read(self, name: str) -> AsyncGenerator[bytes]:
        """Nothing can be read back.

        Raises:
            FlowError: LB-1521; always.
        """
        raise FlowError("LB-1521", f'"{name}" cannot be read back from an import')
        yield b""

    async def create(self, name: str, *, announce: Announce | None = None) -> Upload:
        """Begin a file; see ``Store.create``.

        Raises:
            FlowError: LB-1301; the name has a folder, which an import cannot have.
        """
        del announce
        return ImportUpload(self, plain_name(name), self.target)

    async def take_up(self, name: str, temporary: str) -> Upload | None:
        """Nobody but the process that began it can import a file."""
        del name, temporary
        return None

    async def stored_size(self, name: str) -> int | None:
        """Not known: a file in the folder may or may not have been imported."""
        del name
        return None

    async def check(self) -> None:
        """Prove that both folders are there.

        Raises:
            ConnectionFailed: One is not (LB-2201).
        """
        await self.files.check()
        for folder in (UPLOAD, DOWNLOAD):
            if await self.files.stored_size(folder) is None:
                raise ConnectionFailed(
                    "LB-2201", f'the SFTP user has no folder "{folder}"', hint="Check host and user."
                )

    async def clean(self) -> int:
        """Finish what an interrupted import has left: people whom it may have opted in are opted out again.

        Raises:
            LandbridgeError: See ``OptOuts.take_up``.
        """
        if self.opt_outs is not None:
            await self.opt_outs.take_up()
        return 0

    def _not_restored(self, file: str, job: FinishedJob, rows: Sequence[str]) -> None:
        self.told(Imported(file, job, rows))


class ImportUpload:
    """A file on its way into a database or table; see ``publish.Upload``.

    Args:
        store: Where it belongs.
        name: Its name in the folder ``upload``.
        target: Where it goes; may differ from the store's in what the import does.
    """

    temporary: str | None = None

    def __init__(self, store: ImportStore, name: str, target: Target) -> None:
        self._store = store
        self._name = name
        self._target = target
        self._file: Upload | None = None
        self._head = bytearray()
        self._map: MapFile | None = None

    async def write(self, chunk: bytes) -> None:
        """Append ``chunk``.

        Raises:
            DataError: LB-4633; the header does not fit the database.
        """
        if self._map is None:
            self._head += chunk
            self._read_header(complete=False)
        if self._file is None:
            self._file = await self._store.files.create(f"{UPLOAD}/{self._name}")
        await self._file.write(chunk)

    async def finish(self) -> None:
        """Close the file, verify its size, and check the header where it was not long enough before.

        Raises:
            DataError: LB-4633; see ``write``.
        """
        if self._map is None and self._head:
            self._read_header(complete=True)
        if self._file is not None:
            await self._file.finish()
        self._head.clear()

    async def publish(self) -> None:
        """Import the file. One without a header is empty and left alone.

        Raises:
            LandbridgeError: See ``begin_import``, ``ended`` and ``OptOuts.kept``.
        """
        if self._file is None or self._map is None:
            return
        store, target = self._store, self._target
        if store.opt_outs is not None:
            await store.opt_outs.take_up()
        await self._file.publish()
        map_name = f"{self._name}.map.xml"
        text = (
            self._map.for_table(target.facts.id)
            if target.is_table
            else self._map.for_list(target.facts.id, target.action)
        )
        await put(store.files, f"{UPLOAD}/{map_name}", text.encode())
        job = await self._job(map_name)
        # An import that opts out says nothing of contacts who are not there.
        left_out = 0 if target.action == "OPT_OUT" else job.count("NOT_ALLOWED")
        store.told(Imported(self._name, job, await refused_rows(store.files, job), left_out))
        if not store.keep_files:
            for name in (self._name, map_name):
                with suppress(ConnectionFailed):  # it may be kept by rule; the import is done all the same
                    await store.files.remove(f"{UPLOAD}/{name}")
            await remove_results(store.files, job)

    async def discard(self) -> None:
        """Remove the temporary file."""
        if self._file is not None:
            await self._file.discard()

    async def _job(self, map_name: str) -> FinishedJob:
        """Do the import."""
        store, target = self._store, self._target
        operation: Literal["ImportList", "ImportTable"] = "ImportTable" if target.is_table else "ImportList"
        begin = partial(begin_import, store.client, operation, map_file=map_name, source=self._name)
        if store.opt_outs is not None and store.keep_opt_outs and target.action != "OPT_OUT":
            return await store.opt_outs.kept(begin, keys=target.keys, source=self._name)
        return await ended(store.client, operation, (await begin()).job, patience=store.patience)

    def _read_header(self, *, complete: bool) -> None:
        end = self._head.find(b"\n")
        if end < 0 and not complete and len(self._head) < _MAX_HEADER:
            return
        line = bytes(self._head if end < 0 else self._head[:end]).removeprefix(_BOM).rstrip(b"\r")
        self._map = map_of(line, self._target, file=self._name)
        self._head.clear()


def plain_name(name: str) -> str:
    """The name of a file without a folder.

    Raises:
        FlowError: LB-1301; it has one.
    """
    if "/" in name:
        raise FlowError(
            "LB-1301", f'the file name "{name}" has a folder, which an import cannot have', hint="Correct fileName."
        )
    return name


def map_of(header: bytes, target: Target, *, file: str) -> MapFile:
    """The map file for a file with this header line.

    Raises:
        DataError: LB-4633; it is no header, or the database lacks a column or the file a key.
    """
    try:
        text = header.decode("utf-8")
    except UnicodeDecodeError:
        raise _misfit(file, "its first line is not UTF-8 text", "Leave it uncompressed, in UTF-8.") from None
    separator = max(FILE_TYPES, key=text.count)
    if ";" in text and not text.count(separator):
        raise _misfit(file, "its columns are separated by semicolons", "Set columnSeparator to a comma, tab or pipe.")
    names = next(csv.reader([text], delimiter=separator), [])
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled or not all(names):
        what = f'names "{doubled[0]}" twice' if doubled else "has a column without a name"
        raise _misfit(file, f"its header {what}", "Name each column once.")
    wanted = [None if name in target.left_out else name for name in names]
    missing = target.facts.lacks([name for name in wanted if name is not None])
    if missing:
        raise _misfit(
            file,
            f'"{target.facts.name}" has no column {", ".join(missing)}',
            "Names are compared with regard to case. `landbridge check FLOW --create` adds columns.",
        )
    consents = [name for name in wanted if name is not None and target.facts.columns[name] in CONSENT_TYPES]
    if consents and not target.is_table:
        hint = "Leave the column out: consent for SMS is given at the platform."
        raise _misfit(file, f"{', '.join(consents)} is a column of SMS consent, which is not written from here", hint)
    absent = [name for name in target.keys if name not in wanted]
    if absent:
        raise _misfit(file, f"it lacks the key column {', '.join(absent)}", "Add it to the records, or set syncFields.")
    return MapFile(columns=wanted, separator=separator, keys=target.keys)


def _misfit(file: str, reason: str, hint: str) -> DataError:
    return DataError("LB-4633", f'the file "{file}" cannot be imported: {reason}', hint=hint)
