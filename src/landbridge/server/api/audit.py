"""The audit trail: who changed what, from where."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Query
from pydantic import Field

from landbridge.jobs import db_audit
from landbridge.jobs.db_audit import AuditRow, Lines
from landbridge.server.api.access import Admin
from landbridge.server.api.pages import Page, Pages
from landbridge.server.api.place import Here
from landbridge.server.api.routing import Routes
from landbridge.server.api.shapes import Instant, Shown

router: Final = Routes(tag="audit")

Wanted = Annotated[str | None, Query(max_length=500)]


class AuditShown(Shown):
    """One line."""

    id: int
    at: Instant
    actor: str
    action: Annotated[str, Field(description="What was done, such as dataflow.change.")]
    object_kind: str
    object_id: str
    address: Annotated[str, Field(description="Where the request came from; empty for the command line.")]
    details: dict[str, Any] | None


@router.get("/audit")
def list_audit(
    caller: Admin,
    here: Here,
    pages: Pages,
    actor: Wanted = None,
    action: Annotated[
        str | None, Query(max_length=500, description="An action, or with a dot at its end all of a kind: user.")
    ] = None,
    object_kind: Annotated[str | None, Query(alias="objectKind", max_length=500)] = None,
    object_id: Annotated[str | None, Query(alias="objectId", max_length=500)] = None,
    since: Annotated[Instant | None, Query(description="At this instant or later.")] = None,
    until: Annotated[Instant | None, Query(description="Before this instant.")] = None,
) -> Page[AuditShown]:
    """List the audit trail, the newest line first."""
    del caller
    lines = Lines(actor, action, object_kind, object_id, since, until)
    with here.database.read() as tx:
        rows = db_audit.listing(tx, lines, before=pages.position(int), limit=pages.limit + 1)
    return pages.page(rows, place=lambda row: row.id, shown=_shown)


def _shown(row: AuditRow) -> AuditShown:
    return AuditShown.model_validate(row)
