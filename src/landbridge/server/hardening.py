"""What every request and reply of the service is held to, whoever calls: its host, the size of its body, its headers.

Health questions are answered under any host name, since load balancers ask by address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from landbridge.errors import AccessRefused, LandbridgeError, StorageError
from landbridge.server.api.problems import BUSY, problem_response, status_of

MAX_BODY_BYTES: Final = 8 << 20
BODY_TIMEOUT_S: Final = 60.0

ROOM_BYTES: Final = 64 << 20
"""For the bodies of all requests together, whoever sends them: a login comes before it is known who does."""

HEALTH: Final = frozenset(("/healthz", "/readyz"))

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Headers of every reply that does not say otherwise itself."""

_HSTS: Final = "max-age=31536000"


class Room:
    """The memory for bodies of requests that are under way; used within one event loop."""

    def __init__(self, limit: int = ROOM_BYTES) -> None:
        self._free = limit

    def take(self, count: int) -> bool:
        """Take so many bytes; False when there are none left."""
        if count > self._free:
            return False
        self._free -= count
        return True

    def give_back(self, count: int) -> None:
        """Let others have them."""
        self._free += count


@dataclass(frozen=True, slots=True)
class Limits:
    """What requests are held to.

    Attributes:
        hosts: Names the service answers for, without port; empty for any.
        max_body_bytes: Of the body of a request.
        body_timeout_s: For a body to arrive.
    """

    hosts: Collection[str] = ()
    max_body_bytes: int = MAX_BODY_BYTES
    body_timeout_s: float = BODY_TIMEOUT_S


class Hardening:
    """Refuses what is over the limits, and gives replies their headers.

    Args:
        app: What answers.
        limits: See Limits.
        room: For bodies.
    """

    def __init__(self, app: ASGIApp, *, limits: Limits, room: Room | None = None) -> None:
        self._app = app
        self._limits = limits
        self._room = room or Room()
        self._hosts = frozenset(host.lower() for host in limits.hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; see the ASGI specification, version 3."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = host_of(headers.get("host", ""))

        async def send_hardened(message: Message) -> None:
            if message["type"] == "http.response.start":
                found = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in _HEADERS.items():
                    found.setdefault(name, value)
                if scope["scheme"] == "https" and not is_loopback(host):
                    # For localhost it would also bind all other servers of this machine.
                    found.setdefault("Strict-Transport-Security", _HSTS)
            await send(message)

        refusal = self._refusal(scope, headers, host)
        if refusal is not None:
            await _answer(refusal)(scope, receive, send_hardened)
            return
        body = _Body(receive, send_hardened, self._limits, self._room)
        try:
            await self._app(scope, body.receive, body.send)
            await body.end(scope)
        finally:
            body.forget()

    def _refusal(self, scope: Scope, headers: Headers, host: str) -> AccessRefused | None:
        if self._hosts and scope["path"] not in HEALTH and not is_loopback(host) and host not in self._hosts:
            # A page of a stranger may have let its own name lead to this machine (DNS rebinding).
            return AccessRefused(
                "LB-8005",
                "the service does not answer for this host name",
                hint="Start it with --host-name and the name by which it is reached.",
                status=421,
            )
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > self._limits.max_body_bytes:
            return _too_large(self._limits.max_body_bytes)
        return None


class _Body:
    """The body of a request on its way: when it is too long or too slow, the reply says so whatever the app says."""

    def __init__(self, receive: Receive, send: Send, limits: Limits, room: Room) -> None:
        self._receive = receive
        self._send = send
        self._limits = limits
        self._room = room
        self._count = self._taken = 0
        self._is_whole = False
        self._started = False
        self._deadline: float | None = None
        self._refusal: LandbridgeError | None = None

    async def receive(self) -> Message:
        if self._is_whole:
            return await self._receive()
        now = anyio.current_time()
        self._deadline = self._deadline or now + self._limits.body_timeout_s
        message: Message | None = None
        with anyio.move_on_after(max(0.0, self._deadline - now)):
            message = await self._receive()
        if message is None:
            raise self._refused(AccessRefused("LB-8011", "the body did not arrive in time", status=408))
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            self._count += size
            self._is_whole = not message.get("more_body", False)
            if not self._room.take(size):
                raise self._refused(StorageError(BUSY, "too much is sent at once", hint="Try again in a moment."))
            self._taken += size
        if self._count > self._limits.max_body_bytes:
            raise self._refused(_too_large(self._limits.max_body_bytes))
        return message

    def _refused(self, refusal: LandbridgeError) -> HTTPException:
        self._refusal = refusal
        return HTTPException(status_of(refusal))

    def forget(self) -> None:
        self._room.give_back(self._taken)
        self._taken = 0

    async def send(self, message: Message) -> None:
        if self._refusal is not None and not self._started:
            return  # ``end`` answers
        self._started = True
        await self._send(message)

    async def end(self, scope: Scope) -> None:
        if self._refusal is not None and not self._started:
            await _answer(self._refusal)(scope, self._receive, self._send)


def host_of(header: str) -> str:
    """The name in a Host header, without port and brackets, in small letters."""
    text = header.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.rpartition(":")[0] if text.count(":") == 1 else text


def is_loopback(host: str) -> bool:
    """Whether a host name or address always is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _answer(refusal: LandbridgeError) -> Response:
    # What is still on its way is not waited for.
    return problem_response(refusal, headers={"Connection": "close"})


def _too_large(limit: int) -> AccessRefused:
    return AccessRefused("LB-8010", f"the body of a request may have {limit >> 20} MiB", status=413)
