"""Rules for alerts, and alerts: what was noticed, and whether it was told."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

import sqlalchemy as sa

from landbridge.errors import FlowError
from landbridge.jobs import db_audit
from landbridge.jobs.db import Transaction, now
from landbridge.jobs.db_jobs import JobRow, JobStatus, listing as jobs_of
from landbridge.jobs.db_tables import alert as table, alert_rule as rules, job, scheduling
from landbridge.jobs.db_types import Instant

Channel = Literal["email", "webhook"]
AlertStatus = Literal["pending", "sending", "sent", "given_up"]


@dataclass(frozen=True, slots=True)
class RuleRow:
    """Whom to tell of what.

    Attributes:
        dataflow_id: Only for this dataflow; None for all.
        kind: How it is told.
        settings: See ``alert_rules.RuleSettings``.
        sealed: The secret that signs messages to a webhook.
    """

    id: str
    dataflow_id: str | None
    kind: Channel
    settings: dict[str, Any]
    sealed: bytes | None = field(repr=False)
    enabled: bool
    created: datetime
    updated: datetime
    updated_by: str


@dataclass(frozen=True, slots=True)
class AlertRow:
    """Something that was noticed for a rule, or for the e-mail addresses of a scheduling.

    Attributes:
        rule_id: None for addresses of a scheduling, which stand in ``details``.
        kind: What was noticed.
        status: Whether it was told.
        occurrences: How often it was noticed until it was over.
        details: Facts for the message.
        closed: When it was over.
        error: Why the last attempt to tell it failed, with its code.
    """

    id: str
    rule_id: str | None
    dataflow_id: str | None
    job_id: str | None
    kind: str
    status: AlertStatus
    message: str
    occurrences: int
    attempts: int
    details: dict[str, Any]
    created: datetime
    updated: datetime
    closed: datetime | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class LateRun:
    """A planned run that has not begun; ``job_id`` is None where nobody asked for its job."""

    scheduling_id: str
    dataflow_id: str
    planned: datetime
    job_id: str | None


def add_rule(
    tx: Transaction,
    *,
    kind: Channel,
    settings: dict[str, Any],
    by: str,
    dataflow_id: str | None = None,
    sealed: bytes | None = None,
) -> RuleRow:
    """Store a rule."""
    moment = now(tx)
    row = RuleRow(
        id=uuid.uuid4().hex[:12],
        dataflow_id=dataflow_id,
        kind=kind,
        settings=settings,
        sealed=sealed,
        enabled=True,
        created=moment,
        updated=moment,
        updated_by=by,
    )
    tx.execute(sa.insert(rules).values({key: getattr(row, key) for key in RuleRow.__slots__}))
    _note(tx, "alert_rule.add", row, by=by)
    return row


def rule(tx: Transaction, id: str) -> RuleRow:
    """A rule.

    Raises:
        FlowError: LB-1742, there is none with this id.
    """
    row = tx.execute(sa.select(rules).where(rules.c.id == id)).one_or_none()
    if row is None:
        raise FlowError("LB-1742", f'there is no rule "{id}" for alerts', hint="`landbridge alerts rules` shows all.")
    return RuleRow(**row._mapping)  # noqa: SLF001 - the public name of a row's columns in SQLAlchemy


def rule_listing(tx: Transaction, *, dataflow_id: str | None = None, limit: int = 1000) -> Sequence[RuleRow]:
    """Rules, the oldest first; with ``dataflow_id`` those that are on and watch this dataflow."""
    wanted = sa.select(rules).order_by(rules.c.created, rules.c.id).limit(limit)
    if dataflow_id is not None:
        watches = sa.or_(rules.c.dataflow_id == dataflow_id, rules.c.dataflow_id.is_(None))
        wanted = wanted.where(rules.c.enabled.is_(True), watches)
    return [RuleRow(**row._mapping) for row in tx.execute(wanted)]  # noqa: SLF001 - see rule


def change_rule(
    tx: Transaction,
    id: str,
    *,
    settings: dict[str, Any],
    enabled: bool,
    by: str,
    dataflow_id: str | None = None,
    sealed: bytes | None = None,
) -> RuleRow:
    """Give a rule other settings.

    Args:
        tx: The transaction.
        id: The rule.
        settings: As ``add_rule`` takes them; they name the same channel.
        enabled: Whether it tells anybody.
        by: Who changes it.
        dataflow_id: Only for this dataflow; None for all.
        sealed: A new secret of its webhook; None keeps the old one.

    Raises:
        FlowError: LB-1742, there is none with this id.
    """
    before = rule(tx, id)
    values = {
        "settings": settings,
        "enabled": enabled,
        "dataflow_id": dataflow_id,
        "sealed": sealed or before.sealed,
        "updated": now(tx),
        "updated_by": by,
    }
    tx.execute(sa.update(rules).where(rules.c.id == id).values(values))
    row = rule(tx, id)
    _note(tx, "alert_rule.change", row, by=by)
    return row


def remove_rule(tx: Transaction, id: str, *, by: str) -> None:
    """Remove a rule and its alerts.

    Raises:
        FlowError: LB-1742, there is none with this id.
    """
    row = rule(tx, id)
    tx.execute(sa.delete(rules).where(rules.c.id == id))
    _note(tx, "alert_rule.remove", row, by=by)


def add(
    tx: Transaction,
    *,
    kind: str,
    message: str,
    details: dict[str, Any],
    rule_id: str | None = None,
    dataflow_id: str | None = None,
    job_id: str | None = None,
    open: bool = True,
) -> AlertRow:
    """Note an alert that is to be told; ``open`` while it is not over."""
    moment = now(tx)
    row = AlertRow(
        id=uuid.uuid4().hex,
        rule_id=rule_id,
        dataflow_id=dataflow_id,
        job_id=job_id,
        kind=kind,
        status="pending",
        message=message,
        occurrences=1,
        attempts=0,
        details=details,
        created=moment,
        updated=moment,
        closed=None if open else moment,
    )
    tx.execute(sa.insert(table).values({key: getattr(row, key) for key in AlertRow.__slots__}))
    return row


def open_alerts(tx: Transaction, rule_id: str, dataflow_id: str) -> Sequence[AlertRow]:
    """The alerts of a rule for a dataflow that are not over."""
    wanted = sa.select(table).where(
        table.c.rule_id == rule_id, table.c.dataflow_id == dataflow_id, table.c.closed.is_(None)
    )
    return [_row(row) for row in tx.execute(wanted.order_by(table.c.created))]


def is_noted(tx: Transaction, rule_id: str, *, kind: str, job_id: str) -> bool:
    """Whether this was noticed of a job before."""
    wanted = sa.select(table.c.id).where(table.c.rule_id == rule_id, table.c.kind == kind, table.c.job_id == job_id)
    return tx.execute(wanted.limit(1)).first() is not None


def again(tx: Transaction, id: str, *, job_id: str | None) -> None:
    """Count one more occurrence of an open alert."""
    tx.execute(sa.update(table).where(table.c.id == id).values(occurrences=table.c.occurrences + 1, job_id=job_id))


def close(tx: Transaction, ids: Collection[str]) -> None:
    """These alerts are over."""
    tx.execute(sa.update(table).where(table.c.id.in_(ids)).values(closed=now(tx)))


def listing(
    tx: Transaction,
    *,
    dataflow_id: str | None = None,
    only_open: bool = False,
    limit: int = 50,
    before: tuple[datetime, str] | None = None,
) -> Sequence[AlertRow]:
    """Alerts, the newest first; ``before`` is when the last one that was listed was noticed, and its id."""
    wanted = sa.select(table).order_by(table.c.created.desc(), table.c.id.desc()).limit(limit)
    if before is not None:
        moment, last = before
        wanted = wanted.where(sa.tuple_(table.c.created, table.c.id) < sa.tuple_(sa.literal(moment, Instant), last))
    if dataflow_id is not None:
        wanted = wanted.where(table.c.dataflow_id == dataflow_id)
    if only_open:
        wanted = wanted.where(table.c.closed.is_(None))
    return [_row(row) for row in tx.execute(wanted)]


# -- for the sender ----------------------------------------------------------------------------------------------------


def is_anything_to_tell(tx: Transaction) -> bool:
    """Whether ``take`` is worth the lock that it needs."""
    wanted = sa.select(table.c.id).where(table.c.status.in_(("pending", "sending"))).limit(1)
    return tx.execute(wanted).first() is not None


def take(tx: Transaction, *, delays: Sequence[timedelta], lease: timedelta, limit: int = 20) -> Sequence[AlertRow]:
    """Take alerts that are to be told now; nobody else gets them until the lease is over.

    Args:
        tx: A transaction that writes.
        delays: How long to wait before each attempt, counted from the one before; there are no more attempts.
        lease: An alert that was taken for so long is free again: who took it has died.
        limit: At most so many.
    """
    moment = now(tx)
    waits = [
        sa.and_(table.c.status == "pending", table.c.attempts == number, table.c.updated <= moment - delay)
        for number, delay in enumerate(delays)
    ]
    lost = sa.and_(table.c.status == "sending", table.c.updated <= moment - lease)
    wanted = sa.select(table).where(sa.or_(*waits, lost)).order_by(table.c.created, table.c.id).limit(limit)
    rows = [_row(row) for row in tx.execute(wanted.with_for_update(skip_locked=True))]
    taken = sa.update(table).where(table.c.id.in_([row.id for row in rows]))
    tx.execute(taken.values(status="sending", attempts=table.c.attempts + 1, updated=moment))
    return rows


def told(tx: Transaction, id: str, *, status: AlertStatus, error: str | None = None) -> None:
    """Note what became of an attempt: ``sent``, or ``pending`` for another one, or ``given_up`` after an error."""
    tx.execute(sa.update(table).where(table.c.id == id).values(status=status, error=error, updated=now(tx)))


def late_runs(tx: Transaction, before: datetime) -> Sequence[LateRun]:
    """Planned runs of before ``before`` that have not begun: their jobs wait, or nobody asked for a job."""
    waiting = sa.select(job.c.scheduling_id, job.c.dataflow_id, job.c.planned, job.c.id.label("job_id")).where(
        job.c.planned < before,
        job.c.started.is_(None),
        job.c.scheduling_id.is_not(None),
        job.c.status.in_((JobStatus.SCHEDULED, JobStatus.QUEUED)),
    )
    unasked = sa.select(
        scheduling.c.id.label("scheduling_id"),
        scheduling.c.dataflow_id,
        scheduling.c.next_start.label("planned"),
        sa.null().label("job_id"),
    ).where(scheduling.c.next_start < before, scheduling.c.enabled.is_(True), scheduling.c.removed.is_(None))
    return [
        LateRun(row.scheduling_id, row.dataflow_id, row.planned, row.job_id)
        for wanted in (waiting, unasked)
        for row in tx.execute(wanted.limit(1000))
    ]


def good_runs(tx: Transaction, like: JobRow, *, limit: int) -> Sequence[JobRow]:
    """The last successful jobs before ``like`` that were asked to read the same."""
    good = jobs_of(
        tx,
        dataflow_id=like.dataflow_id,
        status=(JobStatus.SUCCEEDED, JobStatus.SUCCEEDED_WITH_ERRORS),
        limit=5 * limit,
    )
    same = [
        row
        for row in good
        if row.id != like.id
        and (row.kind, row.scheduling_id) == (like.kind, like.scheduling_id)
        and row.options.limit is None
        and row.options.full_extract is like.options.full_extract
    ]
    return same[:limit]


def _note(tx: Transaction, action: str, row: RuleRow, *, by: str) -> None:
    # Not the settings: they name people's addresses.
    details = {"channel": row.kind, "dataflow": row.dataflow_id}
    db_audit.note(tx, action, actor=by, object_kind="alert_rule", object_id=row.id, details=details)


def _row(row: sa.Row[tuple[object, ...]]) -> AlertRow:
    values: dict[str, Any] = dict(row._mapping)  # noqa: SLF001 - see rule
    values["details"] = values["details"] or {}
    return AlertRow(**values)
