"""Connections of the service: how many there may be, and how long each may take to send a request or read a reply.

The server itself waits for ever: for the rest of the headers, for the rest of a body that nobody reads any more, and
for a client to take what was sent to it. A few thousand such clients would keep everybody else out.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import struct
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar, Final, Literal, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from landbridge.server.api.problems import BUSY, MEDIA_TYPE

_RETRY_AFTER_S: Final = 5
_NO_LINGER: Final = struct.pack("ii", 1, 0)
_LOG: Final = logging.getLogger("landbridge.service")

Phase = Literal["headers", "body"]


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What connections are held to.

    Attributes:
        connections: At the same time; who comes then is told to come again.
        headers_timeout_s: For the headers of a request, from the connection's first moment or the request's first byte.
        body_timeout_s: For the rest of a request, also of one that was answered already.
        write_timeout_s: For a client to take some 50 kB of a reply, or the rest of it.
    """

    connections: int = 400
    headers_timeout_s: float = 15.0
    body_timeout_s: float = 90.0
    write_timeout_s: float = 30.0


class _Connection(H11Protocol):
    """One connection; see ``ConnectionLimits``."""

    limits: ClassVar[ConnectionLimits]

    _phase: Phase | None = None
    _arrival: asyncio.TimerHandle | None = None
    """Ends the connection when the request is not there by then."""
    _departure: asyncio.TimerHandle | None = None
    """Ends it when the client has not read enough by then."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base class
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            transport.write(_FULL)
            transport.close()
            self._expect_departure()
            return
        self._expect("headers")

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        state = self.conn.their_state
        if state is h11.SEND_BODY:
            self._expect("body")
        else:
            # Between two requests the server has a limit of its own, until the first byte comes.
            idle = state is h11.IDLE and self.timeout_keep_alive_task is None
            self._expect("headers" if idle else None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect(None)
        self._forget_departure()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_departure()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._forget_departure()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._finish_closing()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._finish_closing()

    def send_400_response(self, msg: str) -> None:
        super().send_400_response(msg)
        self._finish_closing()

    def _finish_closing(self) -> None:
        """A connection that is closed goes when all is sent; a client that does not read must not keep it."""
        if self.transport.is_closing():
            self._expect_departure()

    def _expect(self, phase: Phase | None) -> None:
        """Wait for a part of a request; the time runs from the moment it was first waited for."""
        if phase == self._phase:
            return
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None
        self._phase = phase
        if phase is not None:
            seconds = self.limits.headers_timeout_s if phase == "headers" else self.limits.body_timeout_s
            self._arrival = self.loop.call_later(seconds, self._cut, f"the {phase} of a request did not arrive")

    def _expect_departure(self) -> None:
        if self._departure is None:
            self._departure = self.loop.call_later(self.limits.write_timeout_s, self._cut, "a reply was not read")

    def _forget_departure(self) -> None:
        if self._departure is not None:
            self._departure.cancel()
            self._departure = None

    def _cut(self, reason: str) -> None:
        _LOG.debug("a connection was cut: %s in time", reason)
        # Else the system would keep what was not read, and go on offering it to the client.
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.transport.abort()


def protocol(limits: ConnectionLimits) -> type[asyncio.Protocol]:
    """The class that speaks HTTP on connections with these limits."""
    return cast("type[asyncio.Protocol]", type("Connection", (_Connection,), {"limits": limits}))


def hold_to(listening: socket.socket, limits: ConnectionLimits) -> None:
    """Let the system end connections of a listening socket whose other side takes nothing, where it can.

    It counts what the service has handed to it already; so it comes later.
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None:
        listening.setsockopt(socket.IPPROTO_TCP, option, int(limits.write_timeout_s * 2000))


def _full() -> bytes:
    status = HTTPStatus.SERVICE_UNAVAILABLE
    problem = {"title": status.phrase, "status": status, "detail": "there are too many connections", "code": BUSY}
    body = json.dumps(problem).encode()
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Connection: close",
        f"Content-Type: {MEDIA_TYPE}",
        f"Content-Length: {len(body)}",
        f"Retry-After: {_RETRY_AFTER_S}",
    )
    return "\r\n".join((*lines, "", "")).encode() + body


_FULL: Final = _full()
