"""Folders on SFTP servers as a store."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from stat import S_ISDIR, S_ISLNK, S_ISREG
from types import TracebackType
from typing import Self

import asyncssh

from landbridge.errors import ConnectionFailed
from landbridge.remote.names import checked_name, upload_name
from landbridge.remote.publish import Announce, Entry, ReplacePolicy, is_abandoned, is_temporary
from landbridge.remote.sftp_session import SftpLogin, SftpSession
from landbridge.remote.sftp_transfer import SftpDownload, SftpUpload


class SftpStore:
    """A folder on an SFTP server. Enter it to log in.

    Args:
        login: Server and credentials.
        folder: Path; relative to the login folder unless it starts with ``/``; empty for the login folder.
        create_folders: Create the folder when it is missing and something is written. Folders named in a
            file's name are always created.
        visible_temporary: Upload as ``<name>.uploading`` instead of a hidden name.
        replace_policy: For servers without ``posix-rename@openssh.com``, whose rename refuses an existing
            target: ``fail``, or ``deleteFirst``, which leaves a moment without the file.
    """

    def __init__(
        self,
        login: SftpLogin,
        *,
        folder: str = "",
        create_folders: bool = False,
        visible_temporary: bool = False,
        replace_policy: ReplacePolicy = "fail",
    ) -> None:
        self._session = SftpSession(login)
        self._folder = "/" if folder.startswith("/") and not folder.strip("/") else folder.rstrip("/")
        self._create_folders = create_folders
        self._visible_temporary = visible_temporary
        self._replace_policy: ReplacePolicy = replace_policy
        self._prepared: set[str] = set()

    async def __aenter__(self) -> Self:
        await self._session.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def list(self, below: str = "") -> Sequence[Entry]:
        """The files in the folder, or in the folder ``below`` it; see ``Store.list``.

        Raises:
            FlowError: LB-1301, ``below`` leads out of the folder.
            ConnectionFailed: The folder is missing (LB-2201) or may not be read (LB-2202).
        """
        folder = self._path(checked_name(below)) if below else self._folder
        return [entry for entry in await self._entries(folder) if not is_temporary(entry.name)]

    async def read(self, name: str) -> AsyncGenerator[bytes]:
        """The content of ``name`` in pieces of a megabyte.

        Raises:
            TransientError: The file is gone (LB-3105), was changed while it was read (LB-3104), or the
                connection was lost for good (LB-3101).
            ConnectionFailed: The file may not be read (LB-2202).
        """
        download = SftpDownload(self._session, self._path(checked_name(name)))
        try:
            async for chunk in download.chunks():
                yield chunk
        finally:
            await download.close()

    async def create(self, name: str, *, announce: Announce | None = None) -> SftpUpload:
        """Begin the file ``name``; see ``Store.create``.

        Raises:
            FlowError: LB-1301, the name leads out of the folder.
            ConnectionFailed: The folder is missing (LB-2201) or may not be written (LB-2202).
        """
        target = self._path(checked_name(name))
        folder = target.rpartition("/")[0] or ("/" if target.startswith("/") else "")
        if folder not in self._prepared:
            await self._prepare(folder)
            self._prepared.add(folder)
        temporary = upload_name(name, visible=self._visible_temporary, lasting=announce is not None)
        if announce:
            await announce(temporary)
        upload = self._upload(name, temporary)
        await upload.open()
        return upload

    async def take_up(self, name: str, temporary: str) -> SftpUpload | None:
        """An upload that another process has finished; see ``Store.take_up``.

        Raises:
            FlowError: LB-1301, a name leads out of the folder.
        """
        size = await self.stored_size(temporary)
        return None if size is None else self._upload(checked_name(name), temporary, finished_bytes=size)

    async def stored_size(self, name: str) -> int | None:
        """The size of a file; see ``Store.stored_size``."""
        path = self._path(checked_name(name))
        try:
            attributes = await self._session.call(partial(_stat, path=path), what=path)
        except ConnectionFailed as error:
            if error.code == "LB-2201":
                return None
            raise
        return attributes.size or 0

    async def remove(self, name: str) -> None:
        """Remove a file; one that is gone already is no error.

        Raises:
            FlowError: LB-1301, the name leads out of the folder.
            ConnectionFailed: The file may not be removed (LB-2202).
        """
        path = self._path(checked_name(name))
        try:
            await self._session.call(partial(_remove, path=path), what=path)
        except ConnectionFailed as error:
            if error.code != "LB-2201":
                raise

    async def check(self) -> None:
        """Prove that the folder exists and can be entered.

        Raises:
            ConnectionFailed: The folder is missing (LB-2201) or is not a folder (LB-2204).
        """
        where = self._folder or "."
        try:
            attributes = await self._session.call(lambda client: client.stat(where), what=where)
        except ConnectionFailed as error:
            if error.code == "LB-2201" and self._create_folders:
                return
            raise
        if attributes.permissions is not None and not S_ISDIR(attributes.permissions):
            raise ConnectionFailed(
                "LB-2204", f'"{where}" on {self._session.login.label} is not a folder', hint="Correct the remotePath."
            )
        await self._session.listing(where)

    async def clean(self) -> int:
        """Remove temporary files whose writer is dead; the number removed. A missing folder is clean.

        Other folders below are cleaned when the next file is written to them.
        """
        try:
            return await self._clean(self._folder)
        except ConnectionFailed as error:
            if error.code == "LB-2201":
                return 0
            raise

    def _upload(self, name: str, temporary: str, *, finished_bytes: int | None = None) -> SftpUpload:
        return SftpUpload(
            self._session,
            target=self._path(name),
            temporary=self._path(temporary),
            temporary_name=temporary,
            replace_policy=self._replace_policy,
            finished_bytes=finished_bytes,
        )

    def _path(self, name: str) -> str:
        return f"{self._folder.rstrip('/')}/{name}" if self._folder else name

    async def _prepare(self, folder: str) -> None:
        """Make sure that ``folder`` exists as far as it may be created, and rid it of dead writers' files."""
        if folder != self._folder or self._create_folders:
            if folder != self._folder and not self._create_folders:
                await self.check()
            await self._session.call(lambda client: client.makedirs(folder or ".", exist_ok=True), what=folder)
        with suppress(ConnectionFailed):  # a folder that may be written but not listed is still a good target
            await self._clean(folder)

    async def _entries(self, folder: str) -> Sequence[Entry]:
        where = folder or "."
        found = []
        for row in await self._session.listing(where):
            attributes = row.attrs
            if S_ISLNK(attributes.permissions or 0):
                path = f"{where}/{row.filename!s}"
                try:
                    attributes = await self._session.call(partial(_stat, path=path), what=path)
                except ConnectionFailed:
                    continue  # it leads nowhere
            if attributes.permissions is None or S_ISREG(attributes.permissions):
                # A server that does not tell the time must not make a living upload look abandoned.
                modified = datetime.now(UTC) if attributes.mtime is None else _utc(attributes.mtime)
                found.append(Entry(name=str(row.filename), size=attributes.size or 0, modified=modified))
        return found

    async def _clean(self, folder: str) -> int:
        removed = 0
        for entry in await self._entries(folder):
            if is_temporary(entry.name) and is_abandoned(entry.name, entry.modified):
                path = f"{folder.rstrip('/')}/{entry.name}" if folder else entry.name
                with suppress(ConnectionFailed):  # another job may clean at the same moment
                    await self._session.call(partial(_remove, path=path), what=path)
                    removed += 1
        return removed


async def _stat(client: asyncssh.SFTPClient, path: str) -> asyncssh.SFTPAttrs:
    return await client.stat(path)


async def _remove(client: asyncssh.SFTPClient, path: str) -> None:
    await client.remove(path)


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
