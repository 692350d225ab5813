"""HTTP for the vendors' clients: one session per remote, one retry layer, one rate limit per remote account.

A vendor's client builds its requests and reads its replies; what may go wrong on the way is told apart here by one
question: may the other side have done the work? ``Attempt.is_certain`` says that it has not.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar
from urllib.parse import urlsplit

import aiohttp

from landbridge.errors import ConnectionFailed, LandbridgeError, TransientError
from landbridge.remote import failures

CONNECT_TIMEOUT_S: Final = 15.0
MAX_REPLY_BYTES: Final = 256 << 20
"""A longer reply is refused, so that memory stays bounded."""

READ_BUFFER_BYTES: Final = 1 << 20
"""A connection is read ahead so far; with the library's 64 KiB it is paused and resumed dozens of times a page."""

T = TypeVar("T")

FORM: Final[Mapping[str, str]] = {"Content-Type": "application/x-www-form-urlencoded"}
LONGEST_ASKED_S: Final = 300.0
"""The other side may ask to wait so long, in seconds; what it asks beyond that is not heeded."""

_ATTEMPTS_BEFORE_FIRST_ANSWER: Final = 3
_HTTP_OK: Final = 200
_HTTP_REDIRECT: Final = 300
_HTTP_BUSY: Final = 429
_HTTP_SERVER_ERROR: Final = 500


class Attempt(Exception):
    """One attempt failed in a way that another may not.

    Args:
        error: What to report when no further attempt is made.
        is_certain: The other side has certainly not done the work, so that a repetition cannot do it twice.
        wait_s: Seconds the other side asked to wait, where it said so.
    """

    def __init__(self, error: LandbridgeError, *, is_certain: bool, wait_s: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.is_certain = is_certain
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Reply:
    """The body of a reply, and what of its head matters."""

    status: int
    body: bytes
    date: str | None = None
    wait_s: float | None = None
    """Seconds that the other side asks to wait, where it does."""
    cookie: str = field(default="", repr=False)
    """What the other side sets, as the header ``Cookie`` sends it back."""


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and how patiently a call is repeated: exponential delays with jitter.

    Attributes:
        attempts: Attempts in all.
        first_delay_s: About the wait before the second attempt, in seconds; it doubles from one to the next.
        longest_delay_s: No wait is longer than this.
    """

    attempts: int = 8
    first_delay_s: float = 0.5
    longest_delay_s: float = 30.0

    def delay_s(self, attempt: int) -> float:
        """Seconds to wait after the attempt of this number, counted from 1: between half the delay and all of it."""
        whole = min(self.longest_delay_s, self.first_delay_s * 2.0 ** (attempt - 1))
        return whole * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret


class Session:
    """One pool of connections to one remote, open within ``session()``.

    Args:
        http: The pool.
        timeout_s: The longest wait for one whole reply.
    """

    def __init__(self, http: aiohttp.ClientSession, *, timeout_s: float) -> None:
        self._http = http
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(CONNECT_TIMEOUT_S, timeout_s))
        self._timeout_s = timeout_s
        self.has_answered = False
        """Whether the other side has ever answered. One that never did is more likely misspelt than restarting."""

    async def post_form(self, url: str, body: bytes, *, headers: Mapping[str, str] = FORM) -> Reply:
        """Send one form and read the whole reply; raises as ``request`` does."""
        return await self.request("POST", url, body=body, headers=headers)

    async def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str],
        tells_faults: bool = False,
    ) -> Reply:
        """Send one request and read the whole reply.

        Args:
            method: Such as GET.
            url: The address, encoded.
            body: What is sent with it.
            headers: What is said of it.
            tells_faults: The API says in JSON what is wrong, whatever the status; such a reply is then given back.

        Raises:
            Attempt: No connection, no answer in time, a connection that broke, or a server that is busy.
            ConnectionFailed: LB-2101 unknown name, LB-2106 untrusted certificate, LB-2107 not the expected service.
        """
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        try:
            # Redirects are not followed: they would carry the secret to an address that nobody checked.
            async with self._http.request(
                method,
                url,
                data=body,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                content = await content_of(response, host, max_bytes=MAX_REPLY_BYTES)
                wait_s = _seconds(response.headers.get("Retry-After"))
                cookie = "; ".join(f"{name}={each.value}" for name, each in response.cookies.items())
                reply = Reply(response.status, content, response.headers.get("Date"), wait_s, cookie)
        except aiohttp.ClientConnectorCertificateError:
            raise _untrusted(host) from None
        except aiohttp.ClientConnectorDNSError as error:
            raise failures.unreachable(host, port, error.os_error, timeout_s=CONNECT_TIMEOUT_S) from None
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else TimeoutError()
            unreachable = failures.unreachable(host, port, cause, timeout_s=CONNECT_TIMEOUT_S)
            raise Attempt(unreachable, is_certain=True) from None
        except TimeoutError:
            late = failures.late(parts.path.strip("/"), host, timeout_s=self._timeout_s)
            raise Attempt(late, is_certain=False) from None
        except aiohttp.ClientError:
            raise Attempt(failures.lost(host), is_certain=False) from None
        self.has_answered = True
        if not (tells_faults and reply.body.lstrip().startswith(b"{")):
            check_status(reply, host)
        return reply


@asynccontextmanager
async def session(*, connections: int, timeout_s: float, encrypted: bool) -> AsyncIterator[Session]:
    """Open a session.

    Args:
        connections: At most so many connections at a time.
        timeout_s: The longest wait for one whole reply, in seconds.
        encrypted: Whether https is spoken; certificates are then checked against the system's authorities, or those
            that the environment variable ``SSL_CERT_FILE`` names.
    """
    context = ssl.create_default_context() if encrypted else True
    connector = aiohttp.TCPConnector(limit=connections, ssl=context, keepalive_timeout=30)
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), read_bufsize=READ_BUFFER_BYTES
    ) as http:
        yield Session(http, timeout_s=timeout_s)


async def content_of(response: aiohttp.ClientResponse, host: str, *, max_bytes: int) -> bytes:
    """The whole body of a reply, however it is cut and compressed.

    Raises:
        ConnectionFailed: LB-2111, it has more than ``max_bytes``.
    """
    announced, is_packed = response.content_length, "Content-Encoding" in response.headers
    if announced is not None and announced <= max_bytes and not is_packed:
        return await response.read()
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > max_bytes:
            raise ConnectionFailed(
                "LB-2111",
                f"{host} sent a reply of more than {max_bytes >> 20} MB",
                hint="Ask for smaller pages, or check the address.",
            )
        chunks.append(chunk)
    return b"".join(chunks)


def check_status(reply: Reply, host: str) -> None:
    """Whether a reply can be the service's answer, as far as its status tells.

    Raises:
        Attempt: LB-3106; the server is busy or out of order.
        ConnectionFailed: LB-2107; it is not the expected service.
    """
    if reply.status == _HTTP_BUSY or reply.status >= _HTTP_SERVER_ERROR:
        busy = TransientError(
            "LB-3106", f"{host} is busy or out of order (HTTP {reply.status})", hint="Run the job again later."
        )
        raise Attempt(busy, is_certain=reply.status == _HTTP_BUSY, wait_s=reply.wait_s)
    if _HTTP_OK <= reply.status < _HTTP_REDIRECT:
        return
    if not reply.body.lstrip().startswith(b"{"):
        raise ConnectionFailed(
            "LB-2107",
            f"{host} does not offer the expected service (HTTP {reply.status})",
            hint="Check the address, and whether a proxy stands in between.",
        )


def _seconds(text: str | None) -> float | None:
    """What ``Retry-After`` says in seconds; its other form, a date, is not read."""
    return min(float(text), LONGEST_ASKED_S) if text and text.isascii() and text.isdigit() else None


def _untrusted(host: str) -> ConnectionFailed:
    return ConnectionFailed(
        "LB-2106",
        f"the certificate of {host} cannot be trusted",
        hint="Check the address. For an authority of your own, set the environment variable SSL_CERT_FILE.",
    )


class Pace:
    """Lets calls through at an even rate. Needs no event loop of its own and may be shared by several.

    Every call is given a place on a time line before it waits, so that a late wake-up costs no throughput, and calls
    that come late may catch up a little.

    Args:
        per_s: Calls a second; None for no limit.
    """

    _CATCH_UP_S: Final = 0.1

    def __init__(self, per_s: float | None) -> None:
        self.per_s = per_s
        self._next = 0.0
        self._lock = threading.Lock()

    def reserve(self, now: float) -> float:
        """Take the next place; gives the seconds to wait from ``now``, a monotonic time."""
        with self._lock:
            earliest = now - self._CATCH_UP_S if self.per_s is not None else now
            at = max(self._next, earliest)
            self._next = at + (1 / self.per_s if self.per_s is not None else 0)
        return max(0.0, at - now)

    def pause(self, seconds: float) -> None:
        """Let nobody through for a while: the other side says that there were too many calls."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)

    async def wait(self) -> None:
        """Wait for the next place."""
        if self.per_s is None and not self._next:
            return
        delay = self.reserve(time.monotonic())
        if delay > 0:
            await asyncio.sleep(delay)


class Paces:
    """The paces of all remote accounts that this process talks to: all steps and jobs share them."""

    def __init__(self) -> None:
        self._paces: dict[tuple[str, ...], Pace] = {}
        self._lock = threading.Lock()

    def of(self, account: tuple[str, ...], per_s: float | None) -> Pace:
        """The pace of one kind of call to an account; where two steps ask for different rates, the lower one counts."""
        with self._lock:
            pace = self._paces.setdefault(account, Pace(per_s))
            if per_s is not None:
                pace.per_s = per_s if pace.per_s is None else min(pace.per_s, per_s)
            return pace


PACES: Final = Paces()


class Repetition:
    """Decides about each failed attempt of one call; the only place where anything is repeated.

    Args:
        retries: How often and how patiently.
        may_repeat: The call may be made again although the other side may have done the work.
        unknown: Makes the error to report for a call that must not be repeated and may have been done.
    """

    def __init__(
        self, retries: Retries, *, may_repeat: bool, unknown: Callable[[LandbridgeError], LandbridgeError]
    ) -> None:
        self._retries = retries
        self._may_repeat = may_repeat
        self._unknown = unknown
        self.number = 1
        """Number of the attempt that is made, counted from 1."""
        self.is_uncertain = False
        """An earlier attempt may have done the work."""

    def delay_s(self, failed: Attempt) -> float:
        """Seconds to wait before the next attempt.

        Raises:
            LandbridgeError: There is no further attempt.
        """
        if not failed.is_certain:
            if not self._may_repeat:
                raise self._unknown(failed.error) from None
            self.is_uncertain = True
        if self.number >= self._retries.attempts:
            raise failed.error from None
        delay = self._retries.delay_s(self.number)
        self.number += 1
        return delay if failed.wait_s is None else max(delay, failed.wait_s)


async def repeated(
    attempt: Callable[[Repetition], Awaitable[T]], *, http: Session, repetition: Repetition, pace: Pace
) -> T:
    """Make a call until it is done, or nothing is to be gained by another attempt.

    Args:
        attempt: Makes the call once; raises ``Attempt`` where another may go better.
        http: The session that it uses.
        repetition: Decides about each failed attempt.
        pace: At which calls go out; it stops for as long as the other side asks for.

    Raises:
        LandbridgeError: There is no further attempt.
    """
    while True:
        await pace.wait()
        try:
            return await attempt(repetition)
        except Attempt as failed:
            is_silent = not http.has_answered and repetition.number >= _ATTEMPTS_BEFORE_FIRST_ANSWER
            if failed.error.code == "LB-2101" and is_silent:
                raise failed.error from None
            delay = repetition.delay_s(failed)
            if failed.wait_s is not None:
                pace.pause(failed.wait_s)
            await asyncio.sleep(delay)
