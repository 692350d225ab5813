"""Templates: ready dataflows, and the forms that fill them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from landbridge.components.catalogue import InstalledComponents
from landbridge.engine.lint import lint
from landbridge.errors import FlowError
from landbridge.server.api.access import Viewer
from landbridge.server.api.dataflows import Linted, linted
from landbridge.server.api.problems import NO_SUCH_ROUTE, WithStatus
from landbridge.server.api.routing import Routes
from landbridge.server.api.shapes import JsonObject, Name, Shown
from landbridge.templates import Template, load, names

router = Routes(tag="templates")


class TemplateListed(Shown):
    """A template as it is listed."""

    name: str
    title: str
    description: str
    has_form: Annotated[bool, Field(description="Without one its placeholders are filled when it runs.")]


class TemplateShown(TemplateListed):
    """A template with its form."""

    form: Annotated[JsonObject | None, Field(description="The JSON schema of what to fill in.")]
    document: Annotated[JsonObject, Field(description="The dataflow with its placeholders.")]


class TemplateList(Shown):
    """All templates."""

    items: list[TemplateListed]


class Filled(Shown):
    """What a template has become. It is not stored yet."""

    document: Annotated[JsonObject, Field(description="The dataflow.")]
    scheduling: Annotated[JsonObject | None, Field(description="When it runs, without its dataflow's id.")]
    lint: Linted


@router.get("/templates")
def list_templates(_: Viewer) -> TemplateList:
    """List the templates."""
    return TemplateList(items=[TemplateListed.model_validate(_values(load(name))) for name in names()])


@router.get("/templates/{name}")
def show_template(_: Viewer, name: Name) -> TemplateShown:
    """Show a template with the JSON schema of its form."""
    template = _template(name)
    form = dict(template.form.schema) if template.form else None
    return TemplateShown.model_validate({**_values(template), "form": form, "document": dict(template.flow.as_json())})


@router.post("/templates/{name}/fill")
def fill_template(_: Viewer, name: Name, values: JsonObject) -> Filled:
    """Make a dataflow of a template and the values of its form. Send it to POST /dataflows to store it."""
    filled = _template(name).fill(values)
    return Filled(
        document=dict(filled.flow.as_json()),
        scheduling=filled.scheduling,
        lint=linted(lint(filled.flow, InstalledComponents())),
    )


def _template(name: str) -> Template:
    if name not in names():
        raise WithStatus(404, FlowError(NO_SUCH_ROUTE, f'there is no template "{name}"', hint="GET /api/v1/templates"))
    return load(name)


def _values(template: Template) -> JsonObject:
    form = template.form
    return {
        "name": template.name,
        "title": form.title if form else template.flow.name,
        "description": form.description if form else template.flow.description,
        "hasForm": form is not None,
    }
