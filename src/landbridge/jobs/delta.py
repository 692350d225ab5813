"""What a job reads: all, or what changed since the last one that succeeded; and how the mark moves.

The mark of a dataflow is the start of its last successful job minus an overlap. It moves in the transaction that
records the success, by compare-and-set: when a person, or another job, changed it since the job began, it stays. Test
runs, limited runs, dry runs and replays never move it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from landbridge.errors import LandbridgeError
from landbridge.jobs import db_dataflows, db_delta, db_schedules
from landbridge.jobs.clock import latest
from landbridge.jobs.db import Transaction
from landbridge.jobs.db_delta import MarkRow
from landbridge.jobs.db_jobs import Ending, JobRow, JobStatus
from landbridge.jobs.delta_files import FILES_KEY, FileMemory
from landbridge.jobs.timetable import Schedule

OVERLAP: Final = timedelta(minutes=1)
"""How far a mark lies before the start of its job. The vendor's guide says that changed accounts show up in a search
up to 30 seconds late."""

FIRST_ONCE: Final = timedelta(hours=24)
"""What the first job of a dataflow reads when it is not repeated; the vendor's page says the last 24 hours."""

_LOOK_BACK: Final = timedelta(days=800)
_PERIODS: Final = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "month": timedelta(days=31),
}


def prepare(tx: Transaction, job: JobRow) -> JobRow:
    """Decide what a job reads, when it begins for the first time; later beginnings read the same.

    Returns:
        The job with ``since`` and ``mark_revision`` in its options.
    """
    if job.options.mark_revision is not None or job.kind == "replay":
        return job
    mark = db_delta.get(tx, job.dataflow_id)
    since, first = job.options.since, False
    if since is None and not job.options.full_extract:
        first = mark.mark is None
        since = mark.mark or first_since(tx, job)
    options = replace(job.options, since=since, first=first, mark_revision=mark.revision)
    db_delta.keep_options(tx, job.id, options.as_json())
    return replace(job, options=options)


def reading(job: JobRow) -> str:
    """What a job that has begun reads, in one line for people; empty before."""
    options = job.options
    if job.kind == "replay":
        return "reads rejected records again"
    if options.mark_revision is None:
        return ""
    most = f", at most {options.limit:,}" if options.limit else ""
    if options.since is None:
        return f"reads all records{most}"
    first = " (first run: one period back; --full reads all records)" if options.first else ""
    return f"reads what changed since {options.since:%Y-%m-%d %H:%M:%S} UTC{most}{first}"


def seen_files(tx: Transaction, job: JobRow) -> dict[str, Any]:
    """What earlier jobs have read of files, as JSON; before the first one what its ``since`` says."""
    mark = db_delta.get(tx, job.dataflow_id)
    if mark.files is not None:
        return mark.files
    return FileMemory(job.options.since or _begun(job) - FIRST_ONCE).as_json()


def job_ended(tx: Transaction, job: JobRow, ending: Ending, result: dict[str, Any]) -> None:
    """Move the mark when a job has succeeded; an ``AfterJob``."""
    if ending.status not in (JobStatus.SUCCEEDED, JobStatus.SUCCEEDED_WITH_ERRORS):
        return
    if not moves_mark(job):
        return
    begun = _begun(job)
    db_dataflows.succeeded(tx, job.dataflow_id, started=begun)
    before = db_delta.get(tx, job.dataflow_id)
    if before.revision != job.options.mark_revision:
        return
    later = begun - OVERLAP
    if before.mark is not None and before.mark > later:
        later = before.mark
    files = result.get(FILES_KEY) or before.files
    db_delta.move(tx, before, mark=later, files=files, by=f"job {job.id}", job_id=job.id)


def moves_mark(job: JobRow) -> bool:
    """Whether the success of a job means that everything up to its start was delivered."""
    return job.kind == "run" and job.options.limit is None


def first_since(tx: Transaction, job: JobRow) -> datetime:
    """What the first job of a dataflow reads: one period back where it is repeated, as the vendor's page says."""
    begun = _begun(job)
    if job.scheduling_id is None or job.planned is None:
        return begun - FIRST_ONCE
    try:
        schedule = db_schedules.get(tx, job.scheduling_id).schedule
    except LandbridgeError:
        return begun - FIRST_ONCE  # it was removed meanwhile
    return begun - _period(schedule, job.planned)


def set_mark(tx: Transaction, dataflow_id: str, moment: datetime, *, by: str) -> MarkRow:
    """Set the mark: the next job reads what changed at or after ``moment``, and files of that time again.

    Raises:
        FlowError: LB-1731, it was changed at the same moment.
    """
    return db_delta.edit(tx, dataflow_id, mark=moment, files=FileMemory(moment).as_json(), by=by)


def reset(tx: Transaction, dataflow_id: str, *, by: str) -> MarkRow:
    """Forget the mark: the next job is like the first one.

    Raises:
        FlowError: LB-1731, it was changed at the same moment.
    """
    return db_delta.edit(tx, dataflow_id, mark=None, files=None, by=by)


def _period(schedule: Schedule, planned: datetime) -> timedelta:
    timetable = schedule.timetable
    if schedule.keep_updated is not None:
        return FIRST_ONCE
    if timetable.cron:
        earlier = replace(timetable, start=planned - _LOOK_BACK)
        before = latest(earlier, planned - _LOOK_BACK, planned - timedelta(seconds=1), count=1)
        return planned - before[0] if before else FIRST_ONCE
    if timetable.frequency == "once":
        return FIRST_ONCE
    return _PERIODS[timetable.frequency] * timetable.interval


def _begun(job: JobRow) -> datetime:
    return (job.started or job.created).astimezone(UTC)
