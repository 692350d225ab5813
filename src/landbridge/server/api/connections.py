"""Stored connections. Secrets go in and never come out: what is shown of them is ``********``."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import Request, Response
from pydantic import Field

from landbridge.components.catalogue import InstalledComponents
from landbridge.dataflow.connections import Connected, kinds
from landbridge.dataflow.variables import MASK
from landbridge.jobs import connections, db_connections, db_revisions, far_sides
from landbridge.jobs.connections import Values
from landbridge.jobs.db import Transaction
from landbridge.jobs.probing import Probe
from landbridge.server.api.access import Editor, Viewer
from landbridge.server.api.etags import Base, BasedOn, Tags
from landbridge.server.api.pages import Page, Pages
from landbridge.server.api.place import Here, Place
from landbridge.server.api.routing import Routes
from landbridge.server.api.shapes import Given, Name, Shown, Text
from landbridge.server.api.testing import Tested, Tests

router = Routes(tag="connections")

ParamNames = Annotated[dict[str, Text], Field(max_length=200)]
SecretValues = Annotated[dict[str, Annotated[str, Field(max_length=1_000_000)]], Field(max_length=200)]


class ConnectionListed(Shown):
    """A connection as it is listed, without a word on its secrets."""

    name: str
    type: Annotated[str, Field(description="The system, as component ids end: sftp, amazon.s3, gigya.")]
    params: dict[str, str]
    revision: int
    created: datetime
    updated: datetime
    updated_by: str


class ConnectionShown(ConnectionListed):
    """A connection; the secrets that it has are among its params, masked."""

    used_by: Annotated[list[str], Field(description="The names of the dataflows and drafts that use it.")]


class NewConnection(Given):
    """A connection to be stored."""

    name: Annotated[str, Field(max_length=255)]
    type: Annotated[str, Field(max_length=255, description="GET /connections/types lists all.")]
    params: Annotated[
        ParamNames, Field(description="Parameters that are no secrets, or references such as ${env:X}.")
    ] = Field(default_factory=dict)
    secrets: Annotated[SecretValues, Field(description="Secrets by parameter.")] = Field(default_factory=dict)


class ConnectionValues(Given):
    """All that is to be stored of a connection. A secret that is ``********`` stays; what is left out is removed."""

    params: ParamNames = Field(default_factory=dict)
    secrets: SecretValues = Field(default_factory=dict)


class ConnectionTest(Given):
    """What a test needs and is not stored."""

    params: Annotated[ParamNames, Field(description="Such as remotePath.")] = Field(default_factory=dict)


class Types(Shown):
    """The systems that there are connections to."""

    types: list[str]


@router.get("/connections")
def list_connections(here: Here, _: Viewer, pages: Pages) -> Page[ConnectionListed]:
    """List connections by name."""
    after = pages.position(str)
    with here.database.read() as tx:
        rows = db_connections.listing(tx, limit=pages.limit + 1, after=after)
    return pages.page(
        rows,
        place=lambda row: row.name,
        shown=lambda row: ConnectionListed.model_validate(connections.shown(row, None)),
    )


@router.post("/connections", status_code=HTTPStatus.CREATED)
def create_connection(here: Here, caller: Editor, tags: Tags, wanted: NewConnection) -> ConnectionShown:
    """Store a new connection. Steps use it by ``"connection": "NAME"`` among their params."""
    values = Values(wanted.params, wanted.secrets)
    with here.database.write() as tx:
        connections.add(tx, here.vault, wanted.name, kind=wanted.type, values=values, by=caller.name)
        found = _shown(tx, here, wanted.name)
    tags.response.headers["Location"] = f"/api/v1/connections/{wanted.name}"
    return tags.shown(found.revision, found)


@router.get("/connections/types")
def list_connection_types(_: Viewer) -> Types:
    """List the systems that there are connections to."""
    return Types(types=kinds(InstalledComponents().ids()))


@router.get("/connections/{name}")
def show_connection(here: Here, _: Viewer, tags: Tags, name: Name) -> ConnectionShown:
    """Show a connection with masked secrets, and who uses it."""
    with here.database.read() as tx:
        found = _shown(tx, here, name)
    return tags.shown(found.revision, found)


@router.put("/connections/{name}")
def change_connection(
    here: Here, caller: Editor, tags: Tags, base: BasedOn, name: Name, wanted: ConnectionValues
) -> ConnectionShown:
    """Replace what is stored of a connection."""
    with here.database.write() as tx:
        _check(tx, name, base)
        stored = _shown(tx, here, name)
        kept = {key for key, value in wanted.secrets.items() if value == MASK and stored.params.get(key) == MASK}
        given = {key: value for key, value in wanted.secrets.items() if key not in kept}
        gone = stored.params.keys() - wanted.params.keys() - wanted.secrets.keys()
        values = Values(wanted.params, given, tuple(gone))
        connections.change(tx, here.vault, name, values=values, by=caller.name)
        found = _shown(tx, here, name)
    return tags.shown(found.revision, found)


@router.delete("/connections/{name}", status_code=HTTPStatus.NO_CONTENT)
def remove_connection(here: Here, caller: Editor, base: BasedOn, name: Name, force: bool = False) -> Response:
    """Remove a connection that no dataflow uses; with ``force`` also one that is used."""
    with here.database.write() as tx:
        _check(tx, name, base)
        connections.remove(tx, name, by=caller.name, force=force)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.post("/connections/{name}/test")
async def try_connection(
    here: Here, _: Editor, request: Request, name: Name, wanted: ConnectionTest | None = None
) -> Tested:
    """Try a connection: reach the system, log in, look at the folder. Nothing is sent there."""
    given = wanted.params if wanted else {}
    tests: Tests = request.app.state.tests

    def stored() -> list[Connected]:
        with here.database.read() as tx:
            return far_sides.candidates(tx, here.vault, name, given)

    wholes = await request.app.state.threads.run(stored)
    return await tests.run(Probe.of(wholes, connection=name))


def _shown(tx: Transaction, here: Place, name: str) -> ConnectionShown:
    row = db_connections.find(tx, name)
    return ConnectionShown.model_validate(
        {**connections.shown(row, here.vault), "usedBy": connections.used_by(tx, name)}
    )


def _check(tx: Transaction, name: str, base: Base) -> None:
    db_connections.find(tx, name)
    base.check(db_revisions.locked(tx, "connection", name))
