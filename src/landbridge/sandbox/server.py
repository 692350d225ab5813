"""An ASGI application on a loopback port, within this process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import uvicorn

from landbridge.errors import ConnectionFailed

HOST: Final = "127.0.0.1"
_START_TIMEOUT_S: Final = 10.0
_STOP_TIMEOUT_S: Final = 5
_KEEP_ALIVE_S: Final = 75
_BACKLOG: Final = 1024


class _EmbeddedServer(uvicorn.Server):
    """A server that leaves the signals to the process it runs in."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def listening(application: Any, port: int) -> AsyncIterator[int]:
    """Answer on ``port`` (0 picks a free one) as long as the context lasts; gives the port.

    Raises:
        ConnectionFailed: LB-2902; the port cannot be listened on.
    """
    listener = _bound(port)
    config = uvicorn.Config(
        application,
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_STOP_TIMEOUT_S,
    )
    server = _EmbeddedServer(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with asyncio.timeout(_START_TIMEOUT_S):
            while not server.started and not task.done():  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0.005)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task
        listener.close()


def _bound(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ConnectionFailed(
            "LB-2902", f"the sandbox cannot listen on {HOST}:{port}: {error.strerror}", hint="Choose another port."
        ) from error
    return listener
