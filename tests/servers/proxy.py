"""A TCP proxy in front of a server that can cut or freeze its connections, as bad networks do."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from tests.servers.embedded_sftp import LoopThread

CHUNK_BYTES = 64 << 10


class FlakyProxy:
    """Forwards to a port of this machine.

    Args:
        target: The server's port.
    """

    host = "127.0.0.1"

    def __init__(self, target: int) -> None:
        self._target = target
        self._loop = LoopThread()
        self._writers: set[asyncio.StreamWriter] = set()
        self._cut_after: int | None = None
        self._freeze_after: int | None = None
        self._refuse = False
        self.connections = 0
        self.forwarded = 0

    def cut_once_after(self, count: int) -> None:
        """Cut all connections once, when ``count`` more bytes have passed in either direction."""
        self._cut_after = self.forwarded + count

    def cut_for_good_after(self, count: int) -> None:
        """Cut all connections when ``count`` more bytes have passed, and take no new ones."""
        self.cut_once_after(count)
        self._refuse = True

    def freeze_after(self, count: int) -> None:
        """Forward nothing any more when ``count`` more bytes have passed, but keep the connections open."""
        self._freeze_after = self.forwarded + count

    def __enter__(self) -> Self:
        self._loop.__enter__()
        self._loop.run(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.run(self._stop())
        self._loop.__exit__(kind, error, trace)

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, 0)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def _stop(self) -> None:
        self._server.close()
        self._cut()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        if self._refuse and self._cut_after is None:
            writer.transport.abort()
            return
        inner_reader, inner_writer = await asyncio.open_connection(self.host, self._target)
        self._writers.add(inner_writer)
        await asyncio.gather(self._forward(reader, inner_writer), self._forward(inner_reader, writer))

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                if self._freeze_after is not None and self.forwarded > self._freeze_after:
                    await asyncio.Event().wait()
                self.forwarded += len(data)
                if self._cut_after is not None and self.forwarded > self._cut_after:
                    self._cut_after = None
                    self._cut()
                    return
                writer.write(data)
                await writer.drain()
            writer.close()

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
