"""An ASGI application on a port, within this process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvicorn

from landbridge.errors import ConnectionFailed

LOOPBACK: Final = "127.0.0.1"
_START_TIMEOUT_S: Final = 10.0
_STOP_TIMEOUT_S: Final = 10
_KEEP_ALIVE_S: Final = 75
_BACKLOG: Final = 1024


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files of a certificate and its key, PEM; with one the server speaks https."""

    key: Path
    chain: Path


class _EmbeddedServer(uvicorn.Server):
    """A server that leaves the signals to the process it runs in."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def listening(
    application: Any, listener: socket.socket, *, certificate: Certificate | None = None, date_header: bool = True
) -> AsyncIterator[int]:
    """Answer on a socket as long as the context lasts, then close it; gives the port.

    Args:
        application: The ASGI application.
        listener: See ``bound``.
        certificate: For https.
        date_header: Whether replies tell the time; an application may do that itself.
    """
    config = uvicorn.Config(
        application,
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="critical",
        access_log=False,
        date_header=date_header,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_STOP_TIMEOUT_S,
        ssl_keyfile=certificate.key if certificate else None,
        ssl_certfile=certificate.chain if certificate else None,
    )
    with listener:
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


def bound(host: str, port: int, *, code: str, who: str) -> socket.socket:
    """A socket that listens.

    Args:
        host: The address.
        port: The port; 0 picks a free one.
        code: Of the error.
        who: The one that cannot listen, for the error: ``the site``.

    Raises:
        ConnectionFailed: ``code``; the port cannot be listened on.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections take it over; without it small replies wait for the client's acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ConnectionFailed(
            code, f"{who} cannot listen on {host}:{port}: {error.strerror}", hint="Choose another port."
        ) from error
    return listener
