"""What an emulated vendor is, and what the sandbox gives it."""

from __future__ import annotations

import asyncio
import logging
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from landbridge.sandbox.faults import Fault, FaultKind, Faults, Strikes
from landbridge.sandbox.state import Collection, State

_LOG = logging.getLogger(__name__)

Action: TypeAlias = Callable[[Mapping[str, Any]], Any]
"""What people do in a vendor's own pages: takes a JSON object and gives what JSON can hold, or raises ValueError."""


@dataclass(frozen=True, slots=True)
class NoSwitches:
    """The switches of a vendor that has none."""


@dataclass(frozen=True, slots=True)
class Table:
    """A part of what a vendor holds, for the page and the JSON view.

    Attributes:
        name: Heading, such as ``contacts``.
        rows: JSON objects; the page shows the first ones.
    """

    name: str
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class SftpAddress:
    """Where the sandbox's SFTP server is, and how this vendor's user gets in."""

    host: str
    port: int
    username: str
    password: str = field(repr=False)
    host_key: str = ""


class Frame:
    """What the sandbox gives a vendor: a place to remember, a folder, faults, background work.

    Args:
        vendor: The vendor's name.
        folder: What its SFTP user sees as ``/``.
        state: What it remembers.
        faults: What goes wrong on purpose.
        password: Of its SFTP user.
    """

    def __init__(self, vendor: str, *, folder: Path, state: State, faults: Faults, password: str) -> None:
        self.vendor = vendor
        self.folder = folder
        self.faults = faults
        self.password = password
        self.url = ""
        """Where the vendor's routes are, without a slash at the end; known once the sandbox listens."""
        self.sftp = SftpAddress("127.0.0.1", 0, vendor, password)
        """Where its files are; the port is known once the sandbox listens."""
        self._state = state
        self._tasks: set[asyncio.Task[None]] = set()
        self.failures: list[BaseException] = []
        """What ended background work; a test asserts that there is none."""

    def collection(self, name: str) -> Collection:
        """Objects that the vendor remembers under this name, also after a restart with the same folder."""
        return self._state.collection(name)

    def secret(self, name: str) -> str:
        """A random credential, the same after a restart."""
        kept = self.collection("secrets")
        if name not in kept:
            kept[name] = {"value": secrets.token_urlsafe(18)}
        return str(kept[name]["value"])

    def number(self, name: str, *, first: int = 1) -> int:
        """The next number of a series: ids of contacts, jobs, tables."""
        kept = self.collection("numbers")
        value = int(kept[name]["value"]) + 1 if name in kept else first
        kept[name] = {"value": value}
        return value

    def strike(self, kind: FaultKind, operation: str) -> Fault | None:
        """The fault of this kind that happens to this operation now, if any; ask once for each operation."""
        return self.faults.strike(kind, self.vendor, operation)

    def reply(self, operation: str, response: Response) -> Response:
        """The reply to an operation whose work is done, which ``lost_reply`` cuts off."""
        return LostReply(response) if self.strike("lost_reply", operation) else response

    def broken(self, operation: str, content: bytes) -> bytes:
        """The content of a file that the vendor writes, which ``broken_file`` cuts off."""
        return content[: len(content) // 2] if self.strike("broken_file", operation) else content

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a job in the background; what ends it in an error is kept in ``failures``."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def idle(self) -> None:
        """Wait until no background work is left."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def stop(self) -> None:
        """Cancel background work."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failures.append(error)
            _LOG.error("a job of the sandbox %s failed", self.vendor, exc_info=error)


class Vendor(ABC):
    """An emulated vendor. One module or package with one subclass, listed in ``vendors.py``.

    The constructor gets the frame and may read what was remembered; ``routes`` are mounted below ``/<name>``;
    ``file_arrived`` is called for each file that a client completes in one of ``folders``.
    """

    name: ClassVar[str]
    """As in ``landbridge sandbox serve NAME``; also its SFTP user."""
    title: ClassVar[str]
    """What people call it."""
    folders: ClassVar[tuple[str, ...]] = ()
    """Folders that its SFTP user finds."""
    has_password: ClassVar[bool] = True
    """Whether its SFTP user gets in with a password; otherwise with keys only."""
    faults: ClassVar[Strikes] = {}
    """Which faults it knows, and with which operations."""
    notes: ClassVar[Mapping[str, str]] = {}
    """What single forms ask for besides the connection."""
    Switches: ClassVar[type] = NoSwitches
    """A frozen dataclass: how the vendor behaves where nobody outside knows for certain, and limits."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.switches: Any = self.Switches()

    @abstractmethod
    def routes(self) -> Sequence[BaseRoute]:
        """Its HTTP API."""

    @abstractmethod
    def connection(self) -> Mapping[str, str]:
        """What a client needs, by the names of the component's parameters: address, credentials, ids."""

    def file_connection(self) -> Mapping[str, str]:
        """What a client of its files needs, by the names of the forms' fields; empty where ``connection`` tells it."""
        return {}

    def actions(self) -> Mapping[str, Action]:
        """What people do in the vendor's own pages, by name: ``POST /_sandbox/NAME/do/ACTION`` with a JSON object."""
        return {}

    @abstractmethod
    def tables(self) -> Iterable[Table]:
        """What it holds, for people and tests to look at: contacts, jobs and so on."""

    def authorized_keys(self) -> str | None:
        """Public keys with which its SFTP user gets in, in OpenSSH's format, besides the password; None for none."""
        return None

    def file_arrived(self, path: str) -> None:
        """A file is complete; ``path`` is relative to the SFTP user's root. Called on the event loop."""
        del path


class LostReply(Response):
    """A reply that is cut in its middle: the client cannot know that the work was done."""

    def __init__(self, response: Response) -> None:
        super().__init__(bytes(response.body), status_code=response.status_code, media_type=response.media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the head and half of the body; the server then closes the connection."""
        del scope, receive
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
