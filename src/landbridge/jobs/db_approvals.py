"""Approvals: what guards have stopped waits here for a person.

An approval is good for one job and the very counts that were seen.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from landbridge.errors import FlowError
from landbridge.jobs import db_audit, db_jobs, db_progress, db_totals
from landbridge.jobs.db import Transaction, changed, now
from landbridge.jobs.db_jobs import JobRow, JobStatus
from landbridge.jobs.db_progress import KEPT_LEVELS, TraceRow
from landbridge.jobs.db_tables import approval as table, job as jobs

_DECISIONS: Final = {"job.approve": "approved", "job.refuse": "refused"}

_LOOK_BACK: Final = 100
"""Newer jobs that are looked at for one that has read everything."""


@dataclass(frozen=True, slots=True)
class ApprovalRow:
    """What one guard saw at one writer.

    Attributes:
        code: Stands for the guard, the step and the counts.
        details: The guard's name and what it counted.
        decision: ``approved``, ``refused``, or empty while nobody has decided.
    """

    job_id: str
    code: str
    step: str
    message: str
    details: Mapping[str, Any] | None
    asked: datetime
    answered: datetime | None
    answered_by: str
    decision: str


def ask(tx: Transaction, job_id: str, guards: Sequence[Mapping[str, Any]]) -> None:
    """Ask for what the engine's report lists under ``guards``; earlier questions about the job are void."""
    tx.execute(sa.delete(table).where(table.c.job_id == job_id, table.c.answered.is_(None)))
    asked = now(tx)
    for guard in guards:
        tx.execute(sa.delete(table).where(table.c.job_id == job_id, table.c.code == guard["approval"]))
        tx.execute(
            sa.insert(table).values(
                job_id=job_id,
                code=guard["approval"],
                step=guard["step"],
                message=guard["message"],
                details={"guard": guard["guard"], "code": guard["code"], "counts": guard["counts"]},
                asked=asked,
            )
        )


def of_job(tx: Transaction, job_id: str) -> Sequence[ApprovalRow]:
    """What was asked about a job."""
    wanted = sa.select(table).where(table.c.job_id == job_id).order_by(table.c.asked, table.c.code)
    return [ApprovalRow(**row) for row in tx.execute(wanted).mappings()]


def approve(tx: Transaction, job_id: str, *, codes: Collection[str] = (), by: str) -> JobRow:
    """Let a job go on: all that was asked about it, or what ``codes`` name, is approved.

    The job runs again from its journal; a guard that was not approved, or sees other counts now, stops it again.

    Raises:
        FlowError: LB-1705, there is no such job; LB-1706, it waits for no approval; LB-1707, nobody asked for a code;
            LB-1711, a newer job of the dataflow has succeeded meanwhile.
    """
    row = _waiting(tx, job_id)
    _check_newest(tx, row)
    waiting = {asked.code: asked for asked in of_job(tx, job_id) if not asked.decision}
    open_codes = waiting.keys()
    unknown = sorted(set(codes) - open_codes)
    if unknown:
        raise FlowError(
            "LB-1707",
            f'the job "{job_id}" does not ask to approve {", ".join(unknown)}',
            hint=f"It asks for {', '.join(sorted(open_codes))}.",
        )
    given = sorted(codes or open_codes)
    moment = now(tx)
    tx.execute(
        sa.update(table)
        .where(table.c.job_id == job_id, table.c.code.in_(given))
        .values(answered=moment, answered_by=by, decision="approved")
    )
    _note(tx, "job.approve", job_id, [waiting[code] for code in given], by=by)
    options = {**row.options.as_json(), "approvals": sorted({*row.options.approvals, *given})}
    _change(
        tx, job_id, status=JobStatus.QUEUED, options=options, turn=jobs.c.turn + 1, admitted=None, handed_over=False
    )
    return db_jobs.get(tx, job_id)


def _note(tx: Transaction, action: str, job_id: str, asked: Sequence[ApprovalRow], *, by: str) -> None:
    """What somebody has decided, with the figures that they saw."""
    details = {"asked": [{"approval": each.code, "step": each.step, **(each.details or {})} for each in asked]}
    db_audit.note(tx, action, actor=by, object_kind="job", object_id=job_id, details=details)
    if "info" in KEPT_LEVELS[db_jobs.get(tx, job_id).options.log_level]:
        word, moment = _DECISIONS[action], now(tx)
        lines = [TraceRow(moment, "info", f"{by} has {word}: {each.message}", each.step) for each in asked]
        db_progress.add_trace(tx, job_id, lines)


def _check_newest(tx: Transaction, row: JobRow) -> None:
    """Refuse to go on with what a newer job has overtaken: its records and its figures are of an earlier day.

    What a replay writes has no other job to carry it, so it may go on.
    """
    if row.kind != "run" or row.started is None:
        return
    good = tx.execute(
        sa.select(jobs.c.id, jobs.c.options)
        .where(
            jobs.c.dataflow_id == row.dataflow_id,
            jobs.c.kind == "run",
            jobs.c.status.in_((JobStatus.SUCCEEDED, JobStatus.SUCCEEDED_WITH_ERRORS)),
            jobs.c.started > row.started,
        )
        .order_by(jobs.c.started.desc())
        .limit(_LOOK_BACK)
    )
    newer = next((found.id for found in good if found.options.get("limit") is None), None)
    if newer is not None:
        raise FlowError(
            "LB-1711",
            f'after the job "{row.id}", which a guard has stopped, a newer one of the dataflow has succeeded: {newer}',
            hint="What this one has read is out of date. Refuse it (landbridge jobs approve --refuse); the next run "
            "is looked at anew.",
        )


def refuse(tx: Transaction, job_id: str, *, by: str) -> JobRow:
    """End a job that waits for an approval.

    Raises:
        FlowError: LB-1705, there is no such job; LB-1706, it waits for no approval.
    """
    _waiting(tx, job_id)
    refused = [asked for asked in of_job(tx, job_id) if not asked.decision]
    moment = now(tx)
    tx.execute(
        sa.update(table)
        .where(table.c.job_id == job_id, table.c.answered.is_(None))
        .values(answered=moment, answered_by=by, decision="refused")
    )
    _note(tx, "job.refuse", job_id, refused, by=by)
    _change(tx, job_id, status=JobStatus.FAILED, reason="guard", ended=moment)
    db_totals.count(tx, job_id)
    return db_jobs.get(tx, job_id)


def _waiting(tx: Transaction, job_id: str) -> JobRow:
    row = db_jobs.get(tx, job_id)
    if row.status is not JobStatus.WAITING_FOR_APPROVAL:
        raise FlowError("LB-1706", f'the job "{job_id}" waits for no approval: {row.status}')
    return row


def _change(tx: Transaction, job_id: str, **values: Any) -> None:
    tx.execute(sa.update(jobs).where(jobs.c.id == job_id).values(updated=now(tx), **values))
    changed(tx, db_jobs.AREA)
