"""Keeps secrets out of what a job leaves behind: its rejects, its error paths and its report."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Literal

from landbridge.components.base import RecordError, StepServices
from landbridge.engine.counts import Report
from landbridge.engine.redaction import Redaction
from landbridge.engine.rejects import RejectStore
from landbridge.records import Batch


def masked_report(report: Report, redaction: Redaction) -> Report:
    """The report without secrets in messages and names of files."""
    error = report.error and {
        **report.error,
        "message": redaction.masked(report.error["message"] or ""),
        "hint": redaction.masked(report.error["hint"] or "") or None,
    }
    return replace(
        report,
        error=error,
        files=tuple(replace(file, name=redaction.masked(file.name)) for file in report.files),
        guards=tuple({**trip, "message": redaction.masked(str(trip["message"]))} for trip in report.guards),
    )


class MaskedServices:
    """Services of a step whose rejects tell no secret, wherever they go: a script may put one in its error."""

    def __init__(self, services: StepServices, redaction: Redaction) -> None:
        self.step_id = services.step_id
        self.job_id = services.job_id
        self.dataflow = services.dataflow
        self.started = services.started
        self.spool_dir = services.spool_dir
        self._services = services
        self._redaction = redaction

    def reject(self, records: Batch, errors: Sequence[RecordError]) -> None:
        """See StepServices."""
        told = [replace(error, message=self._redaction.masked(error.message)) for error in errors]
        self._services.reject(records, told)

    def reject_text(self, text: str, *, file: str, line: int | None, code: str, message: str) -> None:
        """See StepServices."""
        told = self._redaction.masked(message)
        self._services.reject_text(text, file=file, line=line, code=code, message=told)

    def leave_out(self, records: int) -> None:
        """See StepServices."""
        self._services.leave_out(records)

    def log(self, level: Literal["debug", "info", "warning", "error"], message: str) -> None:
        """See StepServices; the log is masked where it is written."""
        self._services.log(level, message)

    def progress(self) -> None:
        """See StepServices."""
        self._services.progress()


class MaskedRejects:
    """A reject store whose messages tell no secret; those of other processes come here as they are."""

    def __init__(self, store: RejectStore, redaction: Redaction) -> None:
        self._store = store
        self._redaction = redaction

    def add(self, step: str, rejects: Sequence[dict[str, Any]]) -> None:
        """See RejectStore."""
        told = [{**reject, "message": self._redaction.masked(str(reject.get("message", "")))} for reject in rejects]
        self._store.add(step, told)

    def forget(self, steps: Collection[str]) -> None:
        """See RejectStore."""
        self._store.forget(steps)
