"""The REST API under ``/api/v1``: everything that the command line can do, for programs and the console."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio
from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from landbridge.jobs.db import Database
from landbridge.jobs.documents import Documents
from landbridge.jobs.vault import Vault
from landbridge.server.api import (
    alerts,
    audit,
    components,
    connections,
    dataflow_versions,
    dataflows,
    delta,
    events,
    jobs,
    keys,
    openapi,
    problems,
    rejects,
    root,
    schedulings,
    sessions,
    sites,
    templates,
    testing,
    tokens,
    users,
    workers,
)
from landbridge.server.api.etags import NotModified
from landbridge.server.api.feed import Feed
from landbridge.server.api.place import Place
from landbridge.server.api.routing import Threads
from landbridge.server.api.testing import Tests

ROOT: Final = "/api/v1"

_PARTS: Final = (
    root,
    sessions,
    users,
    tokens,
    audit,
    dataflows,
    dataflow_versions,
    delta,
    testing,
    jobs,
    events,
    rejects,
    schedulings,
    connections,
    keys,
    components,
    templates,
    alerts,
    workers,
    sites,
)
"""In the order of the description."""


def install(app: FastAPI, *, database: Database, vault: Vault, data: Path) -> None:
    """Let an application answer the API.

    Args:
        app: The application; who calls is found out before it (see ``server.gate``).
        database: What the API shows and changes.
        vault: Opens and seals secrets.
        data: The data folder.
    """
    app.state.threads = Threads()
    app.state.tests = Tests()
    app.state.rotations = Threads(1, timeout_s=keys.ROTATION_TIMEOUT_S, max_waiting=1)
    app.state.feed = Feed(database, app.state.threads)
    app.state.place = Place(database, vault, Documents(vault), data)
    problems.install(app)
    app.add_exception_handler(NotModified, _not_modified)
    app.include_router(router())
    openapi.install(app)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """What goes on beside the requests of an application."""
    feed: Feed = app.state.feed
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed.run)
        yield
        tasks.cancel_scope.cancel()


def router() -> APIRouter:
    """All routes of the API."""
    found = APIRouter()
    for each in _PARTS:
        found.include_router(each.router, prefix=ROOT)
    return found


async def _not_modified(_: Request, error: Exception) -> Response:
    tag = error.tag if isinstance(error, NotModified) else ""
    return Response(status_code=304, headers={"ETag": tag})
