"""Keys: that by which the service seals secrets, and those by which it knows SFTP servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from typing import Annotated, Final

import anyio
from fastapi import Request
from pydantic import Field, StringConstraints

from landbridge.errors import StorageError
from landbridge.jobs import host_keys
from landbridge.jobs.key_rotation import check_environment, rotate
from landbridge.server.api.access import Admin, Editor
from landbridge.server.api.place import Here
from landbridge.server.api.problems import BUSY
from landbridge.server.api.routing import Routes, Threads
from landbridge.server.api.shapes import Given, Shown

router = Routes(tag="keys")

ROTATION_TIMEOUT_S: Final = 600.0
_SERVER_TIMEOUT_S: Final = 45.0

HostName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,253}$"),
    Field(description="As dataflows and connections write it."),
]
Port = Annotated[int, Field(ge=1, le=65_535)]


class KeyRotated(Shown):
    """What was sealed anew."""

    values: Annotated[int, Field(description="How many sealed values there are.")]


class Server(Given):
    """An SFTP server."""

    host: HostName
    port: Port = 22


class Announced(Server):
    """A host key as the owner of the server tells it."""

    key: Annotated[
        str, Field(min_length=1, max_length=20_000, description="SHA256:… or a public key line, ssh-ed25519 AAAA….")
    ]


class HostKeyShown(Shown):
    """A host key."""

    host: str
    port: int
    fingerprint: Annotated[str, Field(description="As OpenSSH prints it: SHA256:….")]


@contextmanager
def _in_time() -> Iterator[None]:
    """Wait for a server, but not for ever.

    Raises:
        StorageError: LB-7508.
    """
    try:
        with anyio.fail_after(_SERVER_TIMEOUT_S):
            yield
    except TimeoutError:
        raise StorageError(BUSY, "the server tells no host key in time", hint="Try again in a moment.") from None


@router.post("/key/rotation")
async def rotate_key(here: Here, caller: Admin, request: Request) -> KeyRotated:
    """Seal everything anew with the first key of LANDBRIDGE_KEY. A key in a file is changed by the command only."""
    check_environment()
    threads: Threads = request.app.state.rotations
    return KeyRotated(values=await threads.run(partial(rotate, here.database, here.data, by=caller.name)))


@router.post("/host-keys/offered")
async def show_offered_host_key(_: Editor, wanted: Server) -> HostKeyShown:
    """Show the host key that an SFTP server offers now. Compare it with what its owner tells; nothing is pinned."""
    with _in_time():
        found = await host_keys.offered(wanted.host, wanted.port)
    return HostKeyShown(host=wanted.host, port=wanted.port, fingerprint=found)


@router.post("/host-keys", status_code=HTTPStatus.CREATED)
async def pin_host_key(here: Here, caller: Editor, wanted: Announced) -> HostKeyShown:
    """Pin the host key of an SFTP server for the jobs of this machine. The server must offer it now."""
    with _in_time():
        pinned = await host_keys.pin(here.database, wanted.host, wanted.port, key=wanted.key, by=caller.name)
    return HostKeyShown(host=wanted.host, port=wanted.port, fingerprint=pinned)
