"""Schedulings: when dataflows run, and up to which instant that is settled."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from landbridge.dataflow.scheduling import Scheduling
from landbridge.errors import FlowError
from landbridge.jobs import db_audit
from landbridge.jobs.clock import next_instants
from landbridge.jobs.db import Transaction, changed, now
from landbridge.jobs.db_tables import dataflow, job, scheduling as table
from landbridge.jobs.timetable import Schedule, read_schedule

AREA: Final = "scheduling"
"""What is counted by ``db.changes``: schedulings that a person or program changed, not those that fired."""

UNKNOWN_SCHEDULING: Final = "LB-1721"
SCHEDULING_CHANGED: Final = "LB-1723"

_WAITING: Final = ("scheduled", "queued")
_ACTIVE: Final = (*_WAITING, "running")


@dataclass(frozen=True, slots=True)
class SchedulingRow:
    """A scheduling as it is kept.

    Attributes:
        document: The scheduling as JSON text.
        planned_until: Every planned run up to this instant was started, or left out by a policy.
        next_start: The next planned run; None where there is none, or where it depends on a running job.
        job_id: The current or last job.
        revision: Counts the changes of the document, for compare-and-set.
    """

    id: str
    dataflow_id: str
    name: str
    document: str
    enabled: bool
    status: str
    planned_until: datetime | None
    next_start: datetime | None
    job_id: str | None
    revision: int
    created: datetime
    updated: datetime
    updated_by: str
    removed: datetime | None

    @property
    def scheduling(self) -> Scheduling:
        """The document, read; its id is the row's."""
        return replace(Scheduling.load(self.document, source=self.name), id=self.id, dataflow_id=self.dataflow_id)

    @property
    def schedule(self) -> Schedule:
        """The scheduling, understood.

        Raises:
            DataflowError: LB-1060; only when another version of landbridge stored it.
        """
        return read_schedule(self.scheduling, created=self.created)

    @property
    def runs(self) -> bool:
        """Whether it is switched on and not removed."""
        return self.enabled and self.removed is None


@dataclass(frozen=True, slots=True)
class Activity:
    """A job of a dataflow that has not ended; ``waits`` until it has begun."""

    dataflow_id: str
    scheduling_id: str | None
    waits: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """What a scheduler wants to settle: everything of ``row`` up to ``position``; ``job_id`` is the last job then."""

    row: SchedulingRow
    position: datetime
    next_start: datetime | None
    job_id: str | None


@dataclass(frozen=True, slots=True)
class LastRun:
    """The last job of a scheduling; ``ended`` is None while it runs, waits, or waits for an approval."""

    created: datetime
    ended: datetime | None


def add(tx: Transaction, scheduling: Scheduling, *, by: str) -> SchedulingRow:
    """Store a new scheduling with an id of its own.

    Raises:
        DataflowError: LB-1060, it cannot be understood.
        FlowError: LB-1721, there is no such dataflow.
    """
    moment = now(tx)
    identity = uuid.uuid4().hex
    scheduling = replace(scheduling, id=identity)
    schedule = read_schedule(scheduling, created=moment)
    _check_dataflow(tx, scheduling.dataflow_id)
    position = _before_start(schedule)
    row = SchedulingRow(
        id=identity,
        dataflow_id=scheduling.dataflow_id,
        name=scheduling.name,
        document=scheduling.dump(),
        enabled=scheduling.enabled,
        status="ready",
        planned_until=position,
        next_start=next_start(schedule, position),
        job_id=None,
        revision=1,
        created=moment,
        updated=moment,
        updated_by=by,
        removed=None,
    )
    tx.execute(sa.insert(table).values({key: getattr(row, key) for key in SchedulingRow.__slots__}))
    changed(tx, AREA)
    _note(tx, "scheduling.add", row, by=by)
    return row


def change(
    tx: Transaction, id: str, scheduling: Scheduling, *, by: str, expected_revision: int | None = None
) -> SchedulingRow:
    """Replace a scheduling.

    What was planned before the change is settled: a change of the e-mail addresses or of the interval starts
    nothing. Only a new start in the past starts a run at once, as it does for a new scheduling.

    Raises:
        DataflowError: LB-1060, it cannot be understood.
        FlowError: LB-1721, there is none, or no such dataflow; LB-1723, somebody else changed it.
    """
    before = get(tx, id)
    moment = now(tx)
    scheduling = replace(scheduling, id=id)
    if scheduling.next_job_start_time in (before.next_start, None):
        # Clients send back what they were shown, and that is the next start; intervals still count from the first.
        scheduling = replace(scheduling, next_job_start_time=before.scheduling.next_job_start_time)
    schedule = read_schedule(scheduling, created=before.created)
    _check_dataflow(tx, scheduling.dataflow_id)
    position = _position_after_change(before, schedule, moment)
    done = tx.execute(
        sa.update(table)
        .where(table.c.id == id, table.c.revision == (expected_revision or before.revision))
        .values(
            dataflow_id=scheduling.dataflow_id,
            name=scheduling.name,
            document=scheduling.dump(),
            enabled=scheduling.enabled,
            planned_until=position,
            next_start=next_start(schedule, position),
            revision=table.c.revision + 1,
            updated=moment,
            updated_by=by,
        )
    )
    if not done.rowcount:
        raise FlowError(
            SCHEDULING_CHANGED,
            f'the scheduling "{before.name or id}" was changed by {before.updated_by or "somebody"} meanwhile',
            hint="Read it again and repeat the change.",
        )
    changed(tx, AREA)
    row = get(tx, id)
    _note(tx, "scheduling.change", row, by=by)
    return row


def remove(tx: Transaction, id: str, *, by: str) -> None:
    """Remove a scheduling; its jobs stay.

    Raises:
        FlowError: LB-1721, there is none with this id.
    """
    row = get(tx, id)
    moment = now(tx)
    tx.execute(sa.update(table).where(table.c.id == id).values(removed=moment, updated=moment))
    changed(tx, AREA)
    _note(tx, "scheduling.remove", row, by=by)


def get(tx: Transaction, id: str) -> SchedulingRow:
    """The scheduling with this id.

    Raises:
        FlowError: LB-1721, there is none, or it was removed.
    """
    row = tx.execute(sa.select(table).where(table.c.id == id, table.c.removed.is_(None))).one_or_none()
    if row is None:
        raise _not_found(id)
    return _row(row)


def find(tx: Transaction, name: str) -> SchedulingRow:
    """The scheduling with this id or, where no id is equal, with this name.

    Raises:
        FlowError: LB-1721, there is none; LB-1722, several have the name.
    """
    here = sa.select(table).where(table.c.removed.is_(None)).order_by(table.c.created, table.c.id)
    rows = tx.execute(here.where(table.c.id == name)).all() or tx.execute(here.where(table.c.name == name)).all()
    if not rows:
        raise _not_found(name)
    if len(rows) > 1:
        raise FlowError(
            "LB-1722",
            f'{len(rows)} schedulings have the name "{name}"',
            hint="Give the id: " + ", ".join(row.id for row in rows),
        )
    return _row(rows[0])


def listing(
    tx: Transaction,
    *,
    dataflow_id: str | None = None,
    enabled: bool | None = None,
    limit: int = 1000,
    after: tuple[str, str] | None = None,
) -> Sequence[SchedulingRow]:
    """Schedulings by name, then id.

    Args:
        tx: The transaction.
        dataflow_id: Only those of this dataflow.
        enabled: Only those that are switched on, or off.
        limit: At most so many.
        after: Name and id of the last one that was listed.
    """
    wanted = sa.select(table).where(table.c.removed.is_(None)).order_by(table.c.name, table.c.id).limit(limit)
    if dataflow_id is not None:
        wanted = wanted.where(table.c.dataflow_id == dataflow_id)
    if enabled is not None:
        wanted = wanted.where(table.c.enabled.is_(enabled))
    if after is not None:
        wanted = wanted.where(sa.tuple_(table.c.name, table.c.id) > sa.tuple_(*map(sa.literal, after)))
    return [_row(row) for row in tx.execute(wanted)]


# -- for the scheduler -------------------------------------------------------------------------------------------------


def updated_since(tx: Transaction, moment: datetime | None) -> Sequence[SchedulingRow]:
    """Every scheduling that a person or program changed at or after ``moment``, removed ones too; all without it.

    A scheduling of a removed dataflow counts as removed.
    """
    wanted = sa.select(table, dataflow.c.removed.label("dataflow_removed")).join(
        dataflow, dataflow.c.id == table.c.dataflow_id
    )
    wanted = wanted.where(table.c.removed.is_(None)) if moment is None else wanted.where(table.c.updated >= moment)
    found = []
    for row in tx.execute(wanted):
        values: dict[str, Any] = dict(row._mapping)  # noqa: SLF001 - the public name of a row's columns in SQLAlchemy
        values["removed"] = values["removed"] or values.pop("dataflow_removed", None)
        values.pop("dataflow_removed", None)
        found.append(SchedulingRow(**values))
    return found


def by_ids(tx: Transaction, ids: Collection[str]) -> Sequence[SchedulingRow]:
    """The schedulings with these ids, removed ones too."""
    if not ids:
        return []
    return [_row(row) for row in tx.execute(sa.select(table).where(table.c.id.in_(ids)))]


def claim(tx: Transaction, claims: Sequence[Claim]) -> Collection[str]:
    """Settle schedulings, unless another scheduler was quicker or somebody changed them.

    Whoever gets them starts their runs in the same transaction: their rows are locked until it ends.

    Returns:
        The ids of those that are settled by this call.
    """
    ids = [claim.row.id for claim in claims]
    # Locked in the order of ids, so that two schedulers wait for each other instead of blocking each other.
    wanted = sa.select(table.c.id, table.c.planned_until, table.c.revision).where(
        table.c.id.in_(ids), table.c.enabled.is_(True), table.c.removed.is_(None)
    )
    there = {
        row.id: (row.planned_until, row.revision)
        for row in tx.execute(wanted.order_by(table.c.id).with_for_update(key_share=True))
    }
    won = [claim for claim in claims if there.get(claim.row.id) == (claim.row.planned_until, claim.row.revision)]
    if won:
        statement = (
            sa.update(table)
            .where(table.c.id == sa.bindparam("key"))
            .values(planned_until=sa.bindparam("p"), next_start=sa.bindparam("n"), job_id=sa.bindparam("j"))
        )
        tx.execute(
            statement,
            [{"key": claim.row.id, "p": claim.position, "n": claim.next_start, "j": claim.job_id} for claim in won],
        )
    return {claim.row.id for claim in won}


def activities(tx: Transaction, dataflow_ids: Collection[str]) -> Sequence[Activity]:
    """The jobs of these dataflows that wait or run."""
    wanted = sa.select(job.c.dataflow_id, job.c.scheduling_id, job.c.status, job.c.starts).where(
        job.c.dataflow_id.in_(dataflow_ids), job.c.status.in_(_ACTIVE)
    )
    return [
        Activity(row.dataflow_id, row.scheduling_id, waits=row.status in _WAITING and not row.starts)
        for row in tx.execute(wanted)
    ]


def last_runs(tx: Transaction, ids: Collection[str]) -> Mapping[str, LastRun]:
    """The last job of each of these schedulings that has one."""
    newest = (
        sa.select(job.c.scheduling_id, sa.func.max(job.c.created).label("created"))
        .where(job.c.scheduling_id.in_(ids))
        .group_by(job.c.scheduling_id)
        .subquery()
    )
    wanted = sa.select(job.c.scheduling_id, job.c.created, job.c.ended).join(
        newest, sa.and_(job.c.scheduling_id == newest.c.scheduling_id, job.c.created == newest.c.created)
    )
    return {row.scheduling_id: LastRun(row.created, row.ended) for row in tx.execute(wanted)}


def next_start(schedule: Schedule, position: datetime) -> datetime | None:
    """The planned instant after ``position``, where the clock tells it."""
    if schedule.keep_updated is not None:
        return schedule.timetable.start if position < schedule.timetable.start else None
    return next(iter(next_instants(schedule.timetable, position, 1)), None)


def _before_start(schedule: Schedule) -> datetime:
    return schedule.timetable.start - timedelta(seconds=1)


def _position_after_change(before: SchedulingRow, schedule: Schedule, moment: datetime) -> datetime:
    position = before.planned_until or moment
    old = before.schedule
    if old.timetable.start != schedule.timetable.start:
        return _before_start(schedule)
    if schedule.timetable.frequency == "once" and not schedule.settings.cron and position < schedule.timetable.start:
        return position  # it never ran, and still will
    same = old.timetable == schedule.timetable and old.keep_updated == schedule.keep_updated
    return position if same and before.enabled else max(position, moment)


def _check_dataflow(tx: Transaction, id: str) -> None:
    if tx.execute(sa.select(dataflow.c.id).where(dataflow.c.id == id, dataflow.c.removed.is_(None))).first() is None:
        message = f'the scheduling names the dataflow "{id}", which does not exist'
        raise FlowError(UNKNOWN_SCHEDULING, message, hint="`landbridge dataflows list` shows all.")


def _note(tx: Transaction, action: str, row: SchedulingRow, *, by: str) -> None:
    details = {"name": row.name, "dataflow": row.dataflow_id, "enabled": row.enabled}
    db_audit.note(tx, action, actor=by, object_kind="scheduling", object_id=row.id, details=details)


def _not_found(name: str) -> FlowError:
    return FlowError(
        UNKNOWN_SCHEDULING, f'there is no scheduling "{name}"', hint="`landbridge schedules list` shows all."
    )


def _row(row: sa.Row[tuple[object, ...]]) -> SchedulingRow:
    return SchedulingRow(**row._mapping)  # noqa: SLF001 - the public name of a row's columns in SQLAlchemy
