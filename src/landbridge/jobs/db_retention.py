"""What is forgotten, and when. Each function removes a part of what is old, so that no transaction takes long."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from landbridge.jobs.db import Transaction
from landbridge.jobs.db_jobs import ENDED, JobStatus
from landbridge.jobs.db_splits import SplitState
from landbridge.jobs.db_tables import audit, dataflow, job, job_split, job_trace, reject, scheduling, token, worker
from landbridge.jobs.db_workers import WorkerStatus

PART = 500
"""Rows of one part."""


def old_jobs(tx: Transaction, before: datetime, *, keep_last: int) -> Sequence[tuple[str, int, str]]:
    """Id, turn and journal of jobs that ended before an instant, but never the last ones of a dataflow.

    Args:
        tx: The transaction.
        before: What ended earlier is old.
        keep_last: How many jobs of each dataflow stay however old they are, and how many that succeeded.
    """

    def nth(*conditions: sa.ColumnElement[bool]) -> sa.Subquery:
        place = sa.func.row_number().over(partition_by=job.c.dataflow_id, order_by=job.c.created.desc())
        return sa.select(job.c.id, place.label("place")).where(*conditions).subquery()

    last, good = nth(), nth(job.c.status.in_((JobStatus.SUCCEEDED, JobStatus.SUCCEEDED_WITH_ERRORS)))
    stays = sa.union(
        sa.select(last.c.id).where(last.c.place <= keep_last), sa.select(good.c.id).where(good.c.place <= keep_last)
    )
    wanted = sa.select(job.c.id, job.c.turn, job.c.journal).where(
        job.c.status.in_(ENDED), job.c.ended < before, job.c.id.not_in(stays)
    )
    return [(row.id, row.turn, row.journal) for row in tx.execute(wanted.order_by(job.c.ended).limit(PART))]


def remove_jobs(tx: Transaction, ids: Sequence[str]) -> None:
    """Remove jobs with their counts, files, traces, rejects and approvals."""
    tx.execute(sa.delete(job).where(job.c.id.in_(ids)))


def remove_samples(tx: Transaction, before: datetime) -> int:
    """Remove records from traces; the lines stay."""
    old = sa.select(job_trace.c.id).where(job_trace.c.at < before, job_trace.c.sealed.is_not(None)).limit(PART)
    return tx.execute(
        sa.update(job_trace).where(job_trace.c.id.in_(old.scalar_subquery())).values(sealed=None)
    ).rowcount


def remove_traces(tx: Transaction, before: datetime) -> int:
    """Remove lines of traces."""
    return _remove(tx, job_trace, job_trace.c.id, job_trace.c.at < before)


def remove_rejects(tx: Transaction, before: datetime) -> int:
    """Remove records that failed."""
    return _remove(tx, reject, reject.c.id, reject.c.created < before)


def remove_audit(tx: Transaction, before: datetime) -> int:
    """Remove lines of the audit trail."""
    return _remove(tx, audit, audit.c.id, audit.c.at < before)


def remove_tokens(tx: Transaction, before: datetime) -> int:
    """Remove tokens and sessions that were over before an instant."""
    return _remove(tx, token, token.c.id, sa.or_(token.c.expires < before, token.c.revoked < before))


def remove_workers(tx: Transaction, before: datetime) -> int:
    """Remove workers of which nothing is left."""
    return _remove(tx, worker, worker.c.id, worker.c.heartbeat < before, worker.c.status == WorkerStatus.GONE)


def remove_dataflows(tx: Transaction, before: datetime) -> int:
    """Remove dataflows, with all their versions, that a person removed and no job refers to any more."""
    used = sa.select(job.c.dataflow_id).union(sa.select(scheduling.c.dataflow_id).where(scheduling.c.removed.is_(None)))
    return _remove(tx, dataflow, dataflow.c.id, dataflow.c.removed < before, dataflow.c.id.not_in(used))


def unfinished_journals(tx: Transaction, names: Sequence[str], *, failed_after: datetime) -> set[str]:
    """Which of these journals a job needs: one that has not ended, has parts at work, or failed after an instant."""
    wanted = sa.select(job.c.journal).where(
        job.c.journal.in_(names),
        sa.or_(
            job.c.status.not_in(ENDED),
            sa.exists().where(job_split.c.job_id == job.c.id, job_split.c.state == SplitState.RUNNING),
            sa.and_(job.c.status == JobStatus.FAILED, job.c.ended >= failed_after),
        ),
    )
    return set(tx.execute(wanted).scalars())


def _remove(
    tx: Transaction, table: sa.Table, key: sa.Column[str] | sa.Column[int], *old: sa.ColumnElement[bool]
) -> int:
    part = sa.select(key).where(*old).limit(PART)
    return tx.execute(sa.delete(table).where(key.in_(part.scalar_subquery()))).rowcount
