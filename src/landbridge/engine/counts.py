"""What happened at each step: the numbers that decide whether a job has succeeded."""

from __future__ import annotations

from collections.abc import Mapping
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

    @classmethod
    def from_json(cls, shown: Mapping[str, int]) -> StepCounts:
        """The counts that ``as_json`` showed, of a step that has done."""
        counts = cls(activity=Activity.DONE)
        counts.take_over(shown)
        return counts

    def take_over(self, shown: Mapping[str, int]) -> None:
        """Count on from what ``as_json`` showed."""
        self.records_in, self.records_out = shown["in"], shown["out"]
        self.rejected, self.filtered = shown["rejected"], shown["filtered"]
        self.bytes, self.files = shown["bytes"], shown["files"]


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
    """The result of a job.

    Attributes:
        job: The job's id.
        dataflow: Name of the dataflow.
        status: How it ended.
        started: When, in UTC.
        ended: When, in UTC.
        steps: Counts by step.
        files: The files that were published; in a dry run those that would be.
        rejects: Number of records that failed.
        dry_run: Nothing was written.
        error: What ended the job: code, step, message, hint.
        writers: What each writer was about to do, by step: see ``guards.Tally``.
        guards: Guards that tripped: see ``guards.Trip``.
        planned: Of a dry run, what each writer would have done, by step: see ``dry_run.Planned``.
        unsure: Names of files of which it is not known whether they were published.
        written: How many records the record writers have delivered, as `steps` has it of each.
    """

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
    writers: dict[str, dict[str, int]] = field(default_factory=dict)
    guards: tuple[dict[str, Any], ...] = ()
    planned: dict[str, dict[str, int]] = field(default_factory=dict)
    unsure: tuple[str, ...] = ()
    written: int = 0

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
        if self.writers:
            shown["writers"] = self.writers
        if self.guards:
            shown["guards"] = list(self.guards)
        if self.planned:
            shown["planned"] = self.planned
        if self.unsure:
            shown["unsure"] = list(self.unsure)
        if self.error:
            shown["error"] = self.error
        return shown

    @classmethod
    def from_json(cls, shown: Mapping[str, Any]) -> Report:
        """The report that ``as_json`` showed."""
        return cls(
            job=shown["job"],
            dataflow=shown["dataflow"],
            status=Status(shown["status"]),
            started=datetime.fromisoformat(shown["started"]),
            ended=datetime.fromisoformat(shown["ended"]),
            steps={step: StepCounts.from_json(counts) for step, counts in shown["steps"].items()},
            files=tuple(DeliveredFile(file["name"], file["bytes"], file["records"]) for file in shown["files"]),
            rejects=shown["rejects"],
            dry_run=shown.get("dryRun", False),
            error=shown.get("error"),
            writers=shown.get("writers", {}),
            guards=tuple(shown.get("guards", ())),
            planned=shown.get("planned", {}),
            unsure=tuple(shown.get("unsure", ())),
        )
