"""The publish protocol, the same for every store: a consumer never sees a partial file.

1. ``create`` begins a temporary file in the target's own folder (so that the rename stays a rename);
2. ``write`` appends, ``finish`` closes it and verifies the size that the store reports;
3. ``publish`` renames it onto the final name in one step (or commits the multi-part upload).

The engine publishes when the whole job has been read, in the order in which the dataflow names the files, so a
marker file comes last. A job that is killed leaves at most temporary files whose name tells who wrote them; the next
job that writes to the folder removes those whose writer is dead.
"""

from __future__ import annotations

import os
import re
import socket
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

ABANDONED_AFTER = timedelta(hours=24)
"""A temporary file of another machine counts as abandoned when nothing was written to it for this long."""

ReplacePolicy = Literal["fail", "deleteFirst"]
"""What to do when a server cannot replace an existing file in one step."""

_SUFFIX = ".uploading"
_TEMPORARY = re.compile(r"^\..*\.lb-(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-(?P<start>\d+)\.uploading$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in a store. ``name`` is relative to the folder that was listed; ``modified`` is in UTC."""

    name: str
    size: int
    modified: datetime


class Upload(Protocol):
    """A file being written to a store under a temporary name. Nobody else sees it before ``publish``."""

    async def write(self, chunk: bytes) -> None:
        """Append ``chunk``."""

    async def finish(self) -> None:
        """Close the temporary file and verify that the store holds exactly the bytes that were written."""

    async def publish(self) -> None:
        """Give the finished file its final name in one step, replacing an existing one."""

    async def discard(self) -> None:
        """Remove the temporary file. Safe to call at any point before ``publish``, also twice."""

    @property
    def temporary(self) -> str | None:
        """Name of the temporary file, relative to the folder; None where nobody but this process can publish it."""


Announce: TypeAlias = Callable[[str], Awaitable[None]]


class Store(Protocol):
    """A folder of files on the other side: SFTP, FTP, an object store, a local folder."""

    async def list(self) -> Sequence[Entry]:
        """The files in the folder, without sub-folders and without temporary files of uploads under way."""

    def read(self, name: str) -> AsyncGenerator[bytes]:
        """The content of a file in pieces of about a megabyte, from several requests in flight."""

    async def create(self, name: str, *, announce: Announce | None = None) -> Upload:
        """Begin a file.

        Args:
            name: Its final name, relative to the folder; it may hold ``/``.
            announce: Given for a file that another process may publish: it is told the temporary name before that
                exists, and ``clean`` leaves the file alone for a day, whoever is dead. Not called by stores where
                no other process can.
        """

    async def take_up(self, name: str, temporary: str) -> Upload | None:
        """The finished upload of ``name`` that another process left as ``temporary``; None where it is gone."""

    async def stored_size(self, name: str) -> int | None:
        """The size of the file ``name`` in bytes; None where there is none."""

    async def check(self) -> None:
        """Prove, without writing, that the folder can be reached. Raises ConnectionFailed."""

    async def clean(self) -> int:
        """Remove temporary files whose writer is dead; the number removed."""


def temporary_name(name: str, *, visible: bool = False, lasting: bool = False) -> str:
    """The name under which a file is uploaded, in the same folder as ``name``.

    Args:
        name: Final name; may hold ``/``.
        visible: Use ``<name>.uploading``, as IdentitySync's ``temporaryUploadExtension`` promises to consumers.
            Otherwise the name is hidden and tells which process on which machine is writing.
        lasting: Tell of a machine that is not this one, so that the file counts as abandoned by its age only.
    """
    if visible:
        return name + _SUFFIX
    folder, _, last = name.rpartition("/")
    hidden = f".{last}.lb-{_nowhere() if lasting else _host()}-{os.getpid()}-{_process_start(os.getpid())}{_SUFFIX}"
    return f"{folder}/{hidden}" if folder else hidden


def is_temporary(name: str) -> bool:
    """Whether ``name`` is that of an upload under way or abandoned."""
    return name.endswith(_SUFFIX)


def is_abandoned(name: str, modified: datetime, *, now: datetime | None = None) -> bool:
    """Whether ``name`` is a temporary file of ours whose writing process is dead.

    A process on this machine is looked up by number and start time; of other machines only the age is known.
    """
    match = _TEMPORARY.match(name.rpartition("/")[2])
    if match is None:
        return False
    if match["host"] == _host():
        return _process_start(int(match["pid"])) != int(match["start"])
    return (now or datetime.now(UTC)) - modified > ABANDONED_AFTER


@cache
def _host() -> str:
    try:
        identity = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except OSError:
        identity = ""
    return f"{zlib.crc32((identity + socket.gethostname()).encode()):08x}"


def _nowhere() -> str:
    """A machine that is none, another one for each machine."""
    return f"{int(_host(), 16) ^ 0xFFFFFFFF:08x}"


def _process_start(pid: int) -> int:
    """Start time of a process in clock ticks since boot; 0 where it is dead or cannot be told."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    fields = stat.rpartition(")")[2].split()
    return 0 if fields[0] == "Z" else int(fields[19])  # a zombie has ended and only waits to be noticed
