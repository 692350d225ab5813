"""The process in which a script runs: one V8 isolate, texts in on standard input, texts out on standard output.

Started by file name, so that it loads nothing but mini-racer. A script cannot reach files, the network or other
processes from V8; the process adds what V8 alone does not give: V8 ends its whole process when memory runs out at the
wrong moment, and it does not count the memory of array buffers.

A message is a byte that tells its kind, its length in eight bytes, and UTF-8 text.
"""

from __future__ import annotations

import json
import os
import queue
import re
import resource
import select
import threading
from pathlib import Path
from typing import Any

# What is asked for.
START, BATCH, EXACT_BATCH, LAST = b"S", b"B", b"E", b"L"
# What is answered.
READY, RESULT, NO_COMPILE, NO_START, NO_PROCESS, TOO_LATE, NO_MEMORY, BROKEN = (bytes([code]) for code in b"YRCSPTMX")
HEAD_BYTES = 9

_KINDS = {BATCH: "batch", EXACT_BATCH: "exact", LAST: "last"}
_ORIGIN = "\n//# sourceURL=landbridge-script"
_READ_BYTES = 1 << 20
_SPARE_BYTES = 128 << 20
_MAX_MESSAGE = 500
_WHERE_TIMEOUT_S = 1.0
_PLACE = re.compile(r"[^:\n]*:(\d+): (.*)\n.*\n( *)\^")
_LINE = re.compile(r"(?:[^:\n]*:(\d+): )?(.*)")
_FRAME = re.compile(r"landbridge-script:(\d+):(\d+)")


def main() -> None:
    """Serve requests until standard input ends."""
    # One request is read ahead, so that the other side can send it while the script works on the one before.
    requests: queue.Queue[tuple[bytes, str]] = queue.Queue(maxsize=1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    threading.Thread(target=_receive_into, args=(requests,), daemon=True).start()
    request = json.loads(requests.get()[1])
    from py_mini_racer import MiniRacer  # noqa: PLC0415 - the starting process imports this module without it

    with MiniRacer() as engine:
        run = _started(engine, request)
        while run is not None:
            _send(*_answer(engine, run, *requests.get(), timeout_s=request["timeoutS"]))


def _started(engine: Any, request: dict[str, Any]) -> Any:
    """The function that runs batches; None when the script cannot be used, which is then told."""
    from py_mini_racer import (  # noqa: PLC0415 - see main
        JSEvalException,
        JSFunction,
        JSOOMException,
        JSParseException,
        JSTimeoutException,
    )

    timeout_s = request["timeoutS"]
    prepare = engine.eval(Path(__file__).with_name("harness.js").read_text(encoding="utf-8"))
    _bound(engine, request["memoryBytes"])
    try:
        engine.eval(request["script"] + _ORIGIN, timeout_sec=timeout_s)
        process = engine.eval("typeof process === 'function' ? process : null", timeout_sec=timeout_s)
        if not isinstance(process, JSFunction):
            _send(NO_PROCESS, "")
            return None
        run = prepare(process, json.dumps(request["configuration"]), timeout_sec=timeout_s)
        _send(READY, run("describe", "", timeout_sec=timeout_s))
    except JSParseException as error:
        _send(NO_COMPILE, _placed(str(error)))
    except JSTimeoutException:
        _send(TOO_LATE, "")
    except JSOOMException:
        _send(NO_MEMORY, "")
    except JSEvalException as error:
        if engine.was_hard_memory_limit_reached():
            _send(NO_MEMORY, "")
        else:
            _send(NO_START, _placed(str(error)))
    else:
        return run
    return None


def _answer(engine: Any, run: Any, kind: bytes, text: str, *, timeout_s: float) -> tuple[bytes, str]:
    from py_mini_racer import JSEvalException, JSOOMException, JSTimeoutException  # noqa: PLC0415 - see main

    try:
        return RESULT, run(_KINDS[kind], text, timeout_sec=timeout_s)
    except JSTimeoutException:
        return TOO_LATE, _current(run)
    except JSOOMException:
        return NO_MEMORY, ""
    except JSEvalException as error:
        if engine.was_hard_memory_limit_reached():  # within a call, the library does not tell it by its exception
            return NO_MEMORY, ""
        return BROKEN, str(error).partition("\n")[0][:_MAX_MESSAGE]


def _current(run: Any) -> str:
    """Number of the record at which the script was stopped, as text; empty where it cannot tell any more."""
    from py_mini_racer import JSEvalException  # noqa: PLC0415 - see main

    try:
        return str(run("where", "", timeout_sec=_WHERE_TIMEOUT_S))
    except JSEvalException:
        return ""


def _placed(text: str) -> str:
    """V8's message as JSON with line and column: it marks the place by a caret below the line."""
    match = _PLACE.match(text)
    if match is None:
        line, message = _LINE.match(text).groups()  # type: ignore[union-attr] # it matches any text
        return json.dumps({"message": message[:_MAX_MESSAGE], "line": int(line or 0), "column": 0})
    line, column = int(match[1]), len(match[3]) + 1
    frame = _FRAME.search(text, match.end())
    if frame is not None:
        line, column = int(frame[1]), int(frame[2])
    return json.dumps({"message": match[2][:_MAX_MESSAGE], "line": line, "column": column})


def _bound(engine: Any, memory_bytes: int) -> None:
    """Let the process take no more than about twice the script's memory, open nothing, and leave no core file."""
    engine.set_hard_memory_limit(memory_bytes)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    status = Path("/proc/self/status")
    if status.exists():
        in_use = int(re.search(r"VmData:\s+(\d+) kB", status.read_text()).group(1)) << 10  # type: ignore[union-attr]
        limit = in_use + 2 * memory_bytes + _SPARE_BYTES
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, even in the middle of an endless loop."""
    watch = select.poll()
    watch.register(0, select.POLLHUP)
    while not any(event & (select.POLLHUP | select.POLLERR) for _, event in watch.poll()):
        pass
    os._exit(0)


def _receive_into(requests: queue.Queue[tuple[bytes, str]]) -> None:
    while True:
        head = _read(HEAD_BYTES)
        requests.put((head[:1], _read(int.from_bytes(head[1:], "big")).decode()))


def _read(count: int) -> bytes:
    parts = []
    while count:
        part = os.read(0, min(count, _READ_BYTES))
        if not part:
            os._exit(0)
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _send(kind: bytes, text: str) -> None:
    data = text.encode("utf-8", "replace")
    view = memoryview(message(kind, len(data)) + data)
    while view:
        view = view[os.write(1, view) :]


def message(kind: bytes, length: int) -> bytes:
    """The head of a message whose text has ``length`` bytes."""
    return kind + length.to_bytes(HEAD_BYTES - 1, "big")


if __name__ == "__main__":
    main()
