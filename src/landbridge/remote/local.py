"""Folders of this machine as a store."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal, NoReturn, Self, TypeVar

from anyio import to_thread

from landbridge.errors import ConnectionFailed, LandbridgeError, StorageError
from landbridge.remote import failures
from landbridge.remote.names import checked_name, upload_name
from landbridge.remote.publish import Announce, Entry, is_abandoned, is_temporary

T = TypeVar("T")

BLOCK_BYTES = 1 << 20

HERE = "this machine"


class LocalStore:
    """A folder of this machine.

    A published file survives a loss of power: its content and its folder are flushed to disk. Folders named
    in a file's name (``success/report.csv``) are created below the store's folder; the folder itself is
    created only on request, because a misspelt path should be an error and not a new folder that nobody
    reads.

    Args:
        folder: The folder; a relative path is relative to the process's working folder.
        create_folders: Create the folder when it is missing and something is written.
        visible_temporary: Upload as ``<name>.uploading`` instead of a hidden name.
    """

    def __init__(self, folder: Path, *, create_folders: bool = False, visible_temporary: bool = False) -> None:
        self._folder = folder.expanduser()
        self._create_folders = create_folders
        self._visible_temporary = visible_temporary
        self._cleaned: set[Path] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def list(self) -> Sequence[Entry]:
        """The files in the folder; see ``Store.list``.

        Raises:
            ConnectionFailed: The folder is missing (LB-2201) or may not be read (LB-2202).
        """
        return await _in_thread(lambda: _entries(self._folder), self._folder)

    async def read(self, name: str) -> AsyncGenerator[bytes]:
        """The content of ``name`` in pieces of a megabyte.

        Raises:
            TransientError: The file is gone (LB-3105) or was changed while it was read (LB-3104).
            ConnectionFailed: The file may not be read (LB-2202).
        """
        path = self._folder / checked_name(name)
        file = await _in_thread(lambda: self._open_to_read(path), path)
        try:
            before = os.fstat(file.fileno())
            count = 0
            while chunk := await _in_thread(lambda: file.read(BLOCK_BYTES), path):
                count += len(chunk)
                yield chunk
            after = os.fstat(file.fileno())
            if count != before.st_size or after.st_mtime_ns != before.st_mtime_ns:
                raise failures.changed(str(path), HERE)
        finally:
            file.close()

    async def read_range(self, name: str, start: int, end: int, *, modified: datetime) -> AsyncGenerator[bytes]:
        """The bytes of ``name`` from ``start`` up to ``end``, in pieces of a megabyte.

        Raises:
            TransientError: The file is gone (LB-3105) or was changed after ``modified`` (LB-3104).
            ConnectionFailed: The file may not be read (LB-2202).
        """
        path = self._folder / checked_name(name)
        file = await _in_thread(lambda: self._open_to_read(path), path)
        try:
            await _in_thread(lambda: file.seek(start), path)
            left = end - start
            while left and (chunk := await _in_thread(partial(file.read, min(left, BLOCK_BYTES)), path)):
                left -= len(chunk)
                yield chunk
            if left or datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC) != modified:
                raise failures.changed(str(path), HERE)
        finally:
            file.close()

    async def create(self, name: str, *, announce: Announce | None = None) -> LocalUpload:
        """Begin the file ``name``; see ``Store.create``.

        Raises:
            FlowError: LB-1301, the name leads out of the folder.
            ConnectionFailed: The folder is missing (LB-2201) or may not be written (LB-2202).
            StorageError: LB-7101, the disk is full.
        """
        target = self._folder / checked_name(name)
        temporary_name = upload_name(name, visible=self._visible_temporary, lasting=announce is not None)
        if announce:
            await announce(temporary_name)
        temporary = self._folder / temporary_name
        file = await _in_thread(lambda: self._open(target.parent, temporary), target)
        if target.parent not in self._cleaned:
            self._cleaned.add(target.parent)
            await _in_thread(lambda: _clean(target.parent), target.parent)
        return LocalUpload(target=target, temporary=temporary, file=file, temporary_name=temporary_name)

    async def take_up(self, name: str, temporary: str) -> LocalUpload | None:
        """An upload that another process has finished; see ``Store.take_up``.

        Raises:
            FlowError: LB-1301, a name leads out of the folder.
            ConnectionFailed: LB-2202, the file may not be read.
        """
        target = self._folder / checked_name(name)
        path = self._folder / checked_name(temporary)
        try:
            file = await to_thread.run_sync(lambda: path.open("rb"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            _explain(error, path)
        file.close()  # a closed file is a finished one
        return LocalUpload(target=target, temporary=path, file=file, temporary_name=temporary)

    async def stored_size(self, name: str) -> int | None:
        """The size of a file; see ``Store.stored_size``."""
        path = self._folder / checked_name(name)
        return await _in_thread(lambda: path.stat().st_size if path.is_file() else None, path)

    async def check(self) -> None:
        """Prove that the folder can be listed.

        Raises:
            ConnectionFailed: The folder is missing (LB-2201) or may not be read (LB-2202).
        """
        try:
            await _in_thread(lambda: os.scandir(self._folder).close(), self._folder)
        except ConnectionFailed as error:
            if error.code == "LB-2201" and self._create_folders:
                return
            raise

    async def clean(self) -> int:
        """Remove temporary files whose writer is dead; the number removed. A missing folder is clean.

        Other folders below are cleaned when the next file is written to them.
        """
        self._cleaned.add(self._folder)
        try:
            return await _in_thread(lambda: _clean(self._folder), self._folder)
        except ConnectionFailed as error:
            if error.code == "LB-2201":
                return 0
            raise

    def _open_to_read(self, path: Path) -> BinaryIO:
        try:
            return path.open("rb")
        except FileNotFoundError:
            if not self._folder.is_dir():
                raise
            raise failures.gone(str(path), HERE) from None

    def _open(self, folder: Path, temporary: Path) -> BinaryIO:
        below = folder != self._folder and self._folder.is_dir()
        if below or self._create_folders:
            folder.mkdir(parents=True, exist_ok=True)
        return temporary.open("wb", buffering=0)


class LocalUpload:
    """A file being written to a folder of this machine; see ``publish.Upload``."""

    def __init__(self, *, target: Path, temporary: Path, file: BinaryIO, temporary_name: str) -> None:
        self.temporary = temporary_name
        self._target = target
        self._temporary = temporary
        self._file = file
        self._buffer = bytearray()
        self._written = 0
        self._state: Literal["staged", "published", "discarded"] = "staged"

    async def write(self, chunk: bytes) -> None:
        """Append ``chunk``.

        Raises:
            StorageError: LB-7101, the disk is full.
        """
        self._buffer += chunk
        if len(self._buffer) >= BLOCK_BYTES:
            await _in_thread(self._write_buffer, self._target)

    async def finish(self) -> None:
        """Flush the temporary file to disk and verify its size.

        Raises:
            TransientError: LB-3103, the sizes differ.
            StorageError: LB-7101, the disk is full.
        """
        if not self._file.closed:
            await _in_thread(self._flush, self._target)

    async def publish(self) -> None:
        """Rename the temporary file onto the final name and flush the folder to disk."""
        if self._state == "discarded":
            raise ValueError(f"{self._target} was discarded and cannot be published")
        if self._state == "staged":
            await self.finish()
            await _in_thread(self._rename, self._target)
            self._state = "published"

    async def discard(self) -> None:
        """Remove the temporary file; does nothing after ``publish``."""
        self._file.close()
        if self._state == "staged":
            self._state = "discarded"
            await _in_thread(lambda: self._temporary.unlink(missing_ok=True), self._temporary)

    def _write_buffer(self) -> None:
        whole, self._buffer = self._buffer, bytearray()
        self._written += len(whole)
        rest = memoryview(whole)
        while rest:
            rest = rest[self._file.write(rest) :]

    def _flush(self) -> None:
        self._write_buffer()
        os.fsync(self._file.fileno())
        self._file.close()
        size = self._temporary.stat().st_size
        if size != self._written:
            raise failures.size_differs(str(self._target), HERE, written=self._written, stored=size)

    def _rename(self) -> None:
        self._temporary.replace(self._target)
        folder = os.open(self._target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


async def _in_thread(work: Callable[[], T], path: Path) -> T:
    try:
        return await to_thread.run_sync(work)
    except OSError as error:
        _explain(error, path)


def _explain(error: OSError, path: Path) -> NoReturn:
    found: LandbridgeError
    match error.errno:
        case errno.ENOTDIR | errno.EEXIST:
            found = ConnectionFailed(
                "LB-2204",
                f'"{_file_in_the_way(path)}" is a file, not a folder',
                hint="Correct the path, or move the file away.",
            )
        case errno.ENOENT:
            found = failures.missing(
                str(_missing(path)),
                HERE,
                hint="Create it or correct the path; a writer creates it when createFolders is true.",
            )
        case errno.EACCES | errno.EPERM | errno.EROFS:
            found = ConnectionFailed(
                "LB-2202",
                f'no permission for "{path}"',
                hint="Give the user that runs landbridge access to it.",
            )
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            found = StorageError(
                "LB-7101",
                f'the disk that holds "{path}" is full ({error.strerror})',
                hint="Free some space or write to another folder; the file was not published.",
            )
        case errno.ENAMETOOLONG:
            found = ConnectionFailed(
                "LB-2204",
                f'the file name "{path.name}" is too long for this folder',
                hint="Shorten it: uploads need some 60 characters more than the final name.",
            )
        case _:
            found = StorageError("LB-7102", f'"{path}": {error.strerror or error}', hint="Look at the machine's disk.")
    raise found from None


def _file_in_the_way(path: Path) -> Path:
    """The part of ``path`` that should be a folder and is none."""
    return next((parent for parent in (*reversed(path.parents), path) if parent.exists() and not parent.is_dir()), path)


def _missing(path: Path) -> Path:
    """The topmost folder of ``path`` that does not exist."""
    lacking = path
    for parent in path.parents:
        if parent.exists():
            break
        lacking = parent
    return lacking


def _entries(folder: Path) -> list[Entry]:
    found = []
    with os.scandir(folder) as items:
        for item in items:
            if is_temporary(item.name):
                continue
            with suppress(FileNotFoundError):
                if item.is_file():
                    status = item.stat()
                    modified = datetime.fromtimestamp(status.st_mtime, UTC)
                    found.append(Entry(name=item.name, size=status.st_size, modified=modified))
    return found


def _clean(folder: Path) -> int:
    removed = 0
    with os.scandir(folder) as items:
        for item in items:
            with suppress(FileNotFoundError):
                if is_temporary(item.name) and is_abandoned(
                    item.name, datetime.fromtimestamp(item.stat(follow_symlinks=False).st_mtime, UTC)
                ):
                    (folder / item.name).unlink()
                    removed += 1
    return removed
