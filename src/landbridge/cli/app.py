"""The commands, each a thin door to the package that does the work."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Final, NoReturn

import typer

from landbridge import __version__
from landbridge.cli.lazy import lazy_group
from landbridge.errors import LandbridgeError

EXIT_FAILED = 1

COMMANDS: Final = {
    "run": "landbridge.cli.run:run",
    "lint": "landbridge.cli.lint:lint_flows",
    "check": "landbridge.cli.check:check",
    "show": "landbridge.cli.show:show",
    "components": "landbridge.cli.show:components",
    "demo": "landbridge.cli.demo:demo",
    "serve": "landbridge.cli.serve:serve",
    "worker": "landbridge.cli.serve:worker",
    "dataflows": "landbridge.cli.dataflows:app",
    "jobs": "landbridge.cli.jobs:app",
    "connections": "landbridge.cli.connections:app",
    "rejects": "landbridge.cli.rejects:app",
    "schedules": "landbridge.cli.schedules:app",
    "delta": "landbridge.cli.delta:app",
    "alerts": "landbridge.cli.alerts:app",
    "users": "landbridge.cli.users:app",
    "tokens": "landbridge.cli.tokens:app",
    "audit": "landbridge.cli.audit:app",
    "idx": "landbridge.cli.idx:app",
    "script": "landbridge.cli.script:app",
    "site": "landbridge.cli.site:app",
    "sandbox": "landbridge.cli.sandbox:app",
    "templates": "landbridge.cli.templates:app",
}
"""Where each command is, in the order of the help: a function, or a Typer with commands below it."""

app = typer.Typer(
    name="landbridge",
    cls=lazy_group(COMMANDS),
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Keep customer identities and marketing platforms in step: run IdentitySync dataflows on your own machines.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


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
    """Entry point of the command: errors of ours and of the machine become one clear message and exit code 1."""
    try:
        app()
    except LandbridgeError as error:
        _fail(error)
    except OSError as error:
        from landbridge.engine.failures import storage_error

        _fail(storage_error(error, None))
    finally:
        _let_go_of_output()


def _let_go_of_output() -> None:
    """Write out what is left; that a reader such as `head` has gone is no error, and Python would tell of it."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(error: LandbridgeError) -> NoReturn:
    sys.stderr.write(f"error: {error}\n")
    sys.exit(EXIT_FAILED)
