"""``landbridge show`` and ``landbridge components``: what a dataflow does, and what one can be made of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.listing import print_json

if TYPE_CHECKING:
    from landbridge.components.base import Component, ComponentSpec
    from landbridge.components.reference import Parameter


class GraphFormat(StrEnum):
    """How a graph is printed."""

    TEXT = "text"
    MERMAID = "mermaid"


def show(
    flow: Annotated[Path, typer.Argument(metavar="FLOW", help="Dataflow file.")],
    graph: Annotated[GraphFormat, typer.Option("--format", help="Text, or Mermaid for documents.")] = GraphFormat.TEXT,
) -> None:
    """Show the steps of a dataflow and how they are joined, also of a wrong one as far as it can be read."""
    from landbridge.dataflow import Dataflow, DataflowError, format_text
    from landbridge.dataflow.graph import as_mermaid, as_text
    from landbridge.dataflow.model import read_text
    from landbridge.dataflow.problems import errors_of

    dataflow, problems = Dataflow.examine(read_text(flow), source=str(flow))
    if dataflow is None:
        raise DataflowError(problems)
    typer.echo(as_text(dataflow) if graph is GraphFormat.TEXT else as_mermaid(dataflow))
    if errors := errors_of(problems):
        typer.echo(f"not all of it can be read:\n{format_text(errors, summary=False)}", err=True)


def components(
    component: Annotated[str | None, typer.Argument(metavar="[ID]", help="Component id; all when left out.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, with the JSON schema of the parameters.")
    ] = False,
) -> None:
    """List the components, or describe one with its parameters."""
    from landbridge.components import registry

    classes = [registry.get(component.strip())] if component else list(_usable(registry.ids()))
    if as_json:
        described = [_as_json(cls) for cls in classes]
        print_json(described[0] if component else described)
    elif component:
        _describe(classes[0])
    else:
        _list([cls.spec for cls in classes])


def _usable(ids: list[str]) -> Iterator[type[Component]]:
    """The classes of the components; one that cannot be loaded is told and does not hide the others."""
    from landbridge.components import registry
    from landbridge.errors import LandbridgeError

    for name in ids:
        try:
            yield registry.get(name)
        except LandbridgeError as error:
            typer.echo(f"warning: {error}", err=True)


def _list(specs: list[ComponentSpec]) -> None:
    from rich.table import Table

    from landbridge.cli.console import show as show_on_console
    from landbridge.components.reference import ports_of

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("component", "what it does", "takes", "gives"):
        table.add_column(title, no_wrap=title == "component")
    for spec in specs:
        takes, gives = ports_of(spec.kind)
        table.add_row(spec.id, spec.title, takes, gives)
    show_on_console(table)


def _describe(cls: type[Component]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from landbridge.cli.console import show as show_on_console
    from landbridge.components.reference import parameters_of, ports_of

    takes, gives = ports_of(cls)
    paragraphs = [" ".join(paragraph.split()) for paragraph in cls.spec.doc.split("\n\n")]
    title = f"[bold]{cls.spec.id}[/bold]  {escape(cls.spec.title)}   ({takes} -> {gives})"
    show_on_console("\n".join([title, "", *map(escape, paragraphs), ""]))
    rows = parameters_of(cls)
    if not rows:
        typer.echo("no parameters")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("parameter", "type", "default", "meaning"):
        table.add_column(title, no_wrap=title == "parameter")
    for row in rows:
        table.add_row(*map(escape, (row.name, row.type, _default(row), row.text)))
    show_on_console(table)


def _default(row: Parameter) -> str:
    return (
        "required" if row.required else json.dumps(row.default, ensure_ascii=False) if row.default is not None else ""
    )


def _as_json(cls: type[Component]) -> dict[str, Any]:
    from landbridge.components.reference import ports_of

    takes, gives = ports_of(cls)
    return {
        "id": cls.spec.id,
        "title": cls.spec.title,
        "doc": cls.spec.doc,
        "inputs": takes,
        "outputs": gives,
        "errorPath": cls.has_error_edge,
        "extra": cls.spec.extra,
        "params": cls.Params.model_json_schema(by_alias=True),
    }
