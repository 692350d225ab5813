"""``landbridge lint``: every problem of a dataflow in one go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from landbridge.cli.listing import print_json


def lint_flows(
    flows: Annotated[list[Path], typer.Argument(metavar="FLOW...", help="Dataflow files.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the problems as JSON.")] = False,
) -> None:
    """Check dataflows without running them. Exit code 1 when one has errors; warnings do not count."""
    from landbridge.components.catalogue import InstalledComponents
    from landbridge.dataflow import format_text
    from landbridge.dataflow.problems import errors_of
    from landbridge.engine.lint import lint_file

    catalogue = InstalledComponents()
    found = {str(path): lint_file(path, catalogue) for path in flows}
    if as_json:
        shown = [{"flow": name, "problems": [p.as_json() for p in problems]} for name, problems in found.items()]
        print_json(shown)
    else:
        for name, problems in found.items():
            typer.echo(f"{name}:")
            typer.echo("  " + format_text(problems).replace("\n", "\n  "))
    if any(errors_of(problems) for problems in found.values()):
        raise typer.Exit(1)
