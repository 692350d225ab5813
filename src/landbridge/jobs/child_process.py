"""The worker's side of a job's process: start it, hear it, tell it, end it.

Processes are forked from a server that has loaded the engine once, so that a job begins in hundredths of a second. When
the worker dies, the server notices and ends, and the system ends what it has forked.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final

from landbridge.errors import StorageError
from landbridge.jobs import child, messages
from landbridge.jobs.messages import Begin, FromJob, ToJob

_KILL_TIMEOUT_S: Final = 10
_POLL_S: Final = 0.2

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([child.__name__, *child.OFTEN_USED])
_ONE_AT_A_TIME = threading.Lock()
"""Starting a process looks at all others, too, and an exit code can be read only once."""


def prepare() -> None:
    """Start the server from which processes are forked, so that the first job need not wait for it.

    A signal that ends the service may reach all its processes. The server ignores it, like the jobs: the worker decides
    what becomes of them.
    """
    if threading.current_thread() is not threading.main_thread():
        forkserver.ensure_running()
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGTERM, before)


def start(target: Callable[..., None], arguments: tuple[Any, ...], *, name: str) -> BaseProcess:
    """Start a process that calls ``child.settle`` first.

    Raises:
        StorageError: LB-7506, it cannot be started.
    """
    process = _CONTEXT.Process(target=target, args=arguments, name=name)
    try:
        with _ONE_AT_A_TIME:
            process.start()
    except (OSError, EOFError) as error:
        raise StorageError(
            "LB-7506", f"the process of a job cannot be started: {error}", hint="Run fewer jobs at a time."
        ) from error
    return process


def kill(process: BaseProcess) -> int:
    """End a process, unless it has ended, and all that it has started; gives the exit code."""
    for end in (os.killpg, os.kill):  # just after its start it has no group yet
        with contextlib.suppress(ProcessLookupError):
            if process.pid is not None and (end is os.killpg or _lives(process)):
                end(process.pid, signal.SIGKILL)
    multiprocessing.connection.wait([process.sentinel], _KILL_TIMEOUT_S)
    with _ONE_AT_A_TIME:
        code = process.exitcode
    return -signal.SIGKILL if code is None else code


def _lives(process: BaseProcess) -> bool:
    return not multiprocessing.connection.wait([process.sentinel], 0)


class ChildProcess:
    """The process of one job, in a group of its own, so that it ends with all that it started."""

    def __init__(self, begin: Begin) -> None:
        self._connection, theirs = multiprocessing.connection.Pipe(duplex=True)
        self._sending = threading.Lock()
        self._killing = threading.Lock()
        self._code: int | None = None
        try:
            self._process = start(child.main, (theirs,), name=f"job {begin.job_id}")
        except StorageError:
            self._connection.close()
            raise
        finally:
            theirs.close()
        self.send(begin)

    @property
    def pid(self) -> int | None:
        """The number of the process."""
        return self._process.pid

    def send(self, message: ToJob) -> None:
        """Tell the process something; nothing happens when it has ended. Safe to call from any thread."""
        with self._sending, contextlib.suppress(OSError):
            self._connection.send_bytes(messages.encode(message))

    def messages(self) -> Iterator[FromJob | None]:
        """What the process says until it has ended; None now and then while it says nothing."""
        while True:
            try:
                yield messages.from_job(self._connection.recv_bytes()) if self._connection.poll(_POLL_S) else None
            except (EOFError, OSError):
                return

    def wait(self) -> int:
        """The exit code; a process that has closed its socket and does not end is killed."""
        multiprocessing.connection.wait([self._process.sentinel], _KILL_TIMEOUT_S)
        return self.kill()

    def kill(self) -> int:
        """End the process, unless it has ended, and all that it has started; gives the exit code."""
        with self._killing:
            if self._code is None:
                self._code = kill(self._process)
            return self._code

    def close(self) -> None:
        """Let go of the socket; the process must have ended."""
        connection: Connection = self._connection
        connection.close()
