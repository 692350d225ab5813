"""Jobs: list, look at, start, stop, repeat, approve."""

from __future__ import annotations

import json
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from fastapi import Query, Response
from pydantic import Field

from landbridge.errors import AccessRefused
from landbridge.jobs import db_approvals, db_audit, db_jobs, db_progress, jobs, placeholder_values
from landbridge.jobs.db import Transaction
from landbridge.jobs.db_jobs import JobRow, JobStatus
from landbridge.jobs.db_progress import TraceLevel, TraceRow
from landbridge.jobs.job_options import MAX_SPLITS, JobKind, JobOptions, LogLevel
from landbridge.jobs.roles import Caller, Role
from landbridge.server.api.access import Operator, Viewer
from landbridge.server.api.etags import Tags
from landbridge.server.api.job_shapes import JobListed, JobShown, listed, shown
from landbridge.server.api.pages import Page, Pages, TimePlace
from landbridge.server.api.place import Here
from landbridge.server.api.routing import Routes
from landbridge.server.api.shapes import Given, Instant, Key, Shown, Text

router = Routes(tag="jobs")

_CONSENT: Final = "consent"
"""The guard that keeps opt-outs."""


class NewJob(Given):
    """A job that is asked for."""

    kind: Annotated[
        Literal["run", "test", "dry_run"],
        Field(description="A test reads ten records; a dry run does everything but the last write."),
    ] = "run"
    version: Annotated[int | None, Field(ge=1, le=2**31 - 1, description="Which version; else the newest.")] = None
    limit: Annotated[int | None, Field(ge=1, le=2**53, description="Read at most so many records.")] = None
    full_extract: Annotated[bool, Field(description="Read all records, not only what changed.")] = False
    since: Annotated[Instant | None, Field(description="Read what changed at or after this instant.")] = None
    log_level: LogLevel = "info"
    time_limit_s: Annotated[float | None, Field(ge=1, le=10**8, description="Stop it after so many seconds.")] = None
    may_overlap: Annotated[bool, Field(description="Run it although another job of the dataflow runs.")] = False
    splits: Annotated[int, Field(ge=0, le=MAX_SPLITS, description="Divide the input into about so many parts.")] = 0
    placeholders: Annotated[dict[str, Text], Field(max_length=1000, description="Values for {{name}}.")] = Field(
        default_factory=dict
    )


class Retry(Given):
    """How a job is repeated."""

    newest: Annotated[bool, Field(description="With the newest version of the dataflow.")] = False
    afresh: Annotated[bool, Field(description="From the beginning, not from where it failed.")] = False


class Decision(Given):
    """What a person says to what guards have stopped."""

    decision: Literal["approve", "refuse"]
    codes: Annotated[
        list[Annotated[str, Field(max_length=255)]],
        Field(max_length=1000, description="What is approved, by its codes; all when it is left out."),
    ] = Field(default_factory=list)


class TraceLine(Shown):
    """A line of the trace."""

    id: int
    at: datetime
    level: TraceLevel
    step: str | None
    message: str
    has_sample: Annotated[bool, Field(description="Whether records are kept with it; see samples.")]


class Sample(Shown):
    """The first records that a step handed on: people's data."""

    id: int
    at: datetime
    step: str | None
    message: str
    records: list[Any]


@router.get("/jobs")
def list_jobs(
    here: Here,
    _: Viewer,
    pages: Pages,
    status: Annotated[
        list[JobStatus] | None, Query(max_length=20, description="Only those in one of these states.")
    ] = None,
    kind: Annotated[list[JobKind] | None, Query(max_length=10, description="Only those of one of these kinds.")] = None,
    dataflow_id: Annotated[str | None, Query(alias="dataflowId", max_length=255)] = None,
    scheduling_id: Annotated[str | None, Query(alias="schedulingId", max_length=255)] = None,
    since: Annotated[Instant | None, Query(description="Only those that were asked for then or later.")] = None,
    until: Annotated[Instant | None, Query(description="Only those that were asked for before.")] = None,
) -> Page[JobListed]:
    """List jobs, the newest first."""
    with here.database.read() as tx:
        rows = db_jobs.listing(
            tx,
            dataflow_id=dataflow_id,
            scheduling_id=scheduling_id,
            status=status or (),
            kind=kind or (),
            since=since,
            until=until,
            before=pages.position(TimePlace),
            limit=pages.limit + 1,
        )
    return pages.page(rows, place=lambda row: (row.created, row.id), shown=listed)


@router.post("/dataflows/{id}/jobs", status_code=HTTPStatus.CREATED)
def start_job(here: Here, caller: Operator, response: Response, id: Key, wanted: NewJob | None = None) -> JobListed:
    """Ask for a job of a dataflow. It begins as soon as a worker is free."""
    wanted = wanted or NewJob()
    options = JobOptions(
        limit=wanted.limit,
        full_extract=wanted.full_extract,
        since=wanted.since,
        log_level=wanted.log_level,
        time_limit_s=wanted.time_limit_s,
        may_overlap=wanted.may_overlap,
        splits=wanted.splits,
        placeholders=tuple(wanted.placeholders),
    )
    sealed = placeholder_values.sealed(here.vault, wanted.placeholders)
    with here.database.write() as tx:
        row = jobs.start(
            tx, id, by=caller.name, kind=wanted.kind, options=options, sealed=sealed, version=wanted.version
        )
    return _created(row, response)


@router.get("/jobs/{id}")
def show_job(here: Here, _: Viewer, tags: Tags, id: Key) -> JobShown:
    """Show a job with its steps, edges, files, and what guards ask."""
    with here.database.read() as tx:
        return tags.shown(0, whole(tx, db_jobs.get(tx, id)))


@router.post("/jobs/{id}/cancel")
def cancel_job(here: Here, caller: Operator, id: Key) -> JobListed:
    """Stop a job: at once when it waits, soon when it runs."""
    with here.database.write() as tx:
        return listed(jobs.cancel(tx, id, by=caller.name))


@router.post("/jobs/{id}/retry", status_code=HTTPStatus.CREATED)
def retry_job(here: Here, caller: Operator, response: Response, id: Key, wanted: Retry | None = None) -> JobListed:
    """Run a job once more, as a job of its own. One that failed within a day goes on where it failed."""
    wanted = wanted or Retry()
    with here.database.write() as tx:
        row = jobs.retry(tx, id, by=caller.name, newest=wanted.newest, afresh=wanted.afresh)
    return _created(row, response)


@router.post("/jobs/{id}/decision")
def decide(here: Here, caller: Operator, id: Key, wanted: Decision) -> JobListed:
    """Approve once what guards have stopped, and let the job go on; or end it. Consent is for admins to approve."""
    with here.database.write() as tx:
        if wanted.decision == "refuse":
            return listed(db_approvals.refuse(tx, id, by=caller.name))
        codes = _approvable(tx, id, wanted.codes, caller)
        return listed(db_approvals.approve(tx, id, codes=codes, by=caller.name))


@router.get("/jobs/{id}/trace")
def list_trace(here: Here, _: Viewer, pages: Pages, id: Key) -> Page[TraceLine]:
    """List the lines of the trace of a job, the oldest first, without records."""
    with here.database.read() as tx:
        job = db_jobs.get(tx, id)
        rows = db_progress.trace_of(tx, job.id, after=pages.position(int) or 0, limit=pages.limit + 1)
    return pages.page(rows, place=lambda row: row.id, shown=trace_line)


@router.get("/jobs/{id}/samples")
def list_samples(here: Here, caller: Operator, pages: Pages, id: Key) -> Page[Sample]:
    """List the records that a job at level debug has kept: up to three of each step. Noted in the audit trail."""
    with here.database.write() as tx:
        job = db_jobs.get(tx, id)
        rows = db_progress.trace_of(
            tx, job.id, after=pages.position(int) or 0, limit=pages.limit + 1, only_samples=True
        )
        db_audit.note(tx, "job.samples", actor=caller.name, object_kind="job", object_id=job.id)

    def sample(row: TraceRow) -> Sample:
        records = json.loads(here.vault.unseal(row.sealed)) if row.sealed else []
        return Sample(id=row.id, at=row.at, step=row.step, message=row.message, records=records)

    return pages.page(rows, place=lambda row: row.id, shown=sample)


def whole(tx: Transaction, row: JobRow) -> JobShown:
    """A job with everything that is known of it."""
    return shown(
        row,
        steps=db_progress.steps_of(tx, row.id),
        edges=db_progress.edges_of(tx, row.id),
        files=db_progress.files_of(tx, row.id),
        approvals=db_approvals.of_job(tx, row.id),
    )


def trace_line(row: TraceRow) -> TraceLine:
    """A line of the trace as clients see it."""
    return TraceLine(
        id=row.id, at=row.at, level=row.level, step=row.step, message=row.message, has_sample=row.sealed is not None
    )


def _approvable(tx: Transaction, job_id: str, codes: list[str], caller: Caller) -> list[str]:
    """The codes that are approved; consent is no operator's to give."""
    db_jobs.get(tx, job_id)
    wanted = [
        asked for asked in db_approvals.of_job(tx, job_id) if not asked.decision and (not codes or asked.code in codes)
    ]
    consent = any((asked.details or {}).get("guard") == _CONSENT for asked in wanted)
    if consent and not caller.role.may(Role.ADMIN):
        raise AccessRefused("LB-8002", "to approve that opt-outs are undone needs the role admin", hint="Ask an admin.")
    return codes or [asked.code for asked in wanted]


def _created(row: JobRow, response: Response) -> JobListed:
    response.headers["Location"] = f"/api/v1/jobs/{row.id}"
    return listed(row)
