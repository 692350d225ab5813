"""The sites of the ``idx.*`` methods, and the credentials for calling them."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import Response
from pydantic import Field

from landbridge.errors import FlowError
from landbridge.jobs import db_sites
from landbridge.jobs.db import Transaction
from landbridge.server import idx_sites
from landbridge.server.api.access import Admin
from landbridge.server.api.place import Here, Place
from landbridge.server.api.problems import WithStatus
from landbridge.server.api.routing import Routes
from landbridge.server.api.shapes import Given, Name, Shown
from landbridge.server.idx_sites import Site

router = Routes(tag="sites")


class SiteShown(Shown):
    """A site, without its credentials."""

    api_key: str
    site_id: int
    name: str
    created: datetime
    updated: datetime


class SiteList(Shown):
    """All sites; the first one also has the dataflows that carry the API key of none."""

    items: list[SiteShown]


class NewSite(Given):
    """A site to be made."""

    api_key: Annotated[
        str | None, Field(max_length=255, description="That of a site which exists elsewhere; else a new one.")
    ] = None
    name: Annotated[str, Field(max_length=255)] = ""


class Credentials(Shown):
    """What a client needs to call ``idx.*`` for a site."""

    api_key: str
    user_key: str
    secret: str
    partner_secret: str
    private_key: Annotated[str, Field(description="RSA key for bearer tokens, PEM.")]


@router.get("/sites")
def list_sites(here: Here, _: Admin) -> SiteList:
    """List the sites of the idx.* methods."""
    with here.database.read() as tx:
        return SiteList(items=[SiteShown.model_validate(row) for row in db_sites.listing(tx)])


@router.post("/sites", status_code=HTTPStatus.CREATED)
def create_site(here: Here, caller: Admin, response: Response, wanted: NewSite) -> SiteShown:
    """Add a site with dataflows of its own, and new credentials."""
    with here.database.write() as tx:
        idx_sites.add_first(tx, here.vault)
        row = idx_sites.add(tx, here.vault, by=caller.name, api_key=wanted.api_key, name=wanted.name)
    response.headers["Location"] = "/api/v1/sites"
    return SiteShown.model_validate(row)


@router.get("/sites/{api_key}/credentials")
def show_credentials(here: Here, caller: Admin, api_key: Name) -> Credentials:
    """Show the credentials of a site. Noted in the audit trail."""
    with here.database.write() as tx:
        site = _find(here, tx, api_key)
        idx_sites.note_shown(tx, site.api_key, by=caller.name)
    return _shown(site)


@router.post("/sites/{api_key}/credentials")
def renew_credentials(here: Here, caller: Admin, api_key: Name) -> Credentials:
    """Give a site new credentials. The old ones end at once."""
    with here.database.write() as tx:
        site = _find(here, tx, api_key)
        idx_sites.renew(tx, here.vault, site.api_key, by=caller.name)
        return _shown(idx_sites.find(tx, here.vault, site.api_key))


def _find(here: Place, tx: Transaction, api_key: str) -> Site:
    try:
        return idx_sites.find(tx, here.vault, api_key)
    except FlowError as error:
        raise WithStatus(HTTPStatus.NOT_FOUND, error) from error


def _shown(site: Site) -> Credentials:
    return Credentials.model_validate({name: getattr(site, name) for name in Credentials.model_fields})
