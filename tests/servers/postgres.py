"""PostgreSQL with a fresh data folder."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from tests.servers.process import START_TIMEOUT_S, ServerProcess, find_program, free_port

_USER = "landbridge"
_PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


class Postgres:
    """A PostgreSQL server on a free loopback port; ``url`` names an empty database."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"postgresql://{_USER}@127.0.0.1:{self.port}/postgres"
        self._databases = 0
        self._command: list[str] = []
        self._folder: Path | None = None
        self._process: ServerProcess | None = None

    def __enter__(self) -> Self:
        initdb, postgres = (find_program(name, *_PROGRAMS) for name in ("initdb", "postgres"))
        self._folder = Path(tempfile.mkdtemp(prefix="landbridge-postgres-"))
        unprivileged = self._unprivileged()
        data = self._folder / "data"
        subprocess.run(
            [*unprivileged, initdb, "-D", str(data), "-U", _USER, "--auth=trust", "-E", "UTF8", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=self._folder,
        )
        self._command = [
            *(*unprivileged, postgres, "-D", str(data), "-p", str(self.port), "-k", str(self._folder)),
            *("-h", "127.0.0.1", "-c", "fsync=off"),
        ]
        self.start()
        return self

    def start(self) -> None:
        """Start the server, again after ``stop``."""
        assert self._folder is not None
        log = self._folder / "log"
        self._process = ServerProcess(self._command, port=self.port, log=log, folder=self._folder)
        self._wait_until_ready(find_program("pg_isready", *_PROGRAMS))

    def stop(self) -> None:
        """Stop the server; all connections are lost."""
        if self._process:
            self._process.stop(signal.SIGINT)  # the usual one waits for clients

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process:
            self._process.stop()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def new_database(self) -> str:
        """The URL of one more empty database."""
        self._databases += 1
        name = f"database_{self._databases}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url.removesuffix("postgres") + name

    def _wait_until_ready(self, pg_isready: str) -> None:
        # The port is open before the server takes anyone in: "the database system is starting up".
        deadline = time.monotonic() + START_TIMEOUT_S
        ask = [pg_isready, "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ask, check=False, capture_output=True).returncode:
            if time.monotonic() > deadline:
                raise RuntimeError("PostgreSQL listens and does not become ready")
            time.sleep(0.05)

    def _unprivileged(self) -> list[str]:
        # The server refuses to run as root.
        if os.geteuid() != 0 or self._folder is None:
            return []
        nobody = pwd.getpwnam("nobody")
        os.chown(self._folder, nobody.pw_uid, nobody.pw_gid)
        return [find_program("setpriv"), f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
