"""An S3 server: ``rclone serve s3`` on a folder; the folders in it are its buckets."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers.process import ServerProcess, find_program, free_port

LISTING_AGE_S = 0.02


class S3Server:
    """``rclone serve s3`` with one pair of keys; without keys it lets anybody in."""

    access_key = "LANDBRIDGETEST"
    secret_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYzzzzzzzzzz"

    def __init__(self, *, anonymous: bool = False) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._anonymous = anonymous
        self._folder = tempfile.TemporaryDirectory(prefix="lb-s3-")
        self._buckets = Path(self._folder.name) / "buckets"

    def bucket(self, name: str) -> str:
        """Make a bucket and give its name back."""
        (self._buckets / name).mkdir(exist_ok=True)
        time.sleep(2 * LISTING_AGE_S)
        return name

    def __enter__(self) -> Self:
        program = find_program("rclone", Path(sys.executable).parent)
        self._buckets.mkdir()
        command = [program, "serve", "s3", "--addr", f"127.0.0.1:{self.port}", "--config", os.devnull]
        # It looks for new folders when its listing is this old; with 0 it would look all the time.
        command += ["--vfs-cache-mode", "off", "--dir-cache-time", f"{int(LISTING_AGE_S * 1000)}ms"]
        if not self._anonymous:
            command += ["--auth-key", f"{self.access_key},{self.secret_key}"]
        self._process = ServerProcess(
            [*command, str(self._buckets)], port=self.port, log=Path(self._folder.name) / "log"
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.stop()
        self._folder.cleanup()
