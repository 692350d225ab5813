"""What the bare contenders share: stages on threads, as Landbridge's engine runs them, and the report of work time."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from typing import Any, TypeVar

T = TypeVar("T")

CHUNK_BYTES = 1 << 20
_END: Any = object()


def ahead(items: Iterator[T], *, size: int = 4) -> Iterator[T]:
    """The same items, made by a thread of their own."""
    queue: Queue[Any] = Queue(size)

    def run() -> None:
        try:
            for item in items:
                queue.put(item)
        except BaseException as error:  # noqa: BLE001 - raised again by the receiver
            queue.put(error)
        queue.put(_END)

    threading.Thread(target=run, daemon=True).start()
    while (item := queue.get()) is not _END:
        if isinstance(item, BaseException):
            raise item
        yield item


def chunks(path: Path, size: int = CHUNK_BYTES) -> Iterator[bytes]:
    """The content of a file."""
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(size):
            yield chunk


def timed(work: Callable[[Path, Path], None]) -> None:
    """Run ``work(input folder, output folder)`` and print the time it took, without the start of the interpreter."""
    source, target = map(Path, sys.argv[1:3])
    began = time.perf_counter()
    work(source, target)
    print(json.dumps({"work_s": time.perf_counter() - began}))
