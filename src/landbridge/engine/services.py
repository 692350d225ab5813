"""What the engine gives a running step: a place for rejects, a log, its job's facts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from landbridge.components.base import RecordError
from landbridge.engine.counts import Activity, StepCounts
from landbridge.engine.rejects import RejectedText, as_records, with_errors
from landbridge.records import Batch

Level = Literal["debug", "info", "warning", "error"]
Log = Callable[[str, Level, str], None]

_LOG = logging.getLogger("landbridge.engine")

_gathered: ContextVar[list[tuple[Batch, Sequence[RecordError]]] | None] = ContextVar("_gathered", default=None)
"""Where the rejects of the present task, and of those it starts, are gathered."""
_gathered_left_out: ContextVar[list[int] | None] = ContextVar("_gathered_left_out", default=None)
"""The same for numbers of records that are left out."""


def log_line(step: str, level: Level, message: str) -> None:
    """Write a line to the program's log."""
    _LOG.log(getattr(logging, level.upper()), "%s: %s", step, message)


@dataclass(slots=True)
class Services:
    """The engine's side of StepServices for one run of one step.

    Rejects are gathered while a component works and taken by the engine after each batch, so that a component never
    waits for an error edge.
    """

    step_id: str
    job_id: str
    started: datetime
    spool_dir: Path
    counts: StepCounts
    write_log: Log
    dataflow: str = ""
    _rejected: list[tuple[Batch, Sequence[RecordError]]] = field(default_factory=list)
    _texts: list[RejectedText] = field(default_factory=list)
    _left_out: int = 0

    def reject(self, records: Batch, errors: Sequence[RecordError]) -> None:
        """See StepServices."""
        if records.num_rows != len(errors):
            raise ValueError(f"{records.num_rows} rejected records with {len(errors)} errors")
        gathered = _gathered.get()
        if gathered is not None:
            gathered.append((records, errors))
            return
        self.counts.rejected += records.num_rows
        self._rejected.append((records, errors))

    def reject_text(self, text: str, *, file: str, line: int | None, code: str, message: str) -> None:
        """See StepServices."""
        self.counts.rejected += 1
        self._texts.append(RejectedText(text, file, line, RecordError(code, message)))

    def leave_out(self, records: int) -> None:
        """See StepServices."""
        gathered = _gathered_left_out.get()
        if gathered is not None:
            gathered.append(records)
            return
        self.counts.filtered += records
        self._left_out += records

    def log(self, level: Level, message: str) -> None:
        """See StepServices."""
        self.write_log(self.step_id, level, message)

    def progress(self) -> None:
        """See StepServices."""
        self.counts.now(Activity.WORKING)

    @contextmanager
    def gathering(self) -> Iterator[list[tuple[Batch, Sequence[RecordError]]]]:
        """Gather what is rejected within the block apart, uncounted: several calls of a writer may be under way."""
        gathered: list[tuple[Batch, Sequence[RecordError]]] = []
        token = _gathered.set(gathered)
        try:
            yield gathered
        finally:
            _gathered.reset(token)

    @contextmanager
    def gathering_left_out(self) -> Iterator[list[int]]:
        """Gather numbers of records that are left out within the block apart, uncounted; see ``gathering``."""
        gathered: list[int] = []
        token = _gathered_left_out.set(gathered)
        try:
            yield gathered
        finally:
            _gathered_left_out.reset(token)

    def take_left_out(self) -> int:
        """How many records were left out since the last time; they are not to be counted as delivered."""
        left_out, self._left_out = self._left_out, 0
        return left_out

    @property
    def has_rejects(self) -> bool:
        """Whether there is something to take."""
        return bool(self._rejected or self._texts)

    def take_error_batches(self) -> list[Batch]:
        """The rejects so far as records for an error edge; they are the caller's from now on."""
        batches = [with_errors(records, errors) for records, errors in self._rejected]
        if self._texts:
            batches.append(as_records(self._texts))
        self._rejected, self._texts = [], []
        return batches

    def take_rejects(self) -> list[dict[str, Any]]:
        """The rejects so far as objects for the reject store; they are the caller's from now on."""
        found: list[dict[str, Any]] = []
        for records, errors in self._rejected:
            texts = records.json_texts().to_pylist()
            found += [
                {"code": str(error.code), "message": error.message, "record": msgspec.Raw(text.encode())}
                for text, error in zip(texts, errors, strict=True)
            ]
        found += [
            {
                "code": str(piece.error.code),
                "message": piece.error.message,
                "file": piece.file,
                "line": piece.line,
                "text": piece.text,
            }
            for piece in self._texts
        ]
        self._rejected, self._texts = [], []
        return found
