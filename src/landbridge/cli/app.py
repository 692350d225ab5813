"""The commands, each a thin door to the package that does the work."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from landbridge import __version__
from landbridge.cli import connections, demo, lint, run, script, show, site
from landbridge.errors import LandbridgeError

EXIT_FAILED = 1

app = typer.Typer(
    name="landbridge",
    help="Keep customer identities and marketing platforms in step: run IdentitySync dataflows on your own machines.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run")(run.run)
app.command("lint")(lint.lint_flows)
app.command("show")(show.show)
app.command("components")(show.components)
app.command("demo")(demo.demo)
app.add_typer(connections.app, name="connections")
app.add_typer(script.app, name="script")
app.add_typer(site.app, name="site")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"landbridge {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    del version


def main() -> None:
    """Entry point of the command: errors of ours become one clear message and exit code 1."""
    try:
        app()
    except LandbridgeError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(EXIT_FAILED)
