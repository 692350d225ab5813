"""A script in its sandbox, as the engine sees it: start it, give it batches, get what it made of them.

The sandbox is a process (see ``isolate``), so that nothing a script does can end or slow the engine: it is stopped
when it takes longer than its time limit, and the system ends it when it takes more than its memory.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import IO, Any, Final

import msgspec

from landbridge.components.script import isolate
from landbridge.errors import DataError, FlowError, LandbridgeError

START_TIMEOUT_S: Final = 30.0
"""Within this time a process must have started and loaded V8, even on a busy machine."""

AHEAD: Final = 2
"""So many batches may be on their way: one in the script, and one that waits for it."""

_GRACE_S: Final = 3.0
_TICK_S: Final = 1.0
_READ_BYTES: Final = 1 << 20
_TIME_HINT: Final = "Look for an endless loop in the script, or raise the param timeout."
_MEMORY_HINT: Final = "Look for a list that grows with every record, or raise the param memoryLimit."


@dataclass(frozen=True, slots=True)
class Limits:
    """What a script may take.

    Attributes:
        timeout_s: Longest time for one batch, in seconds.
        memory_bytes: Largest heap.
    """

    timeout_s: float = 30.0
    memory_bytes: int = 256 << 20


@dataclass(frozen=True, slots=True)
class Setting:
    """What a script finds around it.

    Attributes:
        reads_null: A field that a record lacks reads as null instead of undefined.
        context: The members of ``ctx``.
    """

    reads_null: bool = False
    context: dict[str, Any] = field(default_factory=dict)


class Signature(msgspec.Struct, frozen=True, rename="camel"):
    """How a script's ``process`` is declared: the names of its parameters, and whether it is an ordinary function."""

    names: list[str]
    is_plain: bool


class Failure(msgspec.Struct, frozen=True):
    """One record that failed: its number in the batch (-1: the call after the last), and why.

    ``kind`` is ``exception``, or ``result`` where what the script gave is no record. ``line`` and ``column`` are of
    the script, from 1; 0 where they are not known.
    """

    record: int
    kind: str
    message: str
    line: int
    column: int

    @property
    def text(self) -> str:
        """Message and place."""
        return f"{self.message} (line {self.line}, column {self.column})" if self.line else self.message


class _Header(msgspec.Struct, frozen=True):
    origins: list[int]
    dropped: int
    log: list[tuple[str, str]]
    failures: list[Failure]
    refused: list[tuple[int, msgspec.Raw]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a script made of one batch.

    Attributes:
        records: JSON array of the records that go on.
        origins: For each of them the number of the record in the batch it was made from; -1 for the last call.
        refused: Number of the record in the batch, and JSON text of what the script sent to ``error``.
        failures: Records at which the script failed.
        log: Level and text of each line the script logged.
        log_dropped: Number of further lines, which were not kept.
    """

    records: bytes
    origins: list[int]
    refused: list[tuple[int, bytes]]
    failures: list[Failure]
    log: list[tuple[str, str]]
    log_dropped: int


_HEADER: Final = msgspec.json.Decoder(_Header)


class Sandbox:
    """One running script. Its top-level variables live as long as it does. Not for several threads at once.

    Args:
        script: JavaScript that defines ``process``.
        setting: What it finds around it.
        limits: What it may take.
        on_wait: Called about every second while the script works.
    """

    def __init__(
        self,
        script: str,
        *,
        setting: Setting | None = None,
        limits: Limits | None = None,
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        self._limits = limits or Limits()
        self._on_wait = on_wait
        self._process = _spawn()
        self._end = weakref.finalize(self, _end, self._process)
        self._input, self._output = _pipe(self._process.stdin), _pipe(self._process.stdout)
        self._deadline = 0.0
        try:
            self.signature = self._start(script, setting or Setting())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the script at once."""
        self._end()

    def send(self, records: bytes, *, has_big_integers: bool = False) -> None:
        """Give the script a JSON array of records; ``receive`` gives what becomes of them.

        At most AHEAD batches may be sent before the first of them is received.

        Args:
            records: The array, UTF-8 text.
            has_big_integers: It may hold integers that JavaScript would round; it sees them as BigInt.

        Raises:
            DataError: See ``receive``.
        """
        self._send(isolate.EXACT_BATCH if has_big_integers else isolate.BATCH, records)

    def send_last(self) -> None:
        """Make the call after the last record; ``receive`` gives what becomes of it."""
        self._send(isolate.LAST, b"")

    def receive(self) -> Outcome:
        """What the script made of the first batch that was sent and not received yet.

        Raises:
            DataError: LB-4601, it took too long; LB-4602, it took too much memory; LB-4607, it spoilt the
                built-in functions it runs with. The sandbox is closed then.
        """
        self._allow(self._limits.timeout_s)
        try:
            kind, text = self._receive()
            if kind != isolate.RESULT:
                raise self._failure(kind, text)
            head, _, records = text.partition(b"\n")
            return _outcome(head, records)
        except BaseException:
            self.close()
            raise

    # -- inside ----------------------------------------------------------------------------------------------------

    def _start(self, script: str, setting: Setting) -> Signature:
        configuration = {"readsNull": setting.reads_null, "context": setting.context}
        request = {
            "script": script,
            "configuration": configuration,
            "timeoutS": self._limits.timeout_s,
            "memoryBytes": self._limits.memory_bytes,
        }
        text = json.dumps(request).encode("utf-8", "replace")
        self._send(isolate.START, text)
        self._allow(START_TIMEOUT_S + self._limits.timeout_s)
        kind, answer = self._receive()
        if kind == isolate.READY:
            signature = msgspec.json.decode(answer, type=Signature)
            if signature.is_plain:
                return signature
            raise FlowError(
                "LB-1604",
                "the script's process is an async function or a generator",
                hint="Declare it as an ordinary function that returns the record.",
            )
        if kind == isolate.NO_PROCESS:
            raise FlowError(
                "LB-1602",
                "the script defines no function process",
                hint="Begin it with: function process(record, ctx, logger, next) {",
            )
        if kind in (isolate.NO_COMPILE, isolate.NO_START):
            raise _unusable(msgspec.json.decode(answer), compiles=kind == isolate.NO_START)
        if kind == isolate.TOO_LATE:
            message = f"the script took more than {self._limits.timeout_s:g} s before the first record"
            raise DataError("LB-4601", message, hint=_TIME_HINT)
        raise self._failure(kind, answer)

    def _failure(self, kind: bytes, text: bytes) -> LandbridgeError:
        if kind == isolate.TOO_LATE:
            return self._too_late(text.decode())
        if kind == isolate.NO_MEMORY:
            return self._no_memory()
        return DataError(
            "LB-4607",
            f"the script broke what it runs in: {text.decode('utf-8', 'replace')[:200]}",
            hint="It must not replace or extend the built-in objects.",
        )

    def _too_late(self, record: str = "") -> DataError:
        where = f" and was stopped at record {int(record) + 1} of the batch" if record not in ("", "-1") else ""
        message = f"the script took more than {self._limits.timeout_s:g} s for one batch{where}"
        return DataError("LB-4601", message, hint=_TIME_HINT)

    def _no_memory(self) -> DataError:
        limit = self._limits.memory_bytes >> 20
        return DataError("LB-4602", f"the script needs more than its {limit} MB of memory", hint=_MEMORY_HINT)

    def _died(self) -> LandbridgeError:
        try:
            status = self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            status = 0
        if status < 0:
            return self._no_memory()  # V8 ends its process by a signal when memory runs out
        return DataError(
            "LB-4608",
            f"the process of the script ended with status {status}",
            hint="Check that mini-racer works here: python -c 'from py_mini_racer import MiniRacer; MiniRacer()'",
        )

    def _allow(self, timeout_s: float) -> None:
        self._deadline = monotonic() + timeout_s + _GRACE_S

    def _send(self, kind: bytes, text: bytes) -> None:
        if not self._end.alive:
            raise DataError("LB-4608", "the process of the script has ended", hint="Run the job again.")
        self._allow(START_TIMEOUT_S + self._limits.timeout_s)
        try:
            for part in (isolate.message(kind, len(text)), text):
                view = memoryview(part)
                while view:
                    self._wait(self._input, select.POLLOUT)
                    view = view[os.write(self._input, view[:_READ_BYTES]) :]
        except BrokenPipeError:
            raise self._died() from None

    def _receive(self) -> tuple[bytes, bytes]:
        head = self._read(isolate.HEAD_BYTES)
        return head[:1], self._read(int.from_bytes(head[1:], "big"))

    def _read(self, count: int) -> bytes:
        parts = []
        while count:
            self._wait(self._output, select.POLLIN)
            part = os.read(self._output, min(count, _READ_BYTES))
            if not part:
                raise self._died()
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def _wait(self, descriptor: int, event: int) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        while True:
            left = self._deadline - monotonic()
            if left <= 0:
                raise self._too_late()
            if poll.poll(min(left, _TICK_S) * 1000):
                return
            self._on_wait()


def _outcome(head: bytes, records: bytes) -> Outcome:
    try:
        header = _HEADER.decode(head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise DataError(
            "LB-4607",
            "the script broke what it runs in: its results cannot be read",
            hint="It must not replace or extend the built-in objects, or nest values without end.",
        ) from None
    return Outcome(
        records=records,
        origins=header.origins,
        refused=[(number, bytes(text)) for number, text in header.refused],
        failures=header.failures,
        log=header.log,
        log_dropped=header.dropped,
    )


def _unusable(found: dict[str, Any], *, compiles: bool) -> FlowError:
    where = f"line {found['line']}, column {found['column']}: " if found["column"] else ""
    if compiles:
        return FlowError(
            "LB-1603",
            f"the script cannot be started: {where}{found['message']}",
            hint="The code outside of functions runs once, before the first record.",
        )
    return FlowError(
        "LB-1601",
        f"the script does not compile: {where}{found['message']}",
        hint="Correct it there; `landbridge script extract` writes it to a file, `embed` puts it back.",
    )


def _spawn() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-W", "ignore", isolate.__file__]
    environment = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "PYTHONPATH") if name in os.environ}
    try:
        return subprocess.Popen(  # noqa: S603 - our own program
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd="/",
            env={**environment, "TZ": "UTC", "LANG": "C.UTF-8"},
        )
    except OSError as error:
        raise DataError(
            "LB-4608",
            f"the process of the script cannot be started: {error.strerror}",
            hint="Check the machine's limits on processes and memory.",
        ) from None


def _pipe(stream: IO[bytes] | None) -> int:
    if stream is None:
        raise TypeError("the process has no pipe")
    os.set_blocking(stream.fileno(), False)
    return stream.fileno()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    process.wait()
