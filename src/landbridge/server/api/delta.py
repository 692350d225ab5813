"""The mark of a dataflow: up to where its source was read."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from landbridge.jobs import db_dataflows, db_delta, delta
from landbridge.jobs.db import Transaction
from landbridge.jobs.db_delta import MarkRow
from landbridge.server.api.access import Editor, Viewer
from landbridge.server.api.etags import Base, MaybeBasedOn, Tags
from landbridge.server.api.place import Here
from landbridge.server.api.routing import Routes
from landbridge.server.api.shapes import Given, Instant, Key, Shown

router = Routes(tag="dataflows")


class MarkShown(Shown):
    """Where the next job begins to read."""

    dataflow_id: str
    mark: Annotated[datetime | None, Field(description="Null: the next job reads what a first one does.")]
    files: Annotated[int | None, Field(description="How many files are remembered; null for a source without files.")]
    files_since: Annotated[str | None, Field(description="Files from before count as read.")]
    job_id: Annotated[str | None, Field(description="The job that moved it; null for a person.")]
    revision: int
    updated: datetime | None
    updated_by: str


class NewMark(Given):
    """Where the next job shall begin to read."""

    mark: Instant


@router.get("/dataflows/{id}/delta")
def show_delta(here: Here, _: Viewer, tags: Tags, id: Key) -> MarkShown:
    """Show the mark of a dataflow."""
    with here.database.read() as tx:
        row = db_delta.get(tx, db_dataflows.get(tx, id).id)
    return tags.shown(row.revision, _shown(row))


@router.put("/dataflows/{id}/delta")
def set_delta(here: Here, caller: Editor, tags: Tags, base: MaybeBasedOn, id: Key, wanted: NewMark) -> MarkShown:
    """Set the mark: the next job reads what changed at or after it, and files of that time again."""
    with here.database.write() as tx:
        _check(tx, id, base)
        row = delta.set_mark(tx, id, wanted.mark, by=caller.name)
    return tags.shown(row.revision, _shown(row))


@router.delete("/dataflows/{id}/delta")
def reset_delta(here: Here, caller: Editor, tags: Tags, base: MaybeBasedOn, id: Key) -> MarkShown:
    """Forget the mark: the next job is like the first one."""
    with here.database.write() as tx:
        _check(tx, id, base)
        row = delta.reset(tx, id, by=caller.name)
    return tags.shown(row.revision, _shown(row))


def _check(tx: Transaction, id: str, base: Base) -> None:
    base.check(db_delta.get(tx, db_dataflows.get(tx, id).id).revision)


def _shown(row: MarkRow) -> MarkShown:
    return MarkShown(
        dataflow_id=row.dataflow_id,
        mark=row.mark,
        files=len(row.files["seen"]) if row.files else None,
        files_since=str(row.files["floor"]) if row.files else None,
        job_id=row.job_id,
        revision=row.revision,
        updated=row.updated,
        updated_by=row.updated_by,
    )
