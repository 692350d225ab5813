"""The embedded SFTP server of ``landbridge.sandbox.sftp`` on its own thread, for tests that run their own loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from landbridge.sandbox.sftp import SftpServer

T = TypeVar("T")


class LoopThread:
    """An event loop on a thread of its own."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=60)
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` on the loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)


class EmbeddedSftpServer:
    """``SftpServer`` on a thread."""

    def __init__(self, root: Path) -> None:
        self.server = SftpServer(root)
        self.root = root
        self._loop = LoopThread()

    def __enter__(self) -> Self:
        self._loop.__enter__()
        self._loop.run(self.server.start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.run(self.server.stop())
        self._loop.__exit__(kind, error, trace)

    def drop_connections(self) -> int:
        """Cut all present connections; the number of them."""
        return self._loop.run(self.server.drop_connections())

    def stop(self) -> None:
        """End the server for good, as a crashed machine does."""
        self._loop.run(self.server.stop())
