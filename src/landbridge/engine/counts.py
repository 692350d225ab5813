"""What happened at each step: the numbers that decide whether a job has succeeded."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from time import monotonic
from typing import Any


class Activity(StrEnum):
    """What a step is doing; a step that only waits for its neighbours is not stalled."""

    WAITING = "waiting"
    WORKING = "working"
    DONE = "done"


@dataclass(slots=True)
class StepCounts:
    """Counts of one step, live while the job runs.

    Attributes:
        records_in: Records received; for files, those that the files are known to hold.
        records_out: Records handed on or delivered.
        rejected: Records that failed here.
        filtered: Records that the step left out on purpose.
        bytes: Size of the files that were read, made or delivered, in bytes.
        files: Number of such files.
    """

    records_in: int = 0
    records_out: int = 0
    rejected: int = 0
    filtered: int = 0
    bytes: int = 0
    files: int = 0
    activity: Activity = Activity.WAITING
    since: float = field(default_factory=monotonic)

    def now(self, activity: Activity) -> None:
        """Note what the step is doing from now on."""
        self.activity = activity
        self.since = monotonic()

    def as_json(self) -> dict[str, int]:
        """As the report shows it."""
        return {
            "in": self.records_in,
            "out": self.records_out,
            "rejected": self.rejected,
            "filtered": self.filtered,
            "bytes": self.bytes,
            "files": self.files,
        }


@dataclass(frozen=True, slots=True)
class DeliveredFile:
    """A file that was published. ``records`` is None where it is not known."""

    name: str
    bytes: int
    records: int | None


class Status(StrEnum):
    """How a job ended."""

    SUCCEEDED = "succeeded"
    SUCCEEDED_WITH_ERRORS = "succeeded_with_errors"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a job."""

    job: str
    dataflow: str
    status: Status
    started: datetime
    ended: datetime
    steps: dict[str, StepCounts]
    files: tuple[DeliveredFile, ...]
    rejects: int
    dry_run: bool = False
    error: dict[str, str | None] | None = None

    def as_json(self) -> dict[str, Any]:
        """The report as ``--report`` writes it; instants are ISO 8601 in UTC."""
        shown: dict[str, Any] = {
            "job": self.job,
            "dataflow": self.dataflow,
            "status": str(self.status),
            "started": self.started.isoformat(),
            "ended": self.ended.isoformat(),
            "steps": {step: counts.as_json() for step, counts in self.steps.items()},
            "files": [{"name": file.name, "bytes": file.bytes, "records": file.records} for file in self.files],
            "rejects": self.rejects,
        }
        if self.dry_run:
            shown["dryRun"] = True
        if self.error:
            shown["error"] = self.error
        return shown
