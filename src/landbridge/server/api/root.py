"""Where the API begins: its version, its addresses, its description."""

from __future__ import annotations

from landbridge import __version__
from landbridge.server.api.access import Viewer
from landbridge.server.api.routing import Routes
from landbridge.server.api.shapes import Shown

router = Routes(tag="service")

_LISTS = (
    "dataflows",
    "jobs",
    "rejects",
    "schedulings",
    "connections",
    "components",
    "templates",
    "alerts",
    "alert-rules",
    "workers",
)


class Root(Shown):
    """What there is."""

    version: str
    links: dict[str, str]


@router.get("")
def show_root(_: Viewer) -> Root:
    """Name the version, and where everything is."""
    links = {name: f"/api/v1/{name}" for name in (*_LISTS, "events", "session", "openapi.json")}
    return Root(version=__version__, links=links)
