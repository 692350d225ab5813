"""A process that uploads files until it is killed; started by ``test_upload_killed``.

It reads one JSON line for each round, forks, and writes the child's number; the child uploads for ever.
Forking saves the start of Python and its imports for each of the many rounds.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from landbridge.remote.local import LocalStore
from landbridge.remote.object_stores import s3_folder
from landbridge.remote.sftp import SftpStore
from landbridge.remote.sftp_session import SftpLogin

VERSION_BYTES = 8
FILE_BYTES = 6 << 20


def content(version: int) -> bytes:
    """The whole file of a version; every eight bytes tell which."""
    return version.to_bytes(VERSION_BYTES, "big") * (FILE_BYTES // VERSION_BYTES)


async def upload_for_ever(where: dict[str, Any]) -> None:
    """Upload one version after the other, alternating between a fixed and a new name."""
    if where["kind"] == "local":
        connection: Any = LocalStore(Path(where["folder"]))
    elif where["kind"] == "sftp":
        connection = SftpStore(SftpLogin(**where["login"]), folder=where["folder"])
    else:
        connection = await s3_folder(**where["bucket"])
    async with connection as store:
        version = where["first_version"]
        while True:
            for name in ("latest.bin", f"success/{version}.bin"):
                data = content(version)
                upload = await store.create(name)
                for start in range(0, len(data), 1 << 20):
                    await upload.write(data[start : start + (1 << 20)])
                await upload.finish()
                await upload.publish()
            version += 1


def main() -> None:
    """Fork a child for each line until the input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system buries killed children at once
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(upload_for_ever(json.loads(line)))
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
