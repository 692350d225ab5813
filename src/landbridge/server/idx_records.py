"""Dataflows, schedulings, jobs and components as ``idx.*`` shows them. Keys without data are left out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from landbridge.components import registry
from landbridge.jobs.db_dataflows import DataflowRow, VersionRow
from landbridge.jobs.db_idx import JobView
from landbridge.jobs.db_jobs import ENDED, JobStatus
from landbridge.jobs.db_progress import FileRow, TraceRow
from landbridge.jobs.db_schedules import SchedulingRow
from landbridge.server.idx_sites import Site

Record = dict[str, Any]

OWNED_BY_SERVICE: Final = frozenset(
    [
        "id",
        "apikey",
        "siteid",
        "status",
        "version",
        "createtime",
        "updatetime",
        "updatedbyname",
        "updatedbyemail",
        "lastruntime",
    ]
)
"""Keys of a dataflow that clients send back and that count for nothing, in small letters."""

OWNED_BY_SCHEDULER: Final = frozenset(
    [
        "id",
        "dataflowid",
        "apikey",
        "siteid",
        "jobid",
        "schedulingstatus",
        "currentjobstarttime",
        "createtime",
        "updatetime",
    ]
)
"""The same for a scheduling."""

TRACE_LINES: Final = 200
"""Lines of a job's trace that a search shows."""

_STATUS: Final = {
    JobStatus.SCHEDULED: "pending",
    JobStatus.QUEUED: "pending",
    JobStatus.CANCELLED: "stopped",
}


def dataflow_record(site: Site, row: DataflowRow, version: VersionRow) -> Record:
    """A dataflow, secrets masked, as it was in ``version``."""
    newest = version.version == row.version
    own = {
        "apiKey": site.api_key,
        "siteId": site.site_id,
        "id": row.id,
        "name": version.name,
        "status": row.kind,
        "version": version.version,
        "createTime": written(row.created),
        "updateTime": written(version.created),
        "updatedByName": version.created_by,
        "lastRuntime": written(row.last_runtime) if newest else None,
        "draftOf": row.draft_of,
    }
    document = {
        key: value for key, value in json.loads(version.document).items() if key.lower() not in OWNED_BY_SERVICE
    }
    return _with_data(document | own)


def scheduling_record(
    site: Site, row: SchedulingRow, *, job_status: str | None = None, job_started: datetime | None = None
) -> Record:
    """A scheduling with what became of it."""
    scheduling = row.scheduling
    busy = job_status is not None and job_status not in ENDED
    done = row.next_start is None and job_status in (JobStatus.SUCCEEDED, JobStatus.SUCCEEDED_WITH_ERRORS)
    own = {
        "siteId": site.site_id,
        "id": row.id,
        "dataflowId": row.dataflow_id,
        "frequencyType": scheduling.frequency_type,
        "logLevel": scheduling.log_level,
        "enabled": row.enabled,
        "nextJobStartTime": written(row.next_start or scheduling.next_job_start_time),
        "currentJobStartTime": written(job_started) if busy else None,
        "jobId": row.job_id,
        "schedulingStatus": "busy" if busy else "succeeded" if done else "ready",
        "createTime": written(row.created),
        "updateTime": written(row.updated),
    }
    document = {key: value for key, value in json.loads(row.document).items() if key.lower() not in OWNED_BY_SCHEDULER}
    return _with_data(document | own)


def job_record(site: Site, job: JobView) -> Record:
    """A job, as a row of ``idx_job_status`` without its trace."""
    scheduling = json.loads(job.scheduling) if job.scheduling else {}
    return _with_data(
        {
            "id": job.id,
            "dataflowId": job.dataflow_id,
            "dataflowName": job.dataflow_name,
            "dataflowVersion": job.dataflow_version,
            "schedulingId": job.scheduling_id,
            "siteId": site.site_id,
            "hostName": job.host or None,
            "createTime": written(job.created),
            "startTime": written(job.started),
            "endTime": written(job.ended),
            "updateTime": written(job.updated),
            "frequencyType": scheduling.get("frequencyType"),
            "successEmailNotification": scheduling.get("successEmailNotification"),
            "failureEmailNotification": scheduling.get("failureEmailNotification"),
            "processedRecords": job.records_in,
            "deliveredRecords": job.records_out,
            "rejectedRecords": job.rejected,
            "attemptNumber": job.attempt,
            "status": _STATUS.get(JobStatus(job.status), job.status),
        }
    )


def trace_of_job(job: JobView, files: Sequence[FileRow], lines: Sequence[TraceRow]) -> list[str]:
    """A job's trace as lines of text.

    Known clients read the name of the written file from the line with the index 3, behind the word ``file``; so three
    lines about the job come first, and its files follow them.
    """
    began = written(job.started or job.created) or ""
    head = [
        f"{began} INFO job {job.id}",
        f'{began} INFO dataflow "{job.dataflow_name}", version {job.dataflow_version}',
        f"{began} INFO read {job.records_in}, delivered {job.records_out}, rejected {job.rejected} records",
    ]
    head += [f"{written(job.ended or job.updated)} INFO delivered file {file.name}" for file in files]
    return [*head, *_trace_lines(lines), *_failure(job)][:TRACE_LINES]


def component_records() -> Iterator[Record]:
    """The components that are installed, as rows of ``script``."""
    for component_id in registry.ids():
        component = registry.get(component_id)
        yield {
            "id": component_id,
            "title": component.spec.title,
            "description": component.spec.doc,
            "input": component.inputs,
            "output": component.outputs,
        }


def written(moment: datetime | None) -> str | None:
    """An instant as the API writes it: UTC with milliseconds and ``Z``."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _trace_lines(lines: Iterable[TraceRow]) -> Iterator[str]:
    for line in lines:
        step = f"{line.step}: " if line.step else ""
        yield f"{written(line.at)} {line.level.upper()} {step}{line.message}"


def _failure(job: JobView) -> Iterator[str]:
    if job.error:
        yield f"{written(job.ended or job.updated)} ERROR {job.error.get('message')}  [{job.error.get('code')}]"


def _with_data(record: Record) -> Record:
    return {key: value for key, value in record.items() if value is not None and value != ""}
