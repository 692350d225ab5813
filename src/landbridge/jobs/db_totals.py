"""Sums over jobs, for those who watch the service from outside.

They are kept in the transaction that ends a job and never grow smaller, whatever retention forgets. They are of the
database: several services on one tell the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from landbridge.jobs.db import AlreadyThere, Transaction, insert_new, now
from landbridge.jobs.db_tables import alert, dataflow, job, job_total as table, scheduling, worker
from landbridge.jobs.db_workers import WorkerStatus

NEVER_RAN: Final = 0
LONGER: Final = 2**31 - 1
DURATIONS_S: Final = (1, 5, 15, 60, 300, 900, 3600, 14_400)
"""``took_up_to_s`` of a row: the first of these that is not less than what the jobs took, or else ``LONGER``."""

_MAX_ROWS: Final = 20_000
_WAITING: Final = ("scheduled", "queued")
_LIVING: Final = (*_WAITING, "running", "waiting_for_approval")
_SUMS: Final = ("records_in", "records_out", "rejected", "bytes")


@dataclass(frozen=True, slots=True)
class TotalRow:
    """Sums over the jobs of a dataflow that were of one kind, ended in one way, and took about as long."""

    dataflow_id: str
    name: str
    kind: str
    status: str
    took_up_to_s: int
    jobs: int
    seconds: float
    records_in: int
    records_out: int
    rejected: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Present:
    """How things are at this moment.

    Attributes:
        jobs: Jobs that have not ended, by status.
        oldest_waiting_s: For how long the first of those that wait has waited; 0 without any.
        behind_schedule_s: How late the latest planned run is that has not been started; 0 without any.
        workers: Workers by status, without those that are gone.
        slots: What active workers can run at the same time.
        silent_s: How long ago the most silent of the active workers wrote its heartbeat; 0 without any.
        open_alerts: Alerts that are not over, by kind.
    """

    jobs: Mapping[str, int]
    oldest_waiting_s: float
    behind_schedule_s: float
    workers: Mapping[str, int]
    slots: int
    silent_s: float
    open_alerts: Mapping[str, int]


def count(tx: Transaction, job_id: str) -> None:
    """Add a job, which has just ended, to the sums."""
    row = tx.execute(sa.select(job).where(job.c.id == job_id)).one()
    seconds = (row.ended - row.started).total_seconds() if row.started and row.ended else 0.0
    key = {
        "dataflow_id": row.dataflow_id,
        "kind": row.kind,
        "status": row.status,
        "took_up_to_s": _up_to(seconds) if row.started else NEVER_RAN,
    }
    sums: dict[str, Any] = {"jobs": 1, "seconds": seconds, **{name: getattr(row, name) for name in _SUMS}}
    if not _add(tx, key, sums):
        try:
            insert_new(tx, sa.insert(table).values(**key, **sums))
        except AlreadyThere:
            _add(tx, key, sums)


def totals(tx: Transaction) -> Sequence[TotalRow]:
    """All sums, at most 20,000 of them."""
    columns = [table.c[name] for name in TotalRow.__slots__ if name != "name"]
    wanted = sa.select(dataflow.c.name, *columns).join(dataflow, dataflow.c.id == table.c.dataflow_id)
    wanted = wanted.order_by(table.c.dataflow_id, table.c.kind, table.c.status).limit(_MAX_ROWS)
    return [TotalRow(**row) for row in tx.execute(wanted).mappings()]


def present(tx: Transaction) -> Present:
    """How things are: a few counts over indexes."""
    moment = now(tx)
    jobs = sa.select(job.c.status, sa.func.count()).where(job.c.status.in_(_LIVING)).group_by(job.c.status)
    waiting = sa.select(sa.func.min(job.c.created)).where(job.c.status.in_(_WAITING), job.c.started.is_(None))
    planned = sa.select(sa.func.min(job.c.planned)).where(job.c.status.in_(_WAITING), job.c.started.is_(None))
    unasked = sa.select(sa.func.min(scheduling.c.next_start)).where(
        scheduling.c.next_start < moment, scheduling.c.enabled.is_(True), scheduling.c.removed.is_(None)
    )
    workers = (
        sa.select(worker.c.status, sa.func.count().label("count"), sa.func.sum(worker.c.slots).label("slots"))
        .where(worker.c.status != WorkerStatus.GONE)
        .group_by(worker.c.status)
    )
    found = {row.status: (row[1], row.slots) for row in tx.execute(workers)}
    silent = sa.select(sa.func.min(worker.c.heartbeat)).where(worker.c.status == WorkerStatus.ACTIVE)
    alerts = sa.select(alert.c.kind, sa.func.count()).where(alert.c.closed.is_(None)).group_by(alert.c.kind)
    late = [at for wanted in (planned, unasked) if (at := tx.execute(wanted).scalar()) is not None]
    return Present(
        jobs={row[0]: row[1] for row in tx.execute(jobs)},
        oldest_waiting_s=_since(tx.execute(waiting).scalar(), moment),
        behind_schedule_s=_since(min(late, default=None), moment),
        workers={status: workers for status, (workers, _) in found.items()},
        slots=int(found.get(WorkerStatus.ACTIVE, (0, 0))[1] or 0),
        silent_s=_since(tx.execute(silent).scalar(), moment),
        open_alerts={row[0]: row[1] for row in tx.execute(alerts)},
    )


def _add(tx: Transaction, key: Mapping[str, Any], sums: Mapping[str, Any]) -> bool:
    here = sa.update(table).where(*(table.c[name] == value for name, value in key.items()))
    return bool(tx.execute(here.values({name: table.c[name] + value for name, value in sums.items()})).rowcount)


def _up_to(seconds: float) -> int:
    return next((limit for limit in DURATIONS_S if seconds <= limit), LONGER)


def _since(at: datetime | None, moment: datetime) -> float:
    return max(0.0, (moment - at).total_seconds()) if at else 0.0
