"""``landbridge templates``: ready dataflows, filled in by a form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.listing import print_json

if TYPE_CHECKING:
    from landbridge.templates import Template
    from landbridge.templates.filling import Filled

app = typer.Typer(help="Make a ready dataflow from a template and a form.", no_args_is_help=True)


@app.command("list")
def list_templates() -> None:
    """List the templates."""
    from landbridge.templates import load, names

    for name in names():
        template = load(name)
        typer.echo(f"{name:<28} {template.form.title if template.form else template.flow.name}")


@app.command("show")
def show_template(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The template.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the form as a JSON schema.")] = False,
) -> None:
    """Show the fields of a template's form."""
    from landbridge.dataflow.variables import placeholders_of
    from landbridge.templates import load

    template = load(name)
    if as_json:
        shown = template.form.schema if template.form else {}
        print_json(shown)
        return
    typer.echo(f"{name}: {template.form.title if template.form else template.flow.name}")
    typer.echo(template.form.description if template.form else template.flow.description)
    if template.form is None:
        names = " ".join(f"--set {each}=…" for each in sorted(placeholders_of(template.flow)))
        typer.echo(f"\nIt has no form; its placeholders are filled when it runs: {names}")
        return
    for field in template.form.fields:
        facts = [field.type if not field.choices else " | ".join(map(str, field.choices))]
        facts += ["required"] if field.required and "default" not in field.schema else []
        facts += ["secret"] if field.is_secret else []
        facts += [f"default: {_shown(field.schema['default'])}"] if "default" in field.schema else []
        facts += [f"when {other} is {_shown_condition(wanted)}" for other, wanted in field.shown_when.items()]
        typer.echo(f"\n  {field.name}  ({'; '.join(facts)})\n      {field.label}. {field.help}")


@app.command("new")
def new_dataflow(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The template.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write the dataflow.")],
    values: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Fill a field of the form.")
    ] = None,
    values_file: Annotated[
        Path | None,
        typer.Option(
            "--values",
            metavar="FILE",
            help="JSON object with values, which several templates may share: what this form does not ask for is left.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
) -> None:
    """Write a ready dataflow, with its scheduling next to it, and lint it."""
    from landbridge.templates import load

    template = load(name)
    given = _of_this_form(template, _document(values_file), values_file) if values_file else {}
    for pair in values or []:
        field, equals, value = pair.partition("=")
        if not equals or not field:
            raise typer.BadParameter(f'"{pair}" is not FIELD=VALUE', param_hint="--set")
        given[field] = value
    filled = template.fill(given)
    _write(template, filled, output, force=force)
    raise typer.Exit(_lint(filled))


def _of_this_form(template: Template, values: dict[str, Any], file: Path) -> dict[str, Any]:
    """The values that the form asks for; the others are named, since a name may be misspelt."""
    asked = {field.name for field in template.form.fields} if template.form else set()
    others = [name for name in values if name not in asked]
    if others:
        typer.echo(f"note: {template.name} does not ask for these of {file}: {', '.join(others)}", err=True)
    return {name: value for name, value in values.items() if name in asked}


def _write(template: Template, filled: Filled, output: Path, *, force: bool) -> None:
    timed = output.with_name(f"{output.stem}.scheduling.json")
    for path in (output, timed) if filled.scheduling else (output,):
        if path.exists() and not force:
            raise typer.BadParameter(f"{path} exists; choose another name, or --force", param_hint="--output")
    output.write_text(filled.flow.dump() + "\n", encoding="utf-8")
    typer.echo(f"{output}: {filled.flow.name}, from the template {template.name}")
    if filled.scheduling:
        timed.write_text(json.dumps(filled.scheduling, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        typer.echo(f"{timed}: when it runs")


def _lint(filled: Filled) -> int:
    from landbridge.components.catalogue import InstalledComponents
    from landbridge.dataflow import format_text
    from landbridge.dataflow.problems import errors_of
    from landbridge.engine.lint import lint

    problems = lint(filled.flow, InstalledComponents())
    typer.echo(format_text(problems))
    return 1 if errors_of(problems) else 0


def _document(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"cannot read {file}: {error}", param_hint="--values") from None
    if not isinstance(document, dict):
        raise typer.BadParameter(f"{file} must hold a JSON object", param_hint="--values")
    return document


def _shown_condition(wanted: list[Any]) -> str:
    return "given" if wanted == ["*"] else " or ".join(map(str, wanted))


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(
            f"{each['sourceField']}={each['targetField']}" if isinstance(each, dict) else str(each) for each in value
        )
    return "true" if value is True else "false" if value is False else str(value)
