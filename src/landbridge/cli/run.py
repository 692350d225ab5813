"""``landbridge run``: one dataflow, once, with live progress and a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landbridge.cli.place import DatabaseOption, DataOption

if TYPE_CHECKING:
    from landbridge.cli.report_file import ReportFile

EXIT_CODES = {"succeeded": 0, "failed": 1, "stopped": 1, "succeeded_with_errors": 3}


def run(
    flow: Annotated[Path, typer.Argument(metavar="FLOW", help="Dataflow file.")],
    *,
    values: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Fill the placeholder {{NAME}}.")
    ] = None,
    values_file: Annotated[
        Path | None,
        typer.Option("--values", metavar="FILE", help="JSON object with values for placeholders."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Read at most this many records.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Do everything but the last write.")] = False,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the result as JSON.")] = None,
    rejects: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to keep records that fail without an error path."),
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Keep what the job has done, so that the same command goes on where a killed one stopped.",
        ),
    ] = None,
    approve: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="Let pass what a guard has stopped under this code.")
    ] = None,
    consent_ledger: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Remember who has opted out, and never opt them in again."),
    ] = None,
    processes: Annotated[
        int, typer.Option(min=1, max=256, help="Read and transform on so many processes, where the input allows it.")
    ] = 1,
    stall_timeout: Annotated[float, typer.Option(metavar="SECONDS", min=1, help="Give up on a step that hangs.")] = 300,
    data: DataOption = None,
    database: DatabaseOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print the program's log, without secrets.")] = False,
) -> None:
    """Run a dataflow once.

    Exit code 0: succeeded; 1: failed or stopped; 2: wrong usage; 3: succeeded, but some records were
    rejected.
    """
    filled = placeholders(values or [], values_file)
    place = _report_file(report) if report else None
    if rejects:
        _check_rejects(rejects)

    from landbridge.cli.connected import connected
    from landbridge.cli.readiness import ready
    from landbridge.dataflow import format_text

    whole, warnings = ready(
        flow,
        placeholders=filled,
        set_names=placeholders(values or [], None),
        connected=lambda found: connected(found, data=data, database=database),
    )
    if warnings and not quiet:
        typer.echo(format_text(warnings, summary=False), err=True)

    import anyio

    from landbridge.cli.execution import Request, execute
    from landbridge.engine.runner import Options

    request = Request(
        flow=whole.flow,
        connection_secrets=whole.secrets,
        placeholders=filled,
        options=Options(limit=limit, dry_run=dry_run, stall_timeout_s=stall_timeout),
        rejects=rejects,
        journal=journal,
        approved=tuple(approve or ()),
        consent_ledger=consent_ledger,
        processes=processes,
        quiet=quiet,
        debug=debug,
    )
    result = anyio.run(execute, request, backend_options={"use_uvloop": True})
    if place:
        try:
            place.write(result.as_json())
        except OSError as error:  # how the job ended counts more
            typer.echo(f"error: cannot write the report {report}: {error.strerror}", err=True)
    raise typer.Exit(EXIT_CODES[result.status])


def _report_file(path: Path) -> ReportFile:
    """The place of a report, before the job starts: a job whose result cannot be kept is not begun."""
    from landbridge.cli.report_file import ReportFile

    place = ReportFile(path)
    try:
        place.check()
    except OSError as error:
        raise typer.BadParameter(f"cannot write {path}: {error.strerror}", param_hint="--report") from None
    return place


def _check_rejects(path: Path) -> None:
    """A misspelt path is told now, and not when the first record fails."""
    if path.is_dir():
        raise typer.BadParameter(f"cannot write {path}: it is a folder", param_hint="--rejects")
    if not path.absolute().parent.is_dir():
        raise typer.BadParameter(f"cannot write {path}: its folder does not exist", param_hint="--rejects")


def placeholders(pairs: list[str], file: Path | None) -> dict[str, str]:
    """The values for placeholders, from NAME=VALUE pairs and a JSON file; a pair counts more than the file."""
    filled: dict[str, str] = {}
    if file is not None:
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else f"it is not JSON: {error}"
            raise typer.BadParameter(f"cannot read {file}: {reason}", param_hint="--values") from None
        if not isinstance(document, dict):
            raise typer.BadParameter(f"{file} must hold a JSON object", param_hint="--values")
        filled.update(
            {name: value if isinstance(value, str) else json.dumps(value) for name, value in document.items()}
        )
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f'"{pair}" is not NAME=VALUE', param_hint="--set")
        filled[name] = value
    return filled
