"""What happened within a job: counts of steps and edges, files, and the trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

import sqlalchemy as sa

from landbridge.jobs.db import Transaction
from landbridge.jobs.db_tables import job as jobs, job_edge, job_file, job_step, job_trace

TraceLevel = Literal["debug", "info", "warning", "error"]

KEPT_LEVELS: Final[Mapping[str, frozenset[TraceLevel]]] = {
    "error": frozenset({"error"}),
    "info": frozenset({"info", "warning", "error"}),
    "debug": frozenset({"debug", "info", "warning", "error"}),
}
"""Which lines a trace keeps, by the log level of the job."""


@dataclass(frozen=True, slots=True)
class StepRow:
    """Counts of one step, as ``engine.counts.StepCounts`` has them."""

    step: str
    position: int
    component: str
    activity: str
    records_in: int = 0
    records_out: int = 0
    rejected: int = 0
    filtered: int = 0
    bytes: int = 0
    files: int = 0
    started: datetime | None = None
    ended: datetime | None = None


@dataclass(frozen=True, slots=True)
class EdgeRow:
    """What passed from one step to another; ``kind`` is ``next`` or ``error``."""

    source: str
    target: str
    kind: str
    records: int
    bytes: int


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file that was delivered; ``records`` where it is known."""

    number: int
    name: str
    bytes: int
    records: int | None


@dataclass(frozen=True, slots=True)
class TraceRow:
    """A line of the trace.

    Attributes:
        id: Grows with each line; 0 for one that is not stored yet.
        sealed: Records of a sample, encrypted.
    """

    at: datetime
    level: TraceLevel
    message: str
    step: str | None = None
    sealed: bytes | None = field(default=None, repr=False)
    id: int = 0


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over a job: what its entry read, what its end points delivered, what failed, bytes delivered."""

    records_in: int = 0
    records_out: int = 0
    rejected: int = 0
    bytes: int = 0


def save_counts(
    tx: Transaction, job_id: str, *, steps: Sequence[StepRow], edges: Sequence[EdgeRow], totals: Totals
) -> None:
    """Replace the counts of a job by these."""
    _replace(tx, job_step, job_id, steps)
    _replace(tx, job_edge, job_id, edges)
    tx.execute(
        sa.update(jobs).where(jobs.c.id == job_id).values(**{key: getattr(totals, key) for key in Totals.__slots__})
    )


def save_files(tx: Transaction, job_id: str, files: Sequence[FileRow]) -> None:
    """Replace the list of delivered files of a job by this one."""
    _replace(tx, job_file, job_id, files)


def add_trace(tx: Transaction, job_id: str, lines: Sequence[TraceRow]) -> None:
    """Add lines to the trace of a job."""
    if lines:
        columns = [key for key in TraceRow.__slots__ if key != "id"]
        tx.execute(
            sa.insert(job_trace), [{"job_id": job_id, **{key: getattr(line, key) for key in columns}} for line in lines]
        )


def steps_of(tx: Transaction, job_id: str) -> Sequence[StepRow]:
    """The steps of a job in the order of the plan."""
    return [StepRow(**values) for values in _of(tx, job_step, job_id, order="position")]


def edges_of(tx: Transaction, job_id: str) -> Sequence[EdgeRow]:
    """The edges of a job."""
    return [EdgeRow(**values) for values in _of(tx, job_edge, job_id, order="source")]


def files_of(tx: Transaction, job_id: str) -> Sequence[FileRow]:
    """The files that a job delivered, in the order of their publication."""
    return [FileRow(**values) for values in _of(tx, job_file, job_id, order="number")]


def trace_of(
    tx: Transaction, job_id: str, *, after: int = 0, limit: int = 1000, only_samples: bool = False
) -> Sequence[TraceRow]:
    """Lines of the trace of a job in their order, those behind the line ``after``; or only those with records."""
    wanted = sa.select(job_trace).where(job_trace.c.job_id == job_id, job_trace.c.id > after)
    if only_samples:
        wanted = wanted.where(job_trace.c.sealed.is_not(None))
    return [
        TraceRow(**_without_job(row)) for row in tx.execute(wanted.order_by(job_trace.c.id).limit(limit)).mappings()
    ]


def _replace(tx: Transaction, table: sa.Table, job_id: str, rows: Sequence[StepRow | EdgeRow | FileRow]) -> None:
    tx.execute(sa.delete(table).where(table.c.job_id == job_id))
    if rows:
        columns = type(rows[0]).__slots__
        tx.execute(
            sa.insert(table), [{"job_id": job_id, **{key: getattr(row, key) for key in columns}} for row in rows]
        )


def _of(tx: Transaction, table: sa.Table, job_id: str, *, order: str) -> Sequence[dict[str, Any]]:
    wanted = sa.select(table).where(table.c.job_id == job_id).order_by(table.c[order])
    return [_without_job(row) for row in tx.execute(wanted).mappings()]


def _without_job(row: sa.RowMapping) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "job_id"}
