"""The versions of a dataflow: list, show, compare, export."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated

from fastapi import Query, Response
from pydantic import Field

from landbridge.jobs import db_dataflows, flows
from landbridge.server.api.access import Viewer
from landbridge.server.api.pages import Page, Pages
from landbridge.server.api.place import Here
from landbridge.server.api.routing import Routes
from landbridge.server.api.shapes import JsonObject, Key, Number, Shown

router = Routes(tag="dataflows")

VersionQuery = Annotated[int | None, Query(ge=1, le=2**31 - 1)]


class VersionListed(Shown):
    """A version as it is listed."""

    version: int
    name: str
    created: datetime
    created_by: str


class VersionShown(VersionListed):
    """A version with what it says."""

    document: Annotated[JsonObject, Field(description="The dataflow, secrets masked.")]


class Difference(Shown):
    """What changed between two versions."""

    old: int
    new: int
    lines: Annotated[list[str], Field(description="A unified diff of the two documents; empty when they are alike.")]


@router.get("/dataflows/{id}/versions")
def list_versions(here: Here, _: Viewer, pages: Pages, id: Key) -> Page[VersionListed]:
    """List the versions of a dataflow, the newest first."""
    before = pages.position(int)
    with here.database.read() as tx:
        rows = db_dataflows.all_versions(tx, db_dataflows.get(tx, id).id, before=before, limit=pages.limit + 1)
    return pages.page(rows, place=lambda row: row.version, shown=VersionListed.model_validate)


@router.get("/dataflows/{id}/versions/{version}")
def show_version(here: Here, _: Viewer, id: Key, version: Number) -> VersionShown:
    """Show one version of a dataflow."""
    with here.database.read() as tx:
        row = db_dataflows.version(tx, db_dataflows.get(tx, id).id, version)
    return VersionShown(**dict(VersionListed.model_validate(row)), document=json.loads(row.document))


@router.get("/dataflows/{id}/diff")
def compare_versions(here: Here, _: Viewer, id: Key, old: VersionQuery = None, new: VersionQuery = None) -> Difference:
    """Compare two versions of a dataflow: by default the newest one and the one before."""
    with here.database.read() as tx:
        after = db_dataflows.version(tx, db_dataflows.get(tx, id).id, new)
        before = db_dataflows.version(tx, id, old or max(1, after.version - 1))
    return Difference(old=before.version, new=after.version, lines=flows.difference(before, after))


@router.get(
    "/dataflows/{id}/export",
    response_class=Response,
    responses={200: {"description": "The dataflow.", "content": {"application/json": {"schema": {"type": "object"}}}}},
)
def export_dataflow(here: Here, _: Viewer, id: Key, version: VersionQuery = None) -> Response:
    """Give a dataflow as a file, secrets masked."""
    with here.database.read() as tx:
        row = db_dataflows.version(tx, db_dataflows.get(tx, id).id, version)
    headers = {"Content-Disposition": f'attachment; filename="dataflow-{id}-{row.version}.json"'}
    return Response(row.document, media_type="application/json", headers=headers)
