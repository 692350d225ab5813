"""Records that failed where the flow has no error edge: kept with their reason, never lost."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from landbridge.components.base import RecordError
from landbridge.records import Batch, columns as col
from landbridge.records.path import parse

ERROR_DETAILS = "_errorDetails"
"""The object that a record on an error edge carries, as IdentitySync names it."""


@dataclass(frozen=True, slots=True)
class RejectedText:
    """A piece of a file that could not be read as a record."""

    text: str
    file: str
    line: int | None
    error: RecordError


class RejectStore(Protocol):
    """Where rejects are kept."""

    def add(self, step: str, rejects: Sequence[dict[str, Any]]) -> None:
        """Keep ``rejects``, objects with code, message and record or text, durably."""

    def forget(self, steps: Collection[str]) -> None:
        """Remove what an earlier process of the same job has added for these steps: they begin again."""


def with_errors(records: Batch, errors: Sequence[RecordError]) -> Batch:
    """The records with ``_errorDetails``, as they travel on an error edge."""
    codes = col.from_values([number_of(error.code) for error in errors])
    messages = col.from_values([error.message for error in errors])
    return records.put(parse(f"{ERROR_DETAILS}.errorCode"), codes).put(parse(f"{ERROR_DETAILS}.errorMessage"), messages)


def as_records(texts: Sequence[RejectedText]) -> Batch:
    """Unreadable pieces as records for an error edge: the piece itself, its place, and ``_errorDetails``."""
    return Batch.from_objects(
        [
            {
                "text": piece.text,
                "file": piece.file,
                **({} if piece.line is None else {"line": piece.line}),
                ERROR_DETAILS: {
                    "errorCode": number_of(piece.error.code),
                    "errorMessage": piece.error.message,
                },
            }
            for piece in texts
        ]
    )


def number_of(code: str | int) -> str | int:
    """The code as ``_errorDetails`` has it: of ours the digits, any other as it is."""
    return int(code.removeprefix("LB-")) if isinstance(code, str) and code.startswith("LB-") else code


class _Place(msgspec.Struct):
    """Where a line of a reject file comes from."""

    job: str
    step: str
    number: int


_PLACE: Final = msgspec.json.Decoder(_Place)


class RejectFile:
    """Rejects as JSON lines in one file per job, readable by its owner only; made when the first record fails."""

    def __init__(self, path: Path, *, job: str) -> None:
        self.path = path
        self._job = job
        self._number = 0
        self._writing = threading.Lock()

    def forget(self, steps: Collection[str]) -> None:
        """Write the file anew without the rejects of these steps."""
        with self._writing:
            self._forget(steps)

    def add(self, step: str, rejects: Sequence[dict[str, Any]]) -> None:
        """Append the rejects and flush them to disk. Several threads may do so."""
        with self._writing:
            self._add(step, rejects)

    def _forget(self, steps: Collection[str]) -> None:
        if not self.path.exists():
            return
        partial = self.path.with_name(self.path.name + ".partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with self.path.open("rb") as old, os.fdopen(descriptor, "wb") as new:
            for line in old:
                try:
                    place = _PLACE.decode(line)
                except msgspec.DecodeError:
                    continue  # torn when the process ended
                if place.job != self._job or place.step not in steps:
                    new.write(line)
                    self._number = max(self._number, place.number)
            new.flush()
            os.fsync(new.fileno())
        partial.replace(self.path)
        if not self.path.stat().st_size:
            self.path.unlink()

    def _add(self, step: str, rejects: Sequence[dict[str, Any]]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        encoder = msgspec.json.Encoder()
        lines = []
        for reject in rejects:
            self._number += 1
            lines.append(encoder.encode({"job": self._job, "step": step, "number": self._number, **reject}) + b"\n")
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab", buffering=0) as file:
            content = memoryview(b"".join(lines))
            while content:  # at once, unless the disk takes a part only
                content = content[file.write(content) :]
            os.fsync(file.fileno())
