"""Dataflows and their drafts: list, create, read, change, remove, publish, lint.

A dataflow is sent and shown as IdentitySync writes it. Its secrets are shown as ``********``; the mask, sent back,
keeps what is stored.
"""

from __future__ import annotations

import json
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Final, Literal

from fastapi import Query, Response
from pydantic import Field

from landbridge.components.catalogue import InstalledComponents
from landbridge.dataflow import Dataflow
from landbridge.dataflow.problems import DataflowError, Problem, errors_of
from landbridge.engine.lint import lint
from landbridge.errors import FlowError
from landbridge.jobs import db_dataflows, db_idx, db_revisions, db_schedules, flows
from landbridge.jobs.db import Transaction
from landbridge.jobs.db_dataflows import DataflowRow, Kind, VersionRow
from landbridge.jobs.roles import Caller, Role
from landbridge.server.api.access import Editor, Viewer
from landbridge.server.api.etags import Base, BasedOn, Tags
from landbridge.server.api.pages import NamePlace, Page, Pages
from landbridge.server.api.place import Here, Place
from landbridge.server.api.problems import INVALID_REQUEST, FindingShown, unprocessable
from landbridge.server.api.routing import Routes
from landbridge.server.api.shapes import JsonObject, Key, Shown
from landbridge.server.consent_rule import check_consent_guard

router = Routes(tag="dataflows")

_MAX_NAME: Final = 255


class DataflowListed(Shown):
    """A dataflow as it is listed."""

    id: str
    kind: Kind
    draft_of: Annotated[str | None, Field(description="The dataflow that a draft belongs to.")]
    api_key: Annotated[str, Field(description="The site it belongs to; empty for none.")]
    name: str
    description: str
    version: Annotated[int, Field(description="The newest version.")]
    last_runtime: Annotated[datetime | None, Field(description="Start of the last job that succeeded.")]
    created: datetime
    updated: datetime
    updated_by: str


class DataflowShown(DataflowListed):
    """A dataflow with what it says."""

    document: Annotated[JsonObject, Field(description="The dataflow, secrets masked.")]


class Linted(Shown):
    """What is wrong with a dataflow."""

    can_run: Annotated[bool, Field(description="Whether nothing is wrong but warnings.")]
    problems: list[FindingShown]


@router.get("/dataflows")
def list_dataflows(
    here: Here,
    _: Viewer,
    pages: Pages,
    kind: Annotated[Literal["published", "draft", "all"], Query(description="Which kind.")] = "published",
    draft_of: Annotated[
        str | None, Query(alias="draftOf", max_length=255, description="Only the drafts of this dataflow.")
    ] = None,
    name: Annotated[
        str | None, Query(max_length=255, description="Only those whose names contain this, in any case.")
    ] = None,
) -> Page[DataflowListed]:
    """List dataflows by name."""
    with here.database.read() as tx:
        rows = db_dataflows.listing(
            tx,
            kind=None if kind == "all" else kind,
            draft_of=draft_of,
            name=name,
            limit=pages.limit + 1,
            after=pages.position(NamePlace),
        )
    return pages.page(rows, place=lambda row: (row.name, row.id), shown=DataflowListed.model_validate)


@router.post("/dataflows", status_code=HTTPStatus.CREATED)
def create_dataflow(
    here: Here,
    caller: Editor,
    tags: Tags,
    document: JsonObject,
    kind: Annotated[Kind, Query(description="A dataflow, or a draft.")] = "published",
    draft_of: Annotated[
        str | None, Query(alias="draftOf", max_length=255, description="The dataflow that a draft belongs to.")
    ] = None,
) -> DataflowShown:
    """Store a new dataflow, or a new draft. It need not be able to run yet."""
    flow = read_dataflow(document)
    if draft_of is not None and kind != "draft":
        raise FlowError(INVALID_REQUEST, "draftOf is for drafts only", hint="Add kind=draft.")
    with here.database.write() as tx:
        with unprocessable(db_dataflows.UNKNOWN_DATAFLOW):
            before = db_dataflows.version(tx, db_dataflows.get(tx, draft_of).id) if draft_of is not None else None
        _check_consent(here, caller, flow, before)
        content = here.documents.content(flow, before=before)
        row = db_dataflows.add(tx, content, by=caller.name, kind=kind, draft_of=draft_of)
        stored = db_dataflows.version(tx, row.id)
    tags.response.headers["Location"] = f"/api/v1/dataflows/{row.id}"
    return tags.shown(row.version, shown(row, stored))


@router.post("/dataflows/lint")
def lint_posted_dataflow(_: Viewer, document: JsonObject) -> Linted:
    """Find everything that is wrong with a dataflow, without storing it."""
    return linted(lint(json.dumps(document), InstalledComponents(), source="the dataflow"))


@router.get("/dataflows/{id}")
def show_dataflow(here: Here, _: Viewer, tags: Tags, id: Key) -> DataflowShown:
    """Show a dataflow."""
    with here.database.read() as tx:
        row = db_dataflows.get(tx, id)
        return tags.shown(row.version, shown(row, db_dataflows.version(tx, id)))


@router.put("/dataflows/{id}")
def change_dataflow(
    here: Here, caller: Editor, tags: Tags, base: BasedOn, id: Key, document: JsonObject
) -> DataflowShown:
    """Store a new version of a dataflow or draft; one that says the same as the newest makes none."""
    flow = read_dataflow(document)
    with here.database.write() as tx:
        _check(tx, id, base)
        _check_consent(here, caller, flow, db_dataflows.version(tx, id))
        row = flows.change(tx, here.documents, id, flow, by=caller.name).row
        return tags.shown(row.version, shown(row, db_dataflows.version(tx, id)))


@router.delete("/dataflows/{id}", status_code=HTTPStatus.NO_CONTENT)
def remove_dataflow(here: Here, caller: Editor, base: BasedOn, id: Key) -> Response:
    """Remove a dataflow with its drafts and schedulings. What is known of its jobs stays."""
    with here.database.write() as tx:
        _check(tx, id, base)
        for scheduling in db_idx.schedulings_of(tx, [id, *db_idx.drafts_of(tx, id)]):
            db_schedules.remove(tx, scheduling, by=caller.name)
        db_dataflows.remove(tx, id, by=caller.name)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.get("/dataflows/{id}/lint")
def lint_dataflow(here: Here, _: Viewer, id: Key) -> Linted:
    """Find everything that is wrong with a stored dataflow."""
    with here.database.read() as tx:
        stored = db_dataflows.version(tx, db_dataflows.get(tx, id).id)
    return linted(lint(stored.document, InstalledComponents(), source=stored.name))


@router.post("/dataflows/{id}/publish")
def publish_draft(here: Here, caller: Editor, tags: Tags, base: BasedOn, id: Key) -> DataflowShown:
    """Make a draft the newest version of its dataflow, or a dataflow of its own. The draft is removed."""
    with here.database.write() as tx:
        _check(tx, id, base)
        draft = db_dataflows.get(tx, id)
        if draft.kind != "draft":
            raise FlowError(INVALID_REQUEST, f'"{draft.name}" is no draft')
        flow = here.documents.whole(db_dataflows.version(tx, id))
        of = draft.draft_of
        _check_consent(here, caller, flow, None if of is None else db_dataflows.version(tx, of))
        if draft.draft_of is not None:
            row = flows.change(tx, here.documents, draft.draft_of, flow, by=caller.name).row
        else:
            row = db_dataflows.add(tx, here.documents.content(flow), by=caller.name)
        db_dataflows.remove(tx, id, by=caller.name)
        return tags.shown(row.version, shown(row, db_dataflows.version(tx, row.id)))


def read_dataflow(document: JsonObject) -> Dataflow:
    """A dataflow as a client has sent it.

    Raises:
        DataflowError: With everything that is wrong with its form.
        FlowError: LB-1791, it has no name, or too long a one.
    """
    flow, problems = Dataflow.from_json(document)
    if errors_of(problems):
        raise DataflowError(problems)
    if not 0 < len(flow.name) <= _MAX_NAME:
        raise FlowError(INVALID_REQUEST, f"the dataflow needs a name of at most {_MAX_NAME} characters")
    return flow


def shown(row: DataflowRow, stored: VersionRow) -> DataflowShown:
    """A dataflow as clients see it."""
    listed = DataflowListed.model_validate(row)
    return DataflowShown(**dict(listed), document=json.loads(stored.document))


def linted(problems: list[Problem]) -> Linted:
    """What lint has found, as clients see it."""
    return Linted(
        can_run=not errors_of(problems), problems=[FindingShown.model_validate(problem) for problem in problems]
    )


def _check_consent(here: Place, caller: Caller, flow: Dataflow, before: VersionRow | None) -> None:
    if not caller.role.may(Role.ADMIN):
        check_consent_guard(flow, None if before is None else here.documents.masked(before))


def _check(tx: Transaction, id: str, base: Base) -> None:
    db_dataflows.get(tx, id)
    base.check(db_revisions.locked(tx, "dataflow", id))
