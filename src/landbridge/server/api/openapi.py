"""The OpenAPI document of the service, as exact as the routes are."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from landbridge import __version__
from landbridge.server.api.problems import Problem

_DESCRIPTION: Final = """Everything that the command line of landbridge can do, for programs.

Requests carry `Authorization: Bearer` and a token, or the cookie of a session with its CSRF token. Long lists come in
pages; changes are based on the ETag of what was read; errors are problems as RFC 9457 writes them, each with a code.
"""


def install(app: FastAPI) -> None:
    """Let an application describe itself."""

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = document(app)
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]  # as FastAPI's documentation has it


def document(app: FastAPI) -> dict[str, Any]:
    """The document."""
    found = get_openapi(
        title="Landbridge", version=__version__, description=_DESCRIPTION, routes=app.routes, summary="The REST API."
    )
    template = "#/components/schemas/{model}"
    _, problem = models_json_schema([(Problem, "serialization")], by_alias=True, ref_template=template)
    components = found.setdefault("components", {})
    components["schemas"] = {**components.get("schemas", {}), **problem["$defs"]}
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer"},
        "session": {"type": "apiKey", "in": "cookie", "name": "landbridge_session"},
    }
    found["security"] = [{"token": []}, {"session": []}]
    return found
