"""Splits of running jobs: independent parts of the input that any worker may take.

Working on a split twice does no harm, so a claim needs no lease: the splits of a dead worker are simply taken again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from landbridge.jobs.db import Transaction, now
from landbridge.jobs.db_jobs import JobStatus
from landbridge.jobs.db_tables import job as jobs, job_split as table, worker as workers_table
from landbridge.jobs.db_workers import WorkerStatus


class SplitState(StrEnum):
    """How far a split is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Claim:
    """A split that a worker has taken; ``attempt`` counts from 1."""

    job_id: str
    number: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the splits of a job are; ``error`` is that of the first one that failed."""

    done: int
    total: int
    error: Mapping[str, Any] | None


def put(tx: Transaction, job_id: str, *, total: int, done: Collection[int]) -> None:
    """Offer the splits of a job. What is known of them from an earlier start stays, but failed ones are tried again.

    Args:
        tx: The transaction.
        job_id: The job, which is running.
        total: How many there are.
        done: Numbers of those whose result is there already.
    """
    known = {row.number: row.state for row in tx.execute(_of(job_id))}
    new = [
        {
            "job_id": job_id,
            "number": number,
            "state": SplitState.DONE if number in done else SplitState.WAITING,
            "attempt": 0,
        }
        for number in range(total)
        if number not in known
    ]
    if new:
        tx.execute(sa.insert(table), new)
    again = [number for number, state in known.items() if state == SplitState.FAILED]
    if again:
        tx.execute(_change(job_id, again).values(state=SplitState.WAITING, attempt=0, error=None))
    if done:
        tx.execute(_change(job_id, done).values(state=SplitState.DONE, error=None))


def offered(tx: Transaction) -> Sequence[tuple[str, str]]:
    """Job and journal of the running jobs that have splits which nobody works on.

    Those come first that the fewest workers work for, and of these the oldest: a large job does not hold up others.
    """
    busy = sa.func.count().filter(table.c.state == SplitState.RUNNING)
    rows = tx.execute(
        sa.select(table.c.job_id, jobs.c.journal)
        .join(jobs, jobs.c.id == table.c.job_id)
        .where(table.c.state.in_((SplitState.WAITING, SplitState.RUNNING)), jobs.c.status == JobStatus.RUNNING)
        .group_by(table.c.job_id, jobs.c.journal, jobs.c.started)
        .having(sa.func.count().filter(table.c.state == SplitState.WAITING) > 0)
        .order_by(busy, jobs.c.started, table.c.job_id)
    )
    return [(row.job_id, row.journal) for row in rows]


def claim(tx: Transaction, job_id: str, *, worker_id: str) -> Claim | None:
    """Take the next split of a job.

    Returns:
        None when there is none left, when the job does not run any more, or when this worker is believed dead.
    """
    # Locked, so that a job cannot end between this look and the claim: nobody would wait for that split.
    runs = sa.select(jobs.c.id).where(jobs.c.id == job_id, jobs.c.status == JobStatus.RUNNING)
    if tx.execute(runs.with_for_update(read=True)).first() is None:
        return None
    # Whoever takes over from a worker releases its splits once: it must not claim any after that.
    is_active = sa.exists().where(workers_table.c.id == worker_id, workers_table.c.status == WorkerStatus.ACTIVE)
    number = tx.execute(
        sa.select(table.c.number)
        .where(table.c.job_id == job_id, table.c.state == SplitState.WAITING, is_active)
        .order_by(table.c.number)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).scalar()
    if number is None:
        return None
    tx.execute(
        _change(job_id, [number]).values(
            state=SplitState.RUNNING, worker_id=worker_id, attempt=table.c.attempt + 1, started=now(tx)
        )
    )
    return Claim(job_id, number, tx.execute(_of(job_id).where(table.c.number == number)).one().attempt)


def end(tx: Transaction, claim: Claim, *, worker_id: str, error: Mapping[str, Any] | None = None) -> None:
    """The split is done, or has failed for good; nothing happens where it is another worker's by now."""
    state = SplitState.DONE if error is None else SplitState.FAILED
    tx.execute(_mine(claim, worker_id).values(state=state, error=dict(error) if error else None, ended=now(tx)))


def give_back(tx: Transaction, claim: Claim, *, worker_id: str) -> None:
    """Let any worker take the split again."""
    tx.execute(_mine(claim, worker_id).values(state=SplitState.WAITING, worker_id=None))


def release(tx: Transaction, worker_id: str) -> None:
    """Let others take what a worker was working on when it ended."""
    tx.execute(
        sa.update(table)
        .where(table.c.worker_id == worker_id, table.c.state == SplitState.RUNNING)
        .values(state=SplitState.WAITING, worker_id=None)
    )


def claims(tx: Transaction, worker_id: str) -> Sequence[Claim]:
    """The splits that a worker has taken and not ended."""
    rows = tx.execute(
        sa.select(table.c.job_id, table.c.number, table.c.attempt).where(
            table.c.state == SplitState.RUNNING, table.c.worker_id == worker_id
        )
    )
    return [Claim(row.job_id, row.number, row.attempt) for row in rows]


def progress(tx: Transaction, job_id: str) -> Progress:
    """How far the splits of a job are."""
    rows = tx.execute(_of(job_id)).all()
    failed = next((row.error for row in rows if row.state == SplitState.FAILED), None)
    return Progress(sum(row.state == SplitState.DONE for row in rows), len(rows), failed)


def workers(tx: Transaction, job_id: str) -> Mapping[str, int]:
    """How many splits of a job each worker has done."""
    rows = tx.execute(
        sa.select(table.c.worker_id, sa.func.count())
        .where(table.c.job_id == job_id, table.c.state == SplitState.DONE, table.c.worker_id.is_not(None))
        .group_by(table.c.worker_id)
    )
    return {str(worker_id): int(count) for worker_id, count in rows}


def running(tx: Transaction, job_id: str) -> Mapping[int, str]:
    """By number, which worker works on a split of a job now."""
    rows = tx.execute(
        sa.select(table.c.number, table.c.worker_id).where(
            table.c.job_id == job_id, table.c.state == SplitState.RUNNING
        )
    )
    return {int(row.number): str(row.worker_id) for row in rows}


def _of(job_id: str) -> sa.Select[Any]:
    return sa.select(table).where(table.c.job_id == job_id).order_by(table.c.number)


def _change(job_id: str, numbers: Collection[int]) -> sa.Update:
    return sa.update(table).where(table.c.job_id == job_id, table.c.number.in_(list(numbers)))


def _mine(claim: Claim, worker_id: str) -> sa.Update:
    return _change(claim.job_id, [claim.number]).where(
        table.c.worker_id == worker_id, table.c.state == SplitState.RUNNING, table.c.attempt == claim.attempt
    )
