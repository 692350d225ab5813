"""Workers: who is alive. A worker writes its heartbeat; one whose heartbeat is old is dead, and another takes over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from landbridge.jobs.db import Transaction, now
from landbridge.jobs.db_tables import worker as table


class WorkerStatus(StrEnum):
    """*Stopped*: it ended in order and may have left jobs behind. *Taken*: another is taking over. *Gone*: all done."""

    ACTIVE = "active"
    STOPPED = "stopped"
    TAKEN = "taken"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker; ``slots`` is how many jobs it runs at the same time."""

    id: str
    host: str
    process: int
    landbridge_version: str
    slots: int
    status: WorkerStatus
    started: datetime
    heartbeat: datetime
    taken_by: str | None


def add(tx: Transaction, id: str, *, host: str, process: int, landbridge_version: str, slots: int) -> None:
    """A worker starts."""
    moment = now(tx)
    tx.execute(
        sa.insert(table).values(
            id=id,
            host=host,
            process=process,
            landbridge_version=landbridge_version,
            slots=slots,
            status=WorkerStatus.ACTIVE,
            started=moment,
            heartbeat=moment,
        )
    )


def beat(tx: Transaction, id: str) -> bool:
    """The worker lives; False when others believe it dead, so that it must drop its work."""
    done = tx.execute(
        sa.update(table).where(table.c.id == id, table.c.status == WorkerStatus.ACTIVE).values(heartbeat=now(tx))
    )
    return bool(done.rowcount)


def stop(tx: Transaction, id: str, *, leaves_jobs: bool) -> None:
    """The worker ends in order; what it leaves, whoever is next need not wait until its heartbeat is old."""
    tx.execute(
        sa.update(table)
        .where(table.c.id == id, table.c.status == WorkerStatus.ACTIVE)
        .values(status=WorkerStatus.STOPPED if leaves_jobs else WorkerStatus.GONE)
    )


def return_to_life(tx: Transaction, id: str, *, lease_s: float) -> bool:
    """A worker that was believed dead goes on with empty hands; False while another is still taking over from it."""
    done = tx.execute(
        sa.update(table)
        .where(
            table.c.id == id,
            sa.or_(table.c.status == WorkerStatus.GONE, table.c.heartbeat < now(tx) - timedelta(seconds=lease_s)),
        )
        .values(status=WorkerStatus.ACTIVE, heartbeat=now(tx), taken_by=None)
    )
    return bool(done.rowcount)


def dead(tx: Transaction, *, by: str, lease_s: float, alone: bool = False) -> Sequence[str]:
    """Ids of workers that are dead, that stopped, or that were taken by one that died meanwhile.

    Args:
        tx: The transaction.
        by: The worker that asks; never among them.
        lease_s: A heartbeat older than so many seconds is a dead worker's.
        alone: Nobody else can be alive: all the others are dead.
    """
    return [row.id for row in _dead(tx, by=by, lease_s=lease_s, alone=alone)]


def claim_dead(tx: Transaction, *, by: str, lease_s: float, alone: bool = False) -> Sequence[str]:
    """Take the workers that ``dead`` lists, each by one claimant only.

    Returns:
        Their ids; ``gone`` must be called for each when its jobs are back in the queue.
    """
    return [
        row.id
        for row in _dead(tx, by=by, lease_s=lease_s, alone=alone)
        if tx.execute(
            # Compare-and-set: of two claimants one finds the row as it was.
            sa.update(table)
            .where(table.c.id == row.id, table.c.status == row.status, table.c.heartbeat == row.heartbeat)
            .values(status=WorkerStatus.TAKEN, taken_by=by, heartbeat=now(tx))
        ).rowcount
    ]


def gone(tx: Transaction, id: str, *, by: str) -> None:
    """Nothing is left of a worker that ``by`` has taken."""
    tx.execute(
        sa.update(table)
        .where(table.c.id == id, table.c.status == WorkerStatus.TAKEN, table.c.taken_by == by)
        .values(status=WorkerStatus.GONE)
    )


def listing(tx: Transaction, *, living: bool = True) -> Sequence[WorkerRow]:
    """Workers by their start; ``living`` leaves out those that are gone."""
    wanted = sa.select(table).order_by(table.c.started)
    if living:
        wanted = wanted.where(table.c.status != WorkerStatus.GONE)
    return [WorkerRow(**{**row, "status": WorkerStatus(row["status"])}) for row in tx.execute(wanted).mappings()]


def _dead(tx: Transaction, *, by: str, lease_s: float, alone: bool) -> Sequence[sa.Row[Any, Any, Any]]:
    old = table.c.heartbeat < now(tx) - timedelta(seconds=lease_s)
    return tx.execute(
        sa.select(table.c.id, table.c.status, table.c.heartbeat).where(
            table.c.id != by,
            table.c.status != WorkerStatus.GONE,
            sa.true() if alone else sa.or_(old, table.c.status == WorkerStatus.STOPPED),
        )
    ).all()
