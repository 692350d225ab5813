"""A folder of Silverpop's SFTP server as a store: what is published there is imported.

``publish`` gives the file its name in the folder ``upload``, writes the map file next to it, begins the import job,
waits for its end and fetches what it says of single rows. Importing the same file twice has the effect of importing it
once, so an interrupted job simply does it again.
"""

from __future__ import annotations

import csv
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from landbridge.errors import ConnectionFailed, DataError, FlowError
from landbridge.remote.publish import Announce, Entry, Upload
from landbridge.remote.sftp import SftpStore
from landbridge.remote.silverpop import Client
from landbridge.remote.silverpop_jobs import FILE_TYPES, FinishedJob, ImportAction, MapFile, Patience, import_file
from landbridge.remote.silverpop_lists import CONSENT_TYPES, ListFacts
from landbridge.remote.silverpop_opt_outs import DOWNLOAD, UPLOAD, NotedOptOuts, note_opt_outs, put

_MAX_HEADER: Final = 1 << 20
_MAX_ERRORS: Final = 64 << 20
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
    """

    file: str
    job: FinishedJob
    refused: Sequence[str]


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
        """Nothing to do: the folder is cleaned when the next file is written to it."""
        return 0


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
            LandbridgeError: See ``import_file``.
        """
        if self._file is None or self._map is None:
            return
        await self._file.publish()
        store, target = self._store, self._target
        map_name = f"{self._name}.map.xml"
        text = (
            self._map.for_table(target.facts.id)
            if target.is_table
            else self._map.for_list(target.facts.id, target.action)
        )
        await put(store.files, f"{UPLOAD}/{map_name}", text.encode())
        opt_outs = await self._opt_outs()
        job = await import_file(
            store.client,
            "ImportTable" if target.is_table else "ImportList",
            map_file=map_name,
            source=self._name,
            patience=store.patience,
        )
        if opt_outs is not None:
            await opt_outs.restore(store.client, store.files, patience=store.patience, keep_file=store.keep_files)
        refused = await self._refused(job)
        store.told(Imported(self._name, job, refused))
        if not store.keep_files:
            results = [job.parameters.get(name) for name in ("RESULTS_FILE_NAME", "ERROR_FILE_NAME")]
            names = [f"{UPLOAD}/{self._name}", f"{UPLOAD}/{map_name}"]
            for name in (*names, *(f"{DOWNLOAD}/{each}" for each in results if each)):
                with suppress(ConnectionFailed):  # they may be kept by rule; the import is done all the same
                    await store.files.remove(name)

    async def discard(self) -> None:
        """Remove the temporary file."""
        if self._file is not None:
            await self._file.discard()

    async def _opt_outs(self) -> NotedOptOuts | None:
        store, target = self._store, self._target
        if not store.keep_opt_outs or target.is_table or target.action == "OPT_OUT":
            return None
        return await note_opt_outs(
            store.client,
            store.files,
            list_id=target.facts.id,
            keys=target.keys,
            name=f"{self._name}.keep",
            patience=store.patience,
        )

    async def _refused(self, job: FinishedJob) -> Sequence[str]:
        """The rows in the job's error file. Its layout is not published: every line counts as one row."""
        name = job.parameters.get("ERROR_FILE_NAME")
        if not job.refused_rows or not name:
            return []
        content = bytearray()
        with suppress(ConnectionFailed):
            async for chunk in self._store.files.read(f"{DOWNLOAD}/{name}"):
                content += chunk
                if len(content) > _MAX_ERRORS:
                    break
        return [line for line in content.decode("utf-8", "replace").splitlines() if line.strip()][: job.refused_rows]

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
