"""Jobs: one row for each, from the moment it is asked for until retention forgets it.

The life of a row: *queued*, *admitted* (the limits on sites and accounts let it run), *handed over* (the durable
queue has it), *running* on a worker, ended. Each start of the work has a number, ``starts``: what an earlier start
still wants to write is ignored, so that a worker that was believed dead cannot spoil what its successor does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, TypeAlias

import sqlalchemy as sa

from landbridge.errors import FlowError
from landbridge.jobs import db_totals
from landbridge.jobs.db import AlreadyThere, Transaction, changed, insert_new, now
from landbridge.jobs.db_tables import job as table
from landbridge.jobs.db_types import Instant
from landbridge.jobs.job_options import JobKind, JobOptions
from landbridge.jobs.limits import Limits

AREA: Final = "job"
"""What is counted by ``db.changes``: jobs that were added, cancelled, or ended."""


Sealed: TypeAlias = bytes

_LOOK_BACK: Final = 50
"""How many jobs with a limit may stand before the last whole one."""


class JobStatus(StrEnum):
    """Where a job is in its life."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    WAITING_FOR_APPROVAL = "waiting_for_approval"
    SUCCEEDED = "succeeded"
    SUCCEEDED_WITH_ERRORS = "succeeded_with_errors"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED: Final = frozenset({JobStatus.SUCCEEDED, JobStatus.SUCCEEDED_WITH_ERRORS, JobStatus.FAILED, JobStatus.CANCELLED})
"""Nothing changes such a job any more."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job that is asked for.

    Attributes:
        id: For a planned run made of the scheduling and the instant, so that it exists once only.
        dataflow_version: The exact version that runs.
        sealed: The values of its placeholders by name, encrypted.
        accounts: The accounts of remote systems that it uses, as keys of limits.
        planned: When its scheduling wanted it to start.
        started_by: Who or what asked: ``scheduling <id>``, ``cli``, a user.
        attempt: 1, and one more for each retry of a whole job.
        retry_of: The job that it repeats.
        journal: Name of the journal from which it goes on; one of its own when empty.
    """

    id: str
    dataflow_id: str
    dataflow_version: int
    dataflow_name: str
    started_by: str
    kind: JobKind = "run"
    api_key: str = ""
    scheduling_id: str | None = None
    planned: datetime | None = None
    options: JobOptions = field(default_factory=JobOptions)
    sealed: bytes | None = field(default=None, repr=False)
    accounts: Collection[str] = ()
    attempt: int = 1
    retry_of: str | None = None
    journal: str = ""
    status: JobStatus = JobStatus.QUEUED


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job; see ``NewJob`` for what it was asked to be.

    Attributes:
        reason: Why it ended so, in a word: ``stalled``, ``time_limit``, ``guard``, ``died``; else empty.
        turn: How often it was put into the durable queue anew, because it had to wait for a person.
        starts: How often its work was begun: more than 1 after a crash or a hand-over.
        cancel_asked: When a person asked to stop it.
        error: Code, step, message and hint of what ended it.
        result: See ``Ending``.
    """

    id: str
    kind: JobKind
    dataflow_id: str
    dataflow_version: int
    dataflow_name: str
    api_key: str
    scheduling_id: str | None
    planned: datetime | None
    started_by: str
    options: JobOptions
    accounts: tuple[str, ...]
    status: JobStatus
    reason: str
    attempt: int
    retry_of: str | None
    journal: str
    turn: int
    starts: int
    admitted: datetime | None
    handed_over: bool
    worker_id: str | None
    host: str
    landbridge_version: str
    created: datetime
    started: datetime | None
    ended: datetime | None
    updated: datetime
    cancel_asked: datetime | None
    cancel_by: str
    records_in: int
    records_out: int
    rejected: int
    bytes: int
    error: Mapping[str, Any] | None
    result: Mapping[str, Any] | None
    sealed: Sealed | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Ending:
    """How the work of a job ended.

    Attributes:
        result: What writers did or would have done, and guards that tripped: parts of the engine's report.
    """

    status: JobStatus
    reason: str = ""
    error: Mapping[str, Any] | None = None
    result: Mapping[str, Any] | None = None


def add(tx: Transaction, new: NewJob) -> bool:
    """Ask for a job; False when one with its id exists, which is left as it is."""
    try:
        insert_new(tx, sa.insert(table).values(_new_row(new, now(tx))))
    except AlreadyThere:
        return False
    changed(tx, AREA)
    return True


def add_all(tx: Transaction, news: Sequence[NewJob]) -> Collection[str]:
    """Ask for many jobs, whose ids nobody else gives meanwhile; those that exist are left as they are.

    Returns:
        The ids of those that are new.
    """
    ids = [new.id for new in news]
    there = set(tx.execute(sa.select(table.c.id).where(table.c.id.in_(ids))).scalars())
    moment = now(tx)
    rows = {new.id: _new_row(new, moment) for new in news if new.id not in there}
    if rows:
        tx.execute(sa.insert(table), list(rows.values()))
        changed(tx, AREA)
    return rows.keys()


def get(tx: Transaction, id: str) -> JobRow:
    """The job with this id.

    Raises:
        FlowError: LB-1705, there is none.
    """
    row = tx.execute(sa.select(table).where(table.c.id == id)).one_or_none()
    if row is None:
        raise FlowError("LB-1705", f'there is no job "{id}"', hint="`landbridge jobs list` shows the last ones.")
    return _row(row)


def listing(
    tx: Transaction,
    *,
    dataflow_id: str | None = None,
    scheduling_id: str | None = None,
    status: Collection[JobStatus] = (),
    kind: Collection[JobKind] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    before: tuple[datetime, str] | None = None,
    limit: int = 50,
) -> Sequence[JobRow]:
    """Jobs, the newest first.

    Args:
        tx: The transaction.
        dataflow_id: Only those of this dataflow.
        scheduling_id: Only those of this scheduling.
        status: Only those in one of these states.
        kind: Only those of one of these kinds.
        since: Only those that were asked for at this instant or later.
        until: Only those that were asked for before this instant.
        before: When the last job that was listed was asked for, and its id.
        limit: At most so many.
    """
    wanted = sa.select(table).order_by(table.c.created.desc(), table.c.id.desc()).limit(limit)
    for column, value in ((table.c.dataflow_id, dataflow_id), (table.c.scheduling_id, scheduling_id)):
        wanted = wanted if value is None else wanted.where(column == value)
    for column, values in ((table.c.status, status), (table.c.kind, kind)):
        wanted = wanted.where(column.in_(values)) if values else wanted
    if since is not None:
        wanted = wanted.where(table.c.created >= since)
    if until is not None:
        wanted = wanted.where(table.c.created < until)
    if before is not None:
        moment, last = before
        wanted = wanted.where(sa.tuple_(table.c.created, table.c.id) < sa.tuple_(sa.literal(moment, Instant), last))
    return [_row(row) for row in tx.execute(wanted)]


def changed_since(tx: Transaction, moment: datetime, *, limit: int) -> Sequence[JobRow]:
    """Jobs of which anything changed at or after ``moment``, the earliest change first."""
    wanted = sa.select(table).where(table.c.updated >= moment).order_by(table.c.updated, table.c.id).limit(limit)
    return [_row(row) for row in tx.execute(wanted)]


def admit(tx: Transaction, limits: Limits, *, at_most: int = 100) -> int:
    """Let jobs run that wait, the oldest first, as far as the limits allow; the transaction must be alone.

    A job that has to wait for its account does not hold up those behind it.

    Returns:
        How many were admitted.
    """
    running = tx.execute(
        sa.select(table.c.dataflow_id, table.c.api_key, table.c.accounts).where(
            table.c.admitted.is_not(None), table.c.status.in_((JobStatus.QUEUED, JobStatus.RUNNING))
        )
    ).all()
    flows, sites, accounts = {row.dataflow_id for row in running}, _Tally(limits.per_site), _Tally(limits.per_account)
    for row in running:
        sites.add(row.api_key)
        for account in row.accounts:
            accounts.add(account)
    waiting = tx.execute(
        sa.select(table.c.id, table.c.dataflow_id, table.c.api_key, table.c.accounts, table.c.options)
        .where(table.c.status == JobStatus.QUEUED, table.c.admitted.is_(None))
        .order_by(table.c.created, table.c.id)
    )
    admitted: list[str] = []
    for candidate in waiting:
        if len(admitted) >= min(limits.overall - len(running), at_most):
            break
        alone = candidate.dataflow_id not in flows or candidate.options.get("may_overlap", False)
        if alone and sites.has_room(candidate.api_key) and all(map(accounts.has_room, candidate.accounts)):
            admitted.append(candidate.id)
            flows.add(candidate.dataflow_id)
            sites.add(candidate.api_key)
            for account in candidate.accounts:
                accounts.add(account)
    if admitted:
        tx.execute(sa.update(table).where(table.c.id.in_(admitted)).values(admitted=now(tx)))
    return len(admitted)


def anything_waits(tx: Transaction) -> bool:
    """Whether a job waits for the limits or for the durable queue."""
    waiting = sa.select(table.c.id).where(table.c.status == JobStatus.QUEUED, table.c.handed_over.is_(False))
    return tx.execute(waiting.limit(1)).first() is not None


def to_hand_over(tx: Transaction) -> Sequence[tuple[str, int]]:
    """Ids and turns of the jobs that may run and that the durable queue does not have yet, the oldest first."""
    wanted = sa.select(table.c.id, table.c.turn).where(
        table.c.status == JobStatus.QUEUED, table.c.admitted.is_not(None), table.c.handed_over.is_(False)
    )
    return [(row.id, row.turn) for row in tx.execute(wanted.order_by(table.c.admitted, table.c.created, table.c.id))]


def handed_over(tx: Transaction, ids: Collection[str]) -> None:
    """Note that the durable queue has these jobs."""
    tx.execute(sa.update(table).where(table.c.id.in_(ids)).values(handed_over=True))


def in_queue(tx: Transaction) -> Sequence[JobRow]:
    """The jobs that the durable queue should have."""
    wanted = sa.select(table).where(
        table.c.handed_over.is_(True), table.c.status.in_((JobStatus.QUEUED, JobStatus.RUNNING))
    )
    return [_row(row) for row in tx.execute(wanted)]


def queue_again(tx: Transaction, row: JobRow) -> None:
    """Give the durable queue a job anew, unless it has changed since ``row`` was read."""
    tx.execute(
        sa.update(table)
        .where(
            table.c.id == row.id,
            table.c.turn == row.turn,
            table.c.starts == row.starts,
            table.c.status.in_((JobStatus.QUEUED, JobStatus.RUNNING)),
        )
        .values(status=JobStatus.QUEUED, handed_over=False, turn=table.c.turn + 1, updated=now(tx))
    )


def begin(tx: Transaction, id: str, *, worker_id: str, host: str, landbridge_version: str) -> JobRow | None:
    """Begin, or begin again, the work of a job; None when there is nothing to do any more."""
    moment = now(tx)
    done = tx.execute(
        sa.update(table)
        .where(
            table.c.id == id,
            table.c.status.in_((JobStatus.QUEUED, JobStatus.RUNNING)),
            table.c.cancel_asked.is_(None),
        )
        .values(
            status=JobStatus.RUNNING,
            starts=table.c.starts + 1,
            worker_id=worker_id,
            host=host,
            landbridge_version=landbridge_version,
            started=sa.func.coalesce(table.c.started, sa.bindparam("moment", moment, type_=table.c.started.type)),
            updated=moment,
        )
    )
    if done.rowcount:
        return get(tx, id)
    stopped = tx.execute(
        # Its worker ended before it could stop the job, as a person had asked.
        sa.update(table)
        .where(
            table.c.id == id,
            table.c.status.in_((JobStatus.QUEUED, JobStatus.RUNNING)),
            table.c.cancel_asked.is_not(None),
        )
        .values(status=JobStatus.CANCELLED, reason="cancelled", ended=moment, updated=moment)
    )
    if stopped.rowcount:
        db_totals.count(tx, id)
        changed(tx, AREA)
    return None


def last_host(tx: Transaction, id: str) -> str:
    """The machine on which a job was begun last; empty when it was not begun."""
    return tx.execute(sa.select(table.c.host).where(table.c.id == id)).scalar() or ""


def still_mine(tx: Transaction, id: str, *, start: int) -> bool:
    """Touch a running job; False when another worker has begun it again since, or it has ended."""
    done = tx.execute(
        sa.update(table)
        .where(table.c.id == id, table.c.starts == start, table.c.status == JobStatus.RUNNING)
        .values(updated=now(tx))
    )
    return bool(done.rowcount)


def end(tx: Transaction, id: str, ending: Ending, *, start: int) -> bool:
    """End the work of a job; False when it is not that start's to end, and then nothing changes."""
    moment = now(tx)
    done = tx.execute(
        sa.update(table)
        .where(table.c.id == id, table.c.starts == start, table.c.status == JobStatus.RUNNING)
        .values(
            status=ending.status,
            reason=ending.reason,
            error=ending.error,
            result=ending.result,
            ended=moment if ending.status in ENDED else None,
            updated=moment,
        )
    )
    if done.rowcount:
        changed(tx, AREA)
    return bool(done.rowcount)


def hand_back(tx: Transaction, id: str, *, worker_id: str) -> bool:
    """Let a job that runs on this worker wait again; False when it does not run there."""
    done = tx.execute(
        sa.update(table)
        .where(table.c.id == id, table.c.worker_id == worker_id, table.c.status == JobStatus.RUNNING)
        .values(status=JobStatus.QUEUED, worker_id=None, updated=now(tx))
    )
    return bool(done.rowcount)


def ask_cancel(tx: Transaction, id: str, *, by: str) -> JobRow:
    """Ask to stop a job. One that has not begun ends here; a running one ends when its worker has stopped it.

    Raises:
        FlowError: LB-1705, there is none; LB-1706, it has ended.
    """
    before = get(tx, id)
    if before.status in ENDED:
        raise FlowError("LB-1706", f'the job "{id}" has ended: {before.status}')
    moment = now(tx)
    waits = table.c.status != JobStatus.RUNNING
    ended = tx.execute(
        sa.update(table)
        .where(table.c.id == id, waits)
        .values(
            status=JobStatus.CANCELLED,
            reason="cancelled",
            ended=moment,
            cancel_asked=moment,
            cancel_by=by,
            updated=moment,
        )
    )
    tx.execute(
        sa.update(table)
        .where(table.c.id == id, table.c.status == JobStatus.RUNNING, table.c.cancel_asked.is_(None))
        .values(cancel_asked=moment, cancel_by=by, updated=moment)
    )
    if ended.rowcount:
        db_totals.count(tx, id)
    changed(tx, AREA)
    return get(tx, id)


def last_good(tx: Transaction, dataflow_id: str) -> JobRow | None:
    """The last whole run of a dataflow that succeeded: no test, no dry run, nothing with a limit."""
    wanted = (
        sa.select(table)
        .where(
            table.c.dataflow_id == dataflow_id,
            table.c.kind == "run",
            table.c.status.in_((JobStatus.SUCCEEDED, JobStatus.SUCCEEDED_WITH_ERRORS)),
        )
        .order_by(table.c.ended.desc())
        .limit(_LOOK_BACK)
    )
    found = (_row(row) for row in tx.execute(wanted))
    return next((row for row in found if row.options.limit is None), None)


def cancelled_among(tx: Transaction, ids: Collection[str]) -> Sequence[str]:
    """Which of these jobs a person asked to stop."""
    wanted = sa.select(table.c.id).where(table.c.id.in_(ids), table.c.cancel_asked.is_not(None))
    return list(tx.execute(wanted).scalars())


class _Tally:
    """Counts of names against a limit; the empty name has no limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: dict[str, int] = {}

    def add(self, name: str) -> None:
        self._counts[name] = self._counts.get(name, 0) + 1

    def has_room(self, name: str) -> bool:
        return not name or self._counts.get(name, 0) < self._limit


def _new_row(new: NewJob, moment: datetime) -> dict[str, Any]:
    return {
        "id": new.id,
        "kind": new.kind,
        "dataflow_id": new.dataflow_id,
        "dataflow_version": new.dataflow_version,
        "dataflow_name": new.dataflow_name,
        "api_key": new.api_key,
        "scheduling_id": new.scheduling_id,
        "planned": new.planned,
        "started_by": new.started_by,
        "options": new.options.as_json(),
        "sealed": new.sealed,
        "accounts": sorted(new.accounts),
        "status": new.status,
        "attempt": new.attempt,
        "retry_of": new.retry_of,
        "journal": new.journal or new.id,
        "created": moment,
        "updated": moment,
    }


def _row(row: sa.Row[tuple[object, ...]]) -> JobRow:
    values: dict[str, Any] = dict(row._mapping)  # noqa: SLF001 - the public name of a row's columns in SQLAlchemy
    values["options"] = JobOptions.from_json(values["options"])
    values["accounts"] = tuple(values["accounts"])
    values["status"] = JobStatus(values["status"])
    return JobRow(**values)
