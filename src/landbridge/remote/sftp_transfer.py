"""Reading and writing one file over SFTP: many requests in flight, and going on after a lost connection.

One request after the other would wait for a round trip each. The library can split a large request by itself,
but what it has under way then cannot be stopped; so every block here is one request, of the size that the
server allows.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import asyncssh

from landbridge.errors import ConnectionFailed, LandbridgeError, TransientError
from landbridge.remote import failures
from landbridge.remote.publish import ReplacePolicy
from landbridge.remote.sftp_session import LOST, SftpSession, explained

CHUNK_BYTES = 1 << 20
"""A download hands on pieces of about this size."""

IN_FLIGHT_BYTES = 6 << 20
IN_FLIGHT_REQUESTS = 64
"""How much of a file is under way at once: enough for 60 MB/s at a round trip of 100 ms."""

LARGEST_REQUEST_BYTES = 255 << 10
"""OpenSSH's limit; it closes the connection on a packet above 256 KiB."""

SMALLEST_REQUEST_BYTES = 32 << 10
"""What every server must take: the SFTP draft (version 3, section 3) asks for packets of 34000 bytes."""

MAX_FAILURES = 3
"""Lost connections in a row, without a block in between, after which a transfer is given up."""


@dataclass(frozen=True, slots=True)
class _Block:
    """A piece of a file under way."""

    offset: int
    size: int
    task: asyncio.Task[Any]
    data: bytes = b""


class Blocks:
    """The blocks of one file under way, in order."""

    def __init__(self, session: SftpSession, what: str) -> None:
        self._session = session
        self._what = what
        self._queue: deque[_Block] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def start(self, request: Coroutine[Any, Any, Any], *, offset: int, size: int, data: bytes = b"") -> None:
        """Put a request for the next block under way."""
        self._queue.append(_Block(offset, size, asyncio.create_task(request), data))

    async def oldest(self) -> tuple[_Block, Any]:
        """Wait for the oldest block; it leaves the queue only when it succeeded."""
        block = self._queue[0]
        done, _ = await asyncio.wait({block.task}, timeout=self._session.login.timeout_s)
        if not done:
            raise self._session.late(self._what)
        try:
            answer = block.task.result()
        except asyncssh.SFTPError as error:
            if isinstance(error, LOST):
                raise
            raise explained(error, what=self._what, label=self._session.login.label) from None
        self._queue.popleft()
        return block, answer

    async def drop(self) -> list[_Block]:
        """Forget all blocks under way and give them, oldest first."""
        blocks, self._queue = list(self._queue), deque()
        for block in blocks:
            block.task.cancel()
        await asyncio.gather(*(block.task for block in blocks), return_exceptions=True)
        return blocks


class SftpDownload:
    """Reads one file from its beginning to its end."""

    def __init__(self, session: SftpSession, path: str) -> None:
        self._session = session
        self._path = path
        self._blocks = Blocks(session, path)
        self._client = session.client
        self._file: asyncssh.SFTPClientFile | None = None
        self._version: tuple[int | None, int | None] | None = None

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Yield the content; goes on where it was after a lost connection."""
        file, size = await self._session.call(self._open, what=self._path)
        request_bytes, window = _request(self._client.limits.max_read_len)
        requested = received = failed = 0
        pieces: list[bytes] = []
        while received < size:
            try:
                while requested < size and len(self._blocks) < window:
                    length = min(request_bytes, size - requested)
                    self._blocks.start(_read(file, requested, length), offset=requested, size=length)
                    requested += length
                block, data = await self._blocks.oldest()
            except LOST:
                failed += 1
                file, _ = await self._resume(failed)
                requested = received
                continue
            if len(data) != block.size:
                raise self._changed()
            failed = 0
            received += block.size
            pieces.append(data)
            if len(pieces) * request_bytes >= CHUNK_BYTES or received == size:
                yield b"".join(pieces)
                pieces = []
        await self._verify(file)

    async def close(self) -> None:
        """Let go of the file. Never raises, because what was read is already handed on."""
        await self._blocks.drop()
        if self._file is not None:
            file, self._file = self._file, None
            with suppress(LandbridgeError, *LOST):
                await self._session.timed(file.close(), what=self._path)

    async def _open(self, client: asyncssh.SFTPClient) -> tuple[asyncssh.SFTPClientFile, int]:
        try:
            file = await client.open(self._path, asyncssh.FXF_READ, encoding=None, block_size=0)
        except asyncssh.SFTPNoSuchFile:
            raise failures.gone(self._path, self._session.login.label) from None
        self._client, self._file = client, file
        version = await self._present(file)
        if version[0] is None:
            raise ConnectionFailed(
                "LB-2205",
                f'{self._session.login.label} does not tell the size of "{self._path}": it may be read in part only',
                hint="Ask the server's owner to let SFTP's stat tell the sizes of files.",
            )
        if self._version not in (None, version):
            raise self._changed()
        self._version = version
        return file, version[0] or 0

    async def _resume(self, failed: int) -> tuple[asyncssh.SFTPClientFile, int]:
        await self._blocks.drop()
        if failed > MAX_FAILURES:
            raise failures.lost(self._session.login.label)
        self._file = None
        await self._session.reopen(self._client)
        return await self._session.call(self._open, what=self._path)

    async def _verify(self, file: asyncssh.SFTPClientFile) -> None:
        try:
            version = await self._session.timed(self._present(file), what=self._path)
        except LOST:
            await self._resume(1)  # compares as well
        else:
            if version != self._version:
                raise self._changed()

    async def _present(self, file: asyncssh.SFTPClientFile) -> tuple[int | None, int | None]:
        attributes = await file.stat()
        return attributes.size, attributes.mtime

    def _changed(self) -> TransientError:
        return failures.changed(self._path, self._session.login.label)


class SftpUpload:
    """A file being written to an SFTP server; see ``publish.Upload``.

    Args:
        session: An open session.
        target: Path of the file.
        temporary: Path under which it is written.
        temporary_name: The same, relative to the store's folder.
        replace_policy: See SftpStore.
        finished_bytes: Size of an upload that another process has finished; None for a new one.
    """

    def __init__(
        self,
        session: SftpSession,
        *,
        target: str,
        temporary: str,
        temporary_name: str,
        replace_policy: ReplacePolicy,
        finished_bytes: int | None = None,
    ) -> None:
        self.temporary = temporary_name
        self._session = session
        self._target = target
        self._temporary = temporary
        self._replace_policy = replace_policy
        self._blocks = Blocks(session, target)
        self._client = session.client
        self._file: asyncssh.SFTPClientFile | None = None
        self._request_bytes, self._window = _request(self._client.limits.max_write_len)
        self._buffer = bytearray()
        self._sent = finished_bytes or 0
        self._failures = 0
        self._state: Literal["open", "finished", "published", "discarded"] = (
            "open" if finished_bytes is None else "finished"
        )

    async def open(self) -> None:
        """Create the temporary file."""
        flags = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT | asyncssh.FXF_TRUNC
        await self._session.call(lambda client: self._open(client, flags), what=self._target)

    async def write(self, chunk: bytes) -> None:
        """Append ``chunk``; what is under way is kept, so that it can be sent again on a new connection.

        Raises:
            ConnectionFailed: LB-2206 the server is full, LB-2205 it refuses.
            TransientError: LB-3101 connection lost, LB-3102 no answer in time.
        """
        if len(self._buffer) + len(chunk) < self._request_bytes:
            self._buffer += chunk
            return
        data = memoryview(bytes(self._buffer) + chunk if self._buffer else chunk)
        whole = len(data) - len(data) % self._request_bytes
        self._buffer = bytearray(data[whole:])
        for start in range(0, whole, self._request_bytes):
            await self._send(bytes(data[start : start + self._request_bytes]))

    async def finish(self) -> None:
        """Wait for all answers, close the temporary file, verify its size.

        Raises:
            ConnectionFailed: LB-2206 the server is full, LB-2205 it refuses.
            TransientError: LB-3101 connection lost, LB-3102 no answer in time, LB-3103 sizes differ.
        """
        if self._state != "open":
            return
        if self._buffer:
            rest, self._buffer = bytes(self._buffer), bytearray()
            await self._send(rest)
        while self._blocks:
            await self._settle()
        if self._file is not None:
            with suppress(*LOST):  # what a lost connection took with it, the size tells
                await self._session.timed(self._file.close(), what=self._target)
            self._file = None
        stored = await self._session.call(self._size, what=self._temporary)
        if stored != self._sent:
            raise failures.size_differs(self._target, self._session.login.label, written=self._sent, stored=stored)
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
            await self._session.call(self._rename, what=self._target)
            self._state = "published"

    async def discard(self) -> None:
        """Remove the temporary file; does nothing after ``publish``.

        Where the server cannot be reached any more the file stays and the next job's ``clean`` removes it.
        """
        await self._blocks.drop()
        if self._state in ("published", "discarded"):
            return
        self._state = "discarded"
        with suppress(LandbridgeError, *LOST):
            if self._file is not None:
                file, self._file = self._file, None
                await self._session.timed(file.close(), what=self._temporary)
        with suppress(LandbridgeError):
            await self._session.call(lambda client: client.remove(self._temporary), what=self._temporary)

    async def _send(self, data: bytes) -> None:
        while len(self._blocks) >= self._window:
            await self._settle()
        self._start(data, self._sent)
        self._sent += len(data)

    def _start(self, data: bytes, offset: int) -> None:
        if self._file is None:
            raise ValueError(f"{self._target} is not open")
        self._blocks.start(self._file.write(data, offset), offset=offset, size=len(data), data=data)

    async def _settle(self) -> None:
        try:
            await self._blocks.oldest()
            self._failures = 0
        except LOST:
            await self._resume()
        except ConnectionFailed as error:
            raise await self._why(error) from None

    async def _resume(self) -> None:
        """Open the temporary file on a new connection and send again what was not confirmed."""
        self._failures += 1
        if self._failures > MAX_FAILURES:
            raise failures.lost(self._session.login.label)
        unconfirmed = await self._blocks.drop()
        await self._session.reopen(self._client)
        await self._session.call(lambda client: self._open(client, asyncssh.FXF_WRITE), what=self._target)
        confirmed = unconfirmed[0].offset
        stored = await self._session.call(self._size, what=self._temporary)
        if stored < confirmed:
            raise failures.size_differs(self._target, self._session.login.label, written=confirmed, stored=stored)
        for block in unconfirmed:
            self._start(block.data, block.offset)

    async def _open(self, client: asyncssh.SFTPClient, flags: int) -> None:
        self._file = await client.open(self._temporary, flags, encoding=None, block_size=0)
        self._client = client

    async def _size(self, client: asyncssh.SFTPClient) -> int:
        return (await client.stat(self._temporary)).size or 0

    async def _why(self, error: ConnectionFailed) -> ConnectionFailed:
        """Tell a full disk from another failure by asking for the free space, where the server can tell."""
        if error.code != "LB-2205":
            return error
        folder = self._temporary.rpartition("/")[0] or "."
        with suppress(LandbridgeError):
            space = await self._session.call(lambda client: client.statvfs(folder), what=folder)
            if space.bavail * space.frsize < CHUNK_BYTES:
                return failures.full(self._target, self._session.login.label)
        return error

    async def _rename(self, client: asyncssh.SFTPClient) -> None:
        try:
            await client.posix_rename(self._temporary, self._target)
        except asyncssh.SFTPOpUnsupported:
            await self._rename_plainly(client)
        except asyncssh.SFTPNoSuchFile:
            if not await self._is_renamed(client):
                raise

    async def _rename_plainly(self, client: asyncssh.SFTPClient) -> None:
        try:
            await client.rename(self._temporary, self._target)
        except asyncssh.SFTPNoSuchFile:
            if not await self._is_renamed(client):
                raise
        except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
            if not await client.exists(self._target):
                raise
            if not await client.exists(self._temporary):
                if await self._is_renamed(client):
                    return
                raise
            if self._replace_policy == "fail":
                raise failures.irreplaceable(self._target, self._session.login.label) from None
            await client.remove(self._target)
            await client.rename(self._temporary, self._target)

    async def _is_renamed(self, client: asyncssh.SFTPClient) -> bool:
        """Whether the first attempt did it, whose answer was lost with its connection."""
        return await client.exists(self._target) and (await client.stat(self._target)).size == self._sent


def _request(limit_bytes: int) -> tuple[int, int]:
    """The size of one request and how many of them to have under way, for a server's limit."""
    size = max(SMALLEST_REQUEST_BYTES, min(limit_bytes, LARGEST_REQUEST_BYTES))
    return size, min(IN_FLIGHT_BYTES // size, IN_FLIGHT_REQUESTS)


async def _read(file: asyncssh.SFTPClientFile, offset: int, length: int) -> bytes:
    """Read a block; a server may answer with less than was asked for."""
    data: bytes = await file.read(length, offset)
    while data and len(data) < length:
        more: bytes = await file.read(length - len(data), offset + len(data))
        if not more:
            break
        data += more
    return data
