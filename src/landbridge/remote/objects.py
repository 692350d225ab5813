"""Amazon S3, Azure Blob Storage and Google Cloud Storage as stores.

An object becomes visible only when its upload is committed, so there are no temporary names: ``publish`` is
the commit. Parts of an upload whose process died are never visible; the provider removes them (Azure after a
week, the others by a lifecycle rule for incomplete multi-part uploads, which every bucket should have).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, TypeVar

import obstore

from landbridge.errors import LandbridgeError, TransientError
from landbridge.remote import failures
from landbridge.remote.names import checked_name
from landbridge.remote.object_errors import explained
from landbridge.remote.publish import Announce, Entry, is_abandoned, is_temporary

if TYPE_CHECKING:
    from obstore import AsyncWritableFile, GetOptions, ObjectMeta
    from obstore.store import ObjectStore

T = TypeVar("T")

PART_BYTES = 8 << 20
"""Size of a part of an upload; with S3's limit of 10,000 parts a file may have 80 GB."""

PARTS_IN_FLIGHT = 4

PIECE_BYTES = 1 << 20
"""Smaller pieces are collected before they are handed to the client, which takes some time for each."""

RANGE_BYTES = 4 << 20
RANGES_IN_FLIGHT = 4

CALL_TIMEOUT_FACTOR = 5
"""A call may be repeated by the client and send a whole part, so it may take longer than one answer."""


class ObjectFolder:
    """The objects of a bucket or container whose keys begin with a prefix.

    A prefix that is empty or ends with ``/`` is a folder. Any other prefix stands for the objects of its
    folder whose names begin with it, and for those directly in folders whose names begin with it: ``in/A``
    for ``in/A.csv``, ``in/A/x.csv`` and ``in/ABC/x.csv`` (as Google's storage reader documents its prefix).
    Written are objects below the prefix as a folder.

    Args:
        store: The bucket or container.
        prefix: Beginning of the keys.
        label: The bucket's name in messages, such as ``bucket "exports" at S3``.
        timeout_s: The longest time to wait for any single answer.
        prepare: Awaited before each call, such as to renew credentials.
    """

    def __init__(
        self,
        store: ObjectStore,
        *,
        prefix: str = "",
        label: str,
        timeout_s: float = 60,
        prepare: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._store = store
        self._prefix = prefix.lstrip("/")
        self._label = label
        self._timeout_s = timeout_s
        self._prepare = prepare

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def list(self) -> Sequence[Entry]:
        """The objects that the prefix stands for; see ``Store.list``. Names are relative to its folder.

        Raises:
            ConnectionFailed: LB-2101 unreachable, LB-2201 no such bucket, LB-2202 no permission.
            AuthError: LB-2104, credentials refused.
        """
        return [entry for entry in await self._entries() if not is_temporary(entry.name)]

    async def read(self, name: str) -> AsyncGenerator[bytes]:
        """The content of ``name`` in pieces of 4 MiB, of which some are under way at once.

        Raises:
            TransientError: The object is gone (LB-3105) or was replaced while it was read (LB-3104).
        """
        key = self._base + checked_name(name)
        meta = await self.call(lambda: obstore.head_async(self._store, key), what=key)
        chunks = self._ranges(key, meta["size"], tag=meta["e_tag"])
        try:
            async for chunk in chunks:
                yield chunk
        except _NoRangesError:
            async for chunk in self._whole(key, meta["size"], tag=meta["e_tag"]):
                yield chunk
        finally:
            await chunks.aclose()

    async def create(self, name: str, *, announce: Announce | None = None) -> ObjectUpload:
        """Begin the object ``name``; see ``Store.create``. Nothing is sent before the first part is full.

        Nothing is announced: only the process that began an upload can commit it.

        Raises:
            FlowError: LB-1301, the name leads out of the folder.
        """
        del announce
        return ObjectUpload(self, key=self._key(name))

    async def take_up(self, name: str, temporary: str) -> ObjectUpload | None:
        """No upload outlives its process; see ``Store.take_up``."""
        del name, temporary
        return None

    async def stored_size(self, name: str) -> int | None:
        """The size of an object; see ``Store.stored_size``."""
        try:
            return await self.size_of(self._key(name))
        except TransientError as error:
            if error.code == "LB-3105":
                return None
            raise

    async def check(self) -> None:
        """Prove that the bucket can be listed.

        Raises:
            ConnectionFailed: LB-2101 unreachable, LB-2201 no such bucket, LB-2202 no permission.
            AuthError: LB-2104, credentials refused.
        """
        await self._entries()

    async def clean(self) -> int:
        """Remove temporary files of dead writers; the number removed.

        Our uploads to an object store leave none; those to an SFTP gateway in front of the same bucket may.
        """
        removed = 0
        for entry in await self._entries():
            if is_temporary(entry.name) and is_abandoned(entry.name, entry.modified):
                key = self._base + entry.name
                with suppress(LandbridgeError):  # another job may clean at the same moment
                    await self.call(partial(obstore.delete_async, self._store, key), what=key)
                    removed += 1
        return removed

    @property
    def label(self) -> str:
        """The bucket's name in messages."""
        return self._label

    def writer(self, key: str) -> AsyncWritableFile:
        """A writer that commits the object when it is closed."""
        return obstore.open_writer_async(self._store, key, buffer_size=PART_BYTES, max_concurrency=PARTS_IN_FLIGHT)

    async def call(self, request: Callable[[], Awaitable[T]], *, what: str) -> T:
        """Send a request and wait for its answer; errors are explained.

        Raises:
            LandbridgeError: What ``object_errors.explained`` makes of the failure.
        """
        try:
            async with asyncio.timeout(self._timeout_s * CALL_TIMEOUT_FACTOR):
                if self._prepare is not None:
                    await self._prepare()
                return await request()
        except TimeoutError:
            raise failures.late(what, self._label, timeout_s=self._timeout_s * CALL_TIMEOUT_FACTOR) from None
        except (obstore.exceptions.BaseError, OSError, ValueError) as error:
            if "non-partial response" in str(error):
                raise _NoRangesError from None
            raise explained(error, what=what or "the root folder", where=self._label) from None

    async def size_of(self, key: str) -> int:
        """The size of an object."""
        meta = await self.call(lambda: obstore.head_async(self._store, key), what=key)
        return int(meta["size"])

    def _key(self, name: str) -> str:
        folder = self._prefix.rstrip("/")
        return f"{folder}/{checked_name(name)}" if folder else checked_name(name)

    @property
    def _base(self) -> str:
        """The prefix up to its last ``/``: what a name is relative to."""
        return self._prefix[: self._prefix.rfind("/") + 1]

    async def _entries(self) -> Sequence[Entry]:
        base, start = self._base, self._prefix
        found = await self.call(lambda: obstore.list_with_delimiter_async(self._store, base.rstrip("/")), what=start)
        objects: list[ObjectMeta] = [*found["objects"]]
        if not start.endswith("/") and start:
            for folder in found["common_prefixes"]:
                if folder.startswith(start):
                    inner = await self.call(
                        partial(obstore.list_with_delimiter_async, self._store, folder.rstrip("/")), what=folder
                    )
                    objects += inner["objects"]
        return [
            Entry(name=meta["path"][len(base) :], size=meta["size"], modified=meta["last_modified"])
            for meta in objects
            if meta["path"].startswith(start)
        ]

    async def _ranges(self, key: str, size: int, *, tag: str | None) -> AsyncGenerator[bytes]:
        under_way: deque[asyncio.Task[bytes]] = deque()
        try:
            offset = 0
            window = 1  # the first alone: a server that ignores ranges would send the whole object for each
            while offset < size or under_way:
                while offset < size and len(under_way) < window:
                    end = min(offset + RANGE_BYTES, size)
                    under_way.append(asyncio.create_task(self._range(key, offset, end, tag=tag)))
                    offset = end
                chunk = await under_way[0]
                under_way.popleft()
                window = RANGES_IN_FLIGHT
                yield chunk
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _range(self, key: str, start: int, end: int, *, tag: str | None) -> bytes:
        options: GetOptions = {"range": (start, end), **_unchanged(tag)}

        async def content() -> bytes:
            answer = await obstore.get_async(self._store, key, options=options)
            return bytes(await answer.bytes_async())

        data = await self.call(content, what=key)
        if len(data) != end - start:
            raise failures.changed(key, self._label)
        return data

    async def _whole(self, key: str, size: int, *, tag: str | None) -> AsyncGenerator[bytes]:
        """The content by one request, for servers that ignore ranges."""
        answer = await self.call(lambda: obstore.get_async(self._store, key, options=_unchanged(tag)), what=key)
        stream = answer.stream(min_chunk_size=RANGE_BYTES)
        received = 0
        while (chunk := await self.call(partial(anext, stream, None), what=key)) is not None:
            received += len(chunk)
            yield bytes(chunk)
        if received != size:
            raise failures.changed(key, self._label)


class _NoRangesError(Exception):
    """The server answered a request for a range with the whole object."""


def _unchanged(tag: str | None) -> GetOptions:
    return {"if_match": tag} if tag else {}


class ObjectUpload:
    """An object being written; see ``publish.Upload``."""

    temporary: None = None

    def __init__(self, folder: ObjectFolder, *, key: str) -> None:
        self._folder = folder
        self._key = key
        self._writer: AsyncWritableFile | None = folder.writer(key)
        self._buffer = bytearray()
        self._written = 0
        self._state: Literal["open", "published", "discarded"] = "open"

    async def write(self, chunk: bytes) -> None:
        """Append ``chunk``; full parts are sent in the background.

        Raises:
            LandbridgeError: See ``object_errors.explained``.
        """
        if not self._buffer and len(chunk) >= PIECE_BYTES:
            await self._hand_over(chunk)
            return
        self._buffer += chunk
        if len(self._buffer) >= PIECE_BYTES:
            await self._send()

    async def finish(self) -> None:
        """Wait until the store has confirmed all parts that are full; the last one goes with the commit."""
        if self._state == "open":
            await self._send()
            await self._folder.call(self._open_writer().flush, what=self._key)

    async def publish(self) -> None:
        """Commit the object, which replaces an existing one in one step, and verify its size.

        Raises:
            TransientError: LB-3103, the sizes differ.
        """
        if self._state == "discarded":
            raise ValueError(f"{self._key} was discarded and cannot be published")
        if self._state == "open":
            await self._send()
            await self._folder.call(self._open_writer().close, what=self._key)
            self._state, self._writer = "published", None
            stored = await self._folder.size_of(self._key)
            if stored != self._written:
                raise failures.size_differs(self._key, self._folder.label, written=self._written, stored=stored)

    async def discard(self) -> None:
        """Abort the upload, so that the store removes its parts; does nothing after ``publish``."""
        writer, self._writer = self._writer, None
        if self._state != "open" or writer is None:
            return
        self._state = "discarded"
        reason = ValueError("discarded")
        with suppress(LandbridgeError):
            # The writer aborts its multi-part upload when its block ends with an error; it has no other way
            # to.
            await self._folder.call(lambda: writer.__aexit__(type(reason), reason, None), what=self._key)

    async def _send(self) -> None:
        if self._buffer:
            piece, self._buffer = bytes(self._buffer), bytearray()
            await self._hand_over(piece)

    async def _hand_over(self, piece: bytes) -> None:
        writer = self._open_writer()
        await self._folder.call(lambda: writer.write(piece), what=self._key)
        self._written += len(piece)

    def _open_writer(self) -> AsyncWritableFile:
        if self._writer is None:
            raise ValueError(f"{self._key} is {self._state}")
        return self._writer
