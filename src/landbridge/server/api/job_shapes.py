"""Jobs as clients see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from landbridge.jobs.db_approvals import ApprovalRow
from landbridge.jobs.db_jobs import JobRow, JobStatus
from landbridge.jobs.db_progress import EdgeRow, FileRow, StepRow
from landbridge.jobs.job_options import JobKind, JobOptions, LogLevel
from landbridge.server.api.shapes import JsonObject, Shown


class JobFailure(Shown):
    """What ended a job."""

    code: str
    step: str | None = None
    message: str
    hint: str | None = None


class JobListed(Shown):
    """A job as it is listed."""

    id: str
    kind: JobKind
    dataflow_id: str
    dataflow_version: Annotated[int, Field(description="The version that runs.")]
    dataflow_name: str
    scheduling_id: str | None
    planned: Annotated[datetime | None, Field(description="When its scheduling wanted it to start.")]
    started_by: Annotated[str, Field(description="Who or what asked for it.")]
    status: JobStatus
    reason: Annotated[str, Field(description="Why it ended so, in a word: stalled, time_limit, guard, died; or empty.")]
    attempt: Annotated[int, Field(description="1, and one more for each retry of the whole job.")]
    retry_of: str | None
    starts: Annotated[int, Field(description="How often its work was begun: more than 1 after a crash.")]
    host: Annotated[str, Field(description="The machine on which it was begun last.")]
    created: datetime
    started: datetime | None
    ended: datetime | None
    updated: datetime
    cancel_asked: datetime | None
    cancel_by: str
    records_in: int
    records_out: int
    rejected: int
    bytes: Annotated[int, Field(description="Bytes delivered.")]
    error: JobFailure | None


class OptionsShown(Shown):
    """How a job runs."""

    limit: int | None
    full_extract: bool
    since: Annotated[datetime | None, Field(description="It reads what changed at or after this instant.")]
    log_level: LogLevel
    time_limit_s: float | None
    stall_timeout_s: float | None
    may_overlap: bool
    splits: int
    placeholders: Annotated[list[str], Field(description="The names of those that were filled; values may be secret.")]


class StepShown(Shown):
    """Counts of one step."""

    step: str
    component: str
    activity: str
    records_in: int
    records_out: int
    rejected: int
    filtered: int
    bytes: int
    files: int
    started: datetime | None
    ended: datetime | None


class EdgeShown(Shown):
    """What passed from one step to another."""

    source: str
    target: str
    kind: str
    records: int
    bytes: int


class FileShown(Shown):
    """A file that was delivered."""

    number: int
    name: str
    bytes: int
    records: Annotated[int | None, Field(description="Null where it is not known.")]


class ApprovalShown(Shown):
    """What a guard asks to approve."""

    code: Annotated[str, Field(description="Stands for the guard, the step and the counts.")]
    step: str
    message: str
    details: JsonObject | None
    asked: datetime
    answered: datetime | None
    answered_by: str
    decision: Annotated[str, Field(description="approved, refused, or empty while nobody has decided.")]


class JobShown(JobListed):
    """A job with everything that is known of it."""

    options: OptionsShown
    steps: list[StepShown]
    edges: list[EdgeShown]
    files: list[FileShown]
    approvals: list[ApprovalShown]
    result: Annotated[
        JsonObject | None, Field(description="What writers did or would have done, and guards that tripped.")
    ]


def listed(row: JobRow) -> JobListed:
    """A job as it is listed."""
    return JobListed.model_validate(_values(row))


def shown(
    row: JobRow,
    *,
    steps: Sequence[StepRow],
    edges: Sequence[EdgeRow],
    files: Sequence[FileRow],
    approvals: Sequence[ApprovalRow],
) -> JobShown:
    """A job with everything."""
    more = {
        "options": options_shown(row.options),
        "steps": [StepShown.model_validate(each) for each in steps],
        "edges": [EdgeShown.model_validate(each) for each in edges],
        "files": [FileShown.model_validate(each) for each in files],
        "approvals": [ApprovalShown.model_validate(each) for each in approvals],
        "result": row.result,
    }
    return JobShown.model_validate({**_values(row), **more})


def options_shown(options: JobOptions) -> OptionsShown:
    """How a job runs, without values that may be secret."""
    values = {name: getattr(options, name) for name in OptionsShown.model_fields}
    return OptionsShown.model_validate({**values, "placeholders": sorted(options.placeholders)})


def _values(row: JobRow) -> Mapping[str, Any]:
    return {name: getattr(row, name) for name in JobListed.model_fields}
