"""What a route works on: the database, and what opens and seals the secrets in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request

from landbridge.jobs.db import Database
from landbridge.jobs.documents import Documents
from landbridge.jobs.vault import Vault


@dataclass(frozen=True, slots=True)
class Place:
    """The data of a service; ``data`` is its folder."""

    database: Database
    vault: Vault
    documents: Documents
    data: Path


async def _place(request: Request) -> Place:
    found: Place = request.app.state.place
    return found


Here = Annotated[Place, Depends(_place)]
