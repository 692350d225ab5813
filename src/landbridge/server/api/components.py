"""The components of which dataflows are made, each with the JSON schema of its parameters."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from landbridge.components import registry
from landbridge.components.base import Component
from landbridge.components.catalogue import kind_of
from landbridge.components.reference import ports_of
from landbridge.errors import LandbridgeError
from landbridge.server.api.access import Viewer
from landbridge.server.api.routing import Routes
from landbridge.server.api.shapes import JsonObject, Name, Shown

router = Routes(tag="components")


class ComponentListed(Shown):
    """A component as it is listed."""

    id: str
    title: str
    kind: Annotated[str, Field(description="What sort of step it makes: record_reader, parser, formatter, …")]
    inputs: Annotated[str, Field(description="records, files or nothing.")]
    outputs: Annotated[str, Field(description="records, files or nothing.")]
    error_path: Annotated[bool, Field(description="Whether failed records take the error path.")]


class ComponentShown(ComponentListed):
    """A component with its parameters."""

    doc: str
    extra: Annotated[str, Field(description="The extra that its library needs; empty for none.")]
    params: Annotated[JsonObject, Field(description="The JSON schema of its parameters.")]


class ComponentList(Shown):
    """All components that are installed."""

    items: list[ComponentListed]


@router.get("/components")
def list_components(_: Viewer) -> ComponentList:
    """List the components that are installed; one that cannot be loaded is left out."""
    found = []
    for id_ in registry.ids():
        try:
            found.append(ComponentListed.model_validate(_values(registry.get(id_))))
        except LandbridgeError:
            continue
    return ComponentList(items=found)


@router.get("/components/{name}")
def show_component(_: Viewer, name: Name) -> ComponentShown:
    """Show a component with the JSON schema of its parameters."""
    cls = registry.get(name)
    more = {
        "doc": cls.spec.doc,
        "extra": cls.spec.extra or "",
        "params": cls.Params.model_json_schema(by_alias=True),
    }
    return ComponentShown.model_validate({**_values(cls), **more})


def _values(cls: type[Component]) -> JsonObject:
    takes, gives = ports_of(cls)
    return {
        "id": cls.spec.id,
        "title": cls.spec.title,
        "kind": kind_of(cls),
        "inputs": takes,
        "outputs": gives,
        "errorPath": cls.has_error_edge,
    }
