"""Marks: up to where the records of a dataflow's source were read, and which of its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from landbridge.errors import FlowError
from landbridge.jobs import db_audit
from landbridge.jobs.db import AlreadyThere, Transaction, insert_new, now
from landbridge.jobs.db_tables import delta_mark as table, job


@dataclass(frozen=True, slots=True)
class MarkRow:
    """The mark of a dataflow.

    Attributes:
        mark: The next job reads what changed at or after it; None where only files are remembered, or nothing.
        files: What is remembered of files, as ``delta_files.FileMemory`` keeps it.
        job_id: The job that moved it; None for a person.
        revision: Counts the changes, for compare-and-set; 0 for a mark that was never set.
    """

    dataflow_id: str
    mark: datetime | None = None
    files: dict[str, Any] | None = field(default=None, repr=False)
    job_id: str | None = None
    revision: int = 0
    updated: datetime | None = None
    updated_by: str = ""


def get(tx: Transaction, dataflow_id: str) -> MarkRow:
    """The mark of a dataflow; an empty one where none was set."""
    row = tx.execute(sa.select(table).where(table.c.dataflow_id == dataflow_id)).one_or_none()
    if row is None:
        return MarkRow(dataflow_id)
    return MarkRow(**row._mapping)  # noqa: SLF001 - the public name of a row's columns in SQLAlchemy


def listing(tx: Transaction) -> Sequence[MarkRow]:
    """All marks."""
    rows = tx.execute(sa.select(table).order_by(table.c.dataflow_id))
    return [MarkRow(**row._mapping) for row in rows]  # noqa: SLF001 - see get


def move(
    tx: Transaction,
    before: MarkRow,
    *,
    mark: datetime | None,
    files: dict[str, Any] | None,
    by: str,
    job_id: str | None = None,
) -> bool:
    """Set the mark, if it still is as ``before`` says; False when it was changed meanwhile."""
    values = {
        "mark": mark,
        "files": files,
        "job_id": job_id,
        "revision": before.revision + 1,
        "updated": now(tx),
        "updated_by": by,
    }
    if before.revision:
        unchanged = sa.and_(table.c.dataflow_id == before.dataflow_id, table.c.revision == before.revision)
        return bool(tx.execute(sa.update(table).where(unchanged).values(values)).rowcount)
    try:
        insert_new(tx, sa.insert(table).values(dataflow_id=before.dataflow_id, **values))
    except AlreadyThere:
        return False
    return True


def edit(tx: Transaction, dataflow_id: str, *, mark: datetime | None, files: dict[str, Any] | None, by: str) -> MarkRow:
    """Set the mark as a person wants it. A job that is running does not move it any more.

    Raises:
        FlowError: LB-1731, a job moved it at the same moment.
    """
    if not move(tx, get(tx, dataflow_id), mark=mark, files=files, by=by):
        raise FlowError("LB-1731", "the mark of the dataflow was changed at the same moment", hint="Look at it again.")
    details = {"mark": mark.isoformat() if mark else None}
    action = "delta.set" if mark else "delta.reset"
    db_audit.note(tx, action, actor=by, object_kind="dataflow", object_id=dataflow_id, details=details)
    return get(tx, dataflow_id)


def keep_options(tx: Transaction, job_id: str, options: dict[str, Any]) -> None:
    """Keep with a job what it reads, so that it reads the same when it begins again."""
    tx.execute(sa.update(job).where(job.c.id == job_id).values(options=options))
