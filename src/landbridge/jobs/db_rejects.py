"""Records that failed in jobs: why, and sealed, the record itself or the text that could not be read as one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from landbridge.errors import FlowError
from landbridge.jobs.db import Transaction, now
from landbridge.jobs.db_tables import job, reject as table

_PART: Final = 500
"""Rows of one statement."""


@dataclass(frozen=True, slots=True)
class NewReject:
    """A reject to be kept; see ``RejectRow``."""

    code: str
    message: str
    sealed: bytes = field(repr=False)
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class RejectRow:
    """A record that failed.

    Attributes:
        number: Its number among the rejects of its job, from 1.
        step: Where it failed.
        file: The file it is a piece of, where it could not be read as a record; else None.
        line: The line of the file, where it is known.
        sealed: ``{"record": …}`` or ``{"text": …}``, encrypted.
        replayed_by: The replay that has taken it; None for none. Each reject is taken once.
    """

    id: int
    job_id: str
    number: int
    step: str
    code: str
    message: str
    file: str | None
    line: int | None
    sealed: bytes | None = field(repr=False)
    created: datetime
    replayed_by: str | None


@dataclass(frozen=True, slots=True)
class Choice:
    """Which rejects are meant: those that fit all that is said.

    Attributes:
        job_id: Of this job.
        dataflow_id: Of this dataflow.
        step: Of this step.
        codes: With one of these codes.
        ids: One of these.
        replayable: Only records that no replay has taken; a text that could not be read as a record is none.
    """

    job_id: str | None = None
    dataflow_id: str | None = None
    step: str | None = None
    codes: Collection[str] = ()
    ids: Collection[int] = ()
    replayable: bool = False

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """As SQL."""
        found: list[sa.ColumnElement[bool]] = []
        if self.job_id is not None:
            found.append(table.c.job_id == self.job_id)
        if self.dataflow_id is not None:
            found.append(table.c.job_id.in_(sa.select(job.c.id).where(job.c.dataflow_id == self.dataflow_id)))
        if self.step is not None:
            found.append(table.c.step == self.step)
        if self.codes:
            found.append(table.c.code.in_(self.codes))
        if self.ids:
            found.append(table.c.id.in_(self.ids))
        if self.replayable:
            found += [table.c.replayed_by.is_(None), table.c.file.is_(None), table.c.sealed.is_not(None)]
        return found


def add(tx: Transaction, job_id: str, step: str, rejects: Sequence[NewReject]) -> None:
    """Keep rejects; they are numbered behind those that the job has."""
    last = tx.execute(sa.select(sa.func.max(table.c.number)).where(table.c.job_id == job_id)).scalar() or 0
    moment = now(tx)
    rows: list[dict[str, Any]] = [
        {
            "job_id": job_id,
            "number": last + place,
            "step": step,
            "code": reject.code,
            "message": reject.message,
            "file": reject.file,
            "line": reject.line,
            "sealed": reject.sealed,
            "created": moment,
        }
        for place, reject in enumerate(rejects, start=1)
    ]
    for start in range(0, len(rows), _PART):
        tx.execute(sa.insert(table), rows[start : start + _PART])


def forget(tx: Transaction, job_id: str, steps: Collection[str]) -> None:
    """Remove what a job has kept for these steps, since they begin again."""
    tx.execute(sa.delete(table).where(table.c.job_id == job_id, table.c.step.in_(steps)))


def get(tx: Transaction, id: int) -> RejectRow:
    """A reject.

    Raises:
        FlowError: LB-1771, there is none with this id.
    """
    row = tx.execute(sa.select(table).where(table.c.id == id)).mappings().one_or_none()
    if row is None:
        raise FlowError("LB-1771", f"there is no reject {id}", hint="`landbridge rejects list` shows all.")
    return RejectRow(**row)


def listing(tx: Transaction, choice: Choice, *, after: int = 0, limit: int = 1000) -> Sequence[RejectRow]:
    """Rejects by id, those behind ``after``."""
    wanted = sa.select(table).where(table.c.id > after, *choice.conditions()).order_by(table.c.id).limit(limit)
    return [RejectRow(**row) for row in tx.execute(wanted).mappings()]


def newest(tx: Transaction, choice: Choice, *, limit: int, before: int | None = None) -> Sequence[RejectRow]:
    """The last rejects, the newest first; ``before`` is the id of the last one that was listed."""
    wanted = sa.select(table).where(*choice.conditions()).order_by(table.c.id.desc()).limit(limit)
    if before is not None:
        wanted = wanted.where(table.c.id < before)
    return [RejectRow(**row) for row in tx.execute(wanted).mappings()]


def by_step(tx: Transaction, choice: Choice) -> Mapping[str, int]:
    """How many rejects each step has."""
    wanted = sa.select(table.c.step, sa.func.count().label("count")).where(*choice.conditions()).group_by(table.c.step)
    return {row.step: row[1] for row in tx.execute(wanted.order_by(sa.func.min(table.c.id)))}


def take(tx: Transaction, choice: Choice, *, replay: str) -> int:
    """Mark rejects as taken by a replay; gives how many. Those that another one has taken are left out."""
    return tx.execute(sa.update(table).where(*choice.conditions()).values(replayed_by=replay)).rowcount


def taken(tx: Transaction, replay: str, *, after: int, limit: int) -> Sequence[RejectRow]:
    """The rejects that a replay has taken, by id, those behind ``after``."""
    mine = sa.select(table).where(table.c.replayed_by == replay, table.c.id > after)
    return [RejectRow(**row) for row in tx.execute(mine.order_by(table.c.id).limit(limit)).mappings()]
