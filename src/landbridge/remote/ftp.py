"""Folders on FTP and FTPS servers as a store.

FTP serves one transfer at a time on a control connection, so each transfer has a connection of its own. The
one for commands is opened anew when the server has closed it meanwhile.
"""

from __future__ import annotations

import ftplib
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self, TypeVar

from anyio import CancelScope, Lock, to_thread

from landbridge.errors import ConnectionFailed, LandbridgeError, TransientError
from landbridge.remote import failures
from landbridge.remote.ftp_client import LOST, FtpClient, FtpLogin, explained
from landbridge.remote.names import checked_name, upload_name
from landbridge.remote.publish import Announce, Entry, ReplacePolicy, is_abandoned, is_temporary

T = TypeVar("T")

BLOCK_BYTES = 1 << 20


class FtpStore:
    """A folder on an FTP server. Enter it to log in.

    Args:
        login: Server and credentials.
        folder: Path; empty for the login folder.
        create_folders: Create the folder when it is missing and something is written. Folders named in a
            file's name are always created.
        visible_temporary: Upload as ``<name>.uploading`` instead of a hidden name.
        replace_policy: For servers whose rename refuses an existing target: ``fail``, or ``deleteFirst``,
            which leaves a moment without the file.
    """

    def __init__(
        self,
        login: FtpLogin,
        *,
        folder: str = "",
        create_folders: bool = False,
        visible_temporary: bool = False,
        replace_policy: ReplacePolicy = "fail",
    ) -> None:
        self._login = login
        self._folder = folder
        self._create_folders = create_folders
        self._visible_temporary = visible_temporary
        self._replace_policy: ReplacePolicy = replace_policy
        self._prepared: set[str] = set()
        self._client: FtpClient | None = None
        self._lock = Lock()

    async def __aenter__(self) -> Self:
        self._client = await self._connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        if client is not None:
            with CancelScope(shield=True):
                await to_thread.run_sync(client.end)

    async def list(self) -> Sequence[Entry]:
        """The files in the folder; see ``Store.list``.

        Raises:
            ConnectionFailed: The folder is missing (LB-2201) or may not be read (LB-2202).
        """
        entries = await self.command(lambda client: client.entries(), what="")
        return [entry for entry in entries if not is_temporary(entry.name)]

    async def read(self, name: str) -> AsyncGenerator[bytes]:
        """The content of ``name`` in pieces of a megabyte.

        Raises:
            TransientError: The file is gone (LB-3105), was changed while it was read (LB-3104), or the
                connection was lost (LB-3101).
            ConnectionFailed: The file may not be read (LB-2202).
        """
        path = checked_name(name)
        client = await self.connect()
        try:
            size = await self.blocking(lambda: client.stored_size(path), what=path)
            if size is None:
                raise failures.gone(path, self._login.label)
            data = await self.blocking(lambda: client.transfercmd(f"RETR {path}"), what=path)
            try:
                received = 0
                while chunk := await self.blocking(lambda: _receive(data), what=path):
                    received += len(chunk)
                    yield chunk
            finally:
                data.close()
            await self.blocking(client.voidresp, what=path)
            if received != size:
                raise failures.changed(path, self._login.label)
        finally:
            with CancelScope(shield=True):
                await to_thread.run_sync(client.end if client.idle else client.close)

    async def create(self, name: str, *, announce: Announce | None = None) -> FtpUpload:
        """Begin the file ``name``; see ``Store.create``.

        Raises:
            FlowError: LB-1301, the name leads out of the folder.
            ConnectionFailed: The folder is missing (LB-2201) or may not be written (LB-2202).
        """
        target = checked_name(name)
        folder = target.rpartition("/")[0]
        if folder not in self._prepared:
            await self._prepare(folder)
            self._prepared.add(folder)
        temporary = upload_name(name, visible=self._visible_temporary, lasting=announce is not None)
        if announce:
            await announce(temporary)
        upload = FtpUpload(self, target=target, temporary=temporary, replace_policy=self._replace_policy)
        await upload.open()
        return upload

    async def take_up(self, name: str, temporary: str) -> FtpUpload | None:
        """An upload that another process has finished; see ``Store.take_up``.

        Raises:
            FlowError: LB-1301, a name leads out of the folder.
        """
        size = await self.stored_size(temporary)
        if size is None:
            return None
        return FtpUpload(
            self,
            target=checked_name(name),
            temporary=temporary,
            replace_policy=self._replace_policy,
            finished_bytes=size,
        )

    async def stored_size(self, name: str) -> int | None:
        """The size of a file; see ``Store.stored_size``."""
        checked = checked_name(name)
        return await self.command(lambda client: client.stored_size(checked), what=checked)

    async def check(self) -> None:
        """Prove that the folder can be listed.

        Raises:
            ConnectionFailed: The folder is missing (LB-2201) or may not be read (LB-2202).
        """
        try:
            await self.command(lambda client: client.entries(), what="")
        except ConnectionFailed as error:
            if error.code != "LB-2201" or not self._create_folders:
                raise

    async def clean(self) -> int:
        """Remove temporary files whose writer is dead; the number removed. A missing folder is clean.

        Other folders below are cleaned when the next file is written to them.
        """
        try:
            return await self.command(_clean, what="")
        except ConnectionFailed as error:
            if error.code == "LB-2201":
                return 0
            raise

    @property
    def login(self) -> FtpLogin:
        """Server and credentials."""
        return self._login

    async def connect(self) -> FtpClient:
        """A new connection for one transfer, in the store's folder."""
        client = await self._connect()
        try:
            await self.blocking(lambda: client.enter(self._folder), what=self._folder)
        except BaseException:
            await to_thread.run_sync(client.close)
            raise
        return client

    async def command(self, action: Callable[[FtpClient], T], *, what: str, entered: bool = True) -> T:
        """Run ``action``, which must be safe to repeat; once more when the server has closed the connection.

        Args:
            action: Blocking calls of the command connection.
            what: File in question, for messages; empty for the folder.
            entered: Run it in the store's folder; otherwise in whichever the connection is.
        """

        def work(client: FtpClient) -> T:
            if entered:
                with explained(self._folder, self.login):
                    client.enter(self._folder)
            with explained(what or self._folder or "the login folder", self.login):
                return action(client)

        async with self._lock:
            with suppress(_LostError):
                return await self._once(work)
            try:
                return await self._once(work)
            except _LostError:
                raise failures.lost(self.login.label) from None

    async def blocking(self, work: Callable[[], T], *, what: str) -> T:
        """Run blocking calls of a transfer's connection in a thread."""
        try:
            with explained(what, self.login):
                return await to_thread.run_sync(work)
        except LOST:
            raise failures.lost(self.login.label) from None

    async def _connect(self) -> FtpClient:
        client = FtpClient(self.login)
        try:
            await to_thread.run_sync(client.open)
        except BaseException:
            await to_thread.run_sync(client.close)
            raise
        return client

    async def _once(self, work: Callable[[FtpClient], T]) -> T:
        if self._client is None:
            self._client = await self._connect()
        client = self._client
        try:
            return await to_thread.run_sync(lambda: work(client))
        except (*LOST, TransientError) as error:
            # After a time-out too the next answer could be the one that came late.
            self._client = None
            await to_thread.run_sync(client.close)
            if isinstance(error, TransientError) and error.code != "LB-3101":
                raise
            raise _LostError from None

    async def _prepare(self, folder: str) -> None:
        """Make sure that ``folder`` exists as far as it may be created, and rid it of dead writers' files."""
        try:
            await self.command(lambda client: client.enter(self._folder), what="")
        except ConnectionFailed as error:
            if error.code != "LB-2201" or not self._create_folders:
                raise
            await self.command(lambda client: client.make_folders(self._folder), what="", entered=False)
        if folder:
            await self.command(lambda client: client.make_folders(folder), what=folder)
        with suppress(ConnectionFailed):  # a folder that may be written but not listed is still a good target
            await self.command(lambda client: _clean(client, folder), what=folder)


class _LostError(Exception):
    """The command connection was closed."""


class FtpUpload:
    """A file being written to an FTP server; see ``publish.Upload``."""

    def __init__(
        self,
        store: FtpStore,
        *,
        target: str,
        temporary: str,
        replace_policy: ReplacePolicy,
        finished_bytes: int | None = None,
    ) -> None:
        self.temporary = temporary
        self._store = store
        self._target = target
        self._temporary = temporary
        self._replace_policy = replace_policy
        self._buffer = bytearray()
        self._sent = finished_bytes or 0
        self._client: FtpClient | None = None
        self._data: socket.socket | None = None
        self._state: Literal["open", "finished", "published", "discarded"] = (
            "open" if finished_bytes is None else "finished"
        )

    async def open(self) -> None:
        """Open the connection and create the temporary file."""
        client = self._client = await self._store.connect()
        try:
            self._data = await self._store.blocking(
                lambda: client.transfercmd(f"STOR {self._temporary}"), what=self._target
            )
        except BaseException:
            await self._let_go()
            raise

    async def write(self, chunk: bytes) -> None:
        """Append ``chunk``.

        Raises:
            ConnectionFailed: LB-2206, the server is full.
            TransientError: LB-3101 connection lost, LB-3102 no answer in time.
        """
        self._buffer += chunk
        if len(self._buffer) >= BLOCK_BYTES:
            await self._send()

    async def finish(self) -> None:
        """End the transfer and verify the size.

        Raises:
            ConnectionFailed: LB-2206, the server is full.
            TransientError: LB-3101 connection lost, LB-3102 no answer in time, LB-3103 sizes differ.
        """
        client, data = self._client, self._data
        if self._state != "open" or client is None or data is None:
            return
        await self._send()
        await self._store.blocking(lambda: _end_transfer(client, data), what=self._target)
        stored = await self._store.blocking(lambda: client.stored_size(self._temporary), what=self._target)
        await self._let_go()
        if stored != self._sent:
            raise failures.size_differs(self._target, self._store.login.label, written=self._sent, stored=stored or 0)
        self._state = "finished"

    async def publish(self) -> None:
        """Rename the temporary file onto the final name.

        Raises:
            ConnectionFailed: LB-2207, the server cannot replace the existing file and the policy is to fail.
        """
        if self._state == "discarded":
            raise ValueError(f"{self._target} was discarded and cannot be published")
        await self.finish()
        if self._state == "finished":
            await self._store.command(self._rename, what=self._target)
            self._state = "published"

    async def discard(self) -> None:
        """Remove the temporary file; does nothing after ``publish``.

        Where the server cannot be reached any more the file stays and the next job's ``clean`` removes it.
        """
        await self._let_go()
        if self._state in ("published", "discarded"):
            return
        self._state = "discarded"
        with suppress(LandbridgeError):
            await self._store.command(lambda client: client.delete(self._temporary), what=self._target)

    async def _send(self) -> None:
        block, self._buffer = bytes(self._buffer), bytearray()
        client, data = self._client, self._data
        if not block or client is None or data is None:
            return
        try:
            await self._store.blocking(lambda: data.sendall(block), what=self._target)
        except TransientError as error:
            if error.code != "LB-3101":
                raise
            # The server closes the data connection and gives its reason, such as a full disk, on the other
            # one.
            await self._store.blocking(client.voidresp, what=self._target)
            raise
        self._sent += len(block)

    async def _let_go(self) -> None:
        """Close both connections; an unfinished transfer is broken off."""
        data, self._data = self._data, None
        client, self._client = self._client, None
        if data is not None:
            data.close()
        if client is not None:
            with CancelScope(shield=True):
                await to_thread.run_sync(client.end if client.idle else client.close)

    def _rename(self, client: FtpClient) -> None:
        try:
            client.rename(self._temporary, self._target)
        except ftplib.error_perm:
            existing = client.stored_size(self._target)
            if client.stored_size(self._temporary) is None:
                if existing == self._sent:
                    return  # the answer to the first attempt was lost with its connection
                raise
            if existing is None:
                raise
            if self._replace_policy == "fail":
                raise failures.irreplaceable(self._target, self._store.login.label) from None
            client.delete(self._target)
            client.rename(self._temporary, self._target)


def _receive(data: socket.socket) -> bytes:
    """About a megabyte from a data connection; less at its end."""
    pieces = []
    size = 0
    while size < BLOCK_BYTES:
        piece = data.recv(BLOCK_BYTES - size)
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _end_transfer(client: FtpClient, data: socket.socket) -> None:
    if isinstance(data, ssl.SSLSocket):
        with suppress(OSError):  # servers that close without TLS's own goodbye; the size is verified
            data.unwrap()
    data.close()
    client.voidresp()


def _clean(client: FtpClient, folder: str = "") -> int:
    removed = 0
    for entry in client.entries(folder, hidden=True):
        if is_temporary(entry.name) and is_abandoned(entry.name, entry.modified):
            with suppress(ftplib.error_perm):  # another job may clean at the same moment
                client.delete(f"{folder}/{entry.name}" if folder else entry.name)
                removed += 1
    return removed
