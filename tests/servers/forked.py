"""Runs ``python -m landbridge`` in processes that are forked from one that has loaded the libraries already.

Each command is a process with its own arguments, environment, folder, output, exit code and end, and loads the modules
of landbridge itself, in the order that it needs them. Only the libraries of others, which take most of a second of
each start, are loaded once.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

LIBRARIES = (
    "aiohttp",
    "alembic.command",
    "anyio._backends._asyncio",
    "asyncssh",
    "fastapi",
    "lark",
    "msgspec.json",
    "pyarrow.compute",
    "pyarrow.csv",
    "pydantic",
    "rich.progress",
    "sqlalchemy.dialects.sqlite",
    "typer.main",
    "typer.rich_utils",
    "uvloop",
    "xml.etree.ElementTree",
)
"""What commands load of others and what takes long."""

READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "TZ", "TERMINAL_WIDTH", "FORCE_COLOR", "GITHUB_", "ARROW_", "OPENSSL")
"""Beginnings of variables that the interpreter or a library reads while it is loaded."""


class Forkery:
    """The process from which commands are forked, one at a time; it ends with the process that has started it."""

    def __init__(self) -> None:
        self._environ = dict(os.environ)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.forked"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self._lock = threading.Lock()

    def can_run(self, environ: dict[str, str]) -> bool:
        """Whether a process of this environment may be forked, since nothing that is loaded already depends on it."""
        return _read_at_start(environ) == _read_at_start(self._environ)

    def run(self, arguments: list[str], *, environ: dict[str, str], timeout_s: float) -> tuple[int, str, str]:
        """Run ``landbridge`` with these arguments; gives exit code, output and errors.

        Raises:
            subprocess.TimeoutExpired: It took too long, and was killed.
        """
        late = threading.Event()

        def kill(pid: int) -> None:
            late.set()
            os.kill(pid, signal.SIGKILL)

        with self._lock, tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder) / "out", Path(folder) / "err"
            request = [arguments, environ, str(Path.cwd()), str(out), str(err)]
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            timer = threading.Timer(timeout_s, kill, [int(self._process.stdout.readline())])
            timer.start()
            code = int(self._process.stdout.readline())
            timer.cancel()
            timer.join()
            if late.is_set():
                raise subprocess.TimeoutExpired(arguments, timeout_s)
            return code, out.read_text(), err.read_text()

    def stop(self) -> None:
        """End the process."""
        self._process.communicate(timeout=60)


def _read_at_start(environ: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name.startswith(READ_AT_START) and name != "PYTHONPATH"}


def _forked() -> bool:
    """Fork a process for each line of standard input; True in such a process, False when there are no more lines."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _become(*json.loads(line))
            return True
        _tell(pid)
        _, status = os.waitpid(pid, 0)
        _tell(os.waitstatus_to_exitcode(status))
    return False


def _tell(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def _become(arguments: list[str], environ: dict[str, str], folder: str, out: str, err: str) -> None:
    """Be what the process of a command is when it begins."""
    for number, path, flags in ((0, os.devnull, os.O_RDONLY), (1, out, os.O_WRONLY), (2, err, os.O_WRONLY)):
        opened = os.open(path, flags | (os.O_CREAT if number else 0))
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(environ)
    tempfile.tempdir = None  # a library asked for it, with the variables of before
    os.chdir(folder)
    sys.path[0] = folder
    sys.path[1:1] = [each for each in environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    importlib.invalidate_caches()
    sys.argv[1:] = arguments


if __name__ == "__main__":
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # a process that is forked must have one thread
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.collect()
    gc.freeze()
    if _forked():
        runpy.run_module("landbridge", run_name="__main__", alter_sys=True)
