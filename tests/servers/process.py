"""Start a server program, wait for its port, end it."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

START_TIMEOUT_S = 20.0


class MissingPart(Exception):
    """A program that the tests need is not installed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not installed; run scripts/real-parts")


def free_port() -> int:
    """A TCP port of the loopback address that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def find_program(name: str, *folders: str | Path) -> str:
    """The path of a program.

    Args:
        name: Its file name.
        folders: Where to look first.

    Raises:
        MissingPart: It is nowhere.
    """
    for folder in folders:
        candidate = Path(folder) / name
        if candidate.exists():
            return str(candidate)
    found = shutil.which(name)
    if found is None:
        raise MissingPart(name)
    return found


class ServerProcess:
    """A server program under our control. Its output goes to a file, shown when it does not start."""

    def __init__(
        self,
        command: list[str],
        *,
        port: int,
        log: Path,
        env: dict[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=env, cwd=folder
            )
        self._wait_for(port)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the program by a signal and wait for it."""
        self._process.send_signal(number)
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=60)

    def _wait_for(self, port: int) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        self.stop()
        raise RuntimeError(f"{self._process.args!r} does not listen:\n{self._log.read_text(errors='replace')[-2000:]}")
