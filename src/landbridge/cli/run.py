"""``landbridge run``: one dataflow, once, with live progress and a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

EXIT_CODES = {"succeeded": 0, "failed": 1, "stopped": 1, "succeeded_with_errors": 3}


def run(
    flow: Annotated[Path, typer.Argument(metavar="FLOW", help="Dataflow file.")],
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
    stall_timeout: Annotated[float, typer.Option(metavar="SECONDS", min=1, help="Give up on a step that hangs.")] = 300,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print the program's log, without secrets.")] = False,
) -> None:
    """Run a dataflow once.

    Exit code 0: succeeded; 1: failed or stopped; 2: wrong usage; 3: succeeded, but some records were
    rejected.
    """
    import anyio

    from landbridge.cli.execution import Request, execute
    from landbridge.dataflow import Dataflow
    from landbridge.engine.runner import Options

    request = Request(
        flow=Dataflow.read(flow),
        placeholders=_placeholders(values or [], values_file),
        options=Options(limit=limit, dry_run=dry_run, stall_timeout_s=stall_timeout),
        rejects=rejects,
        quiet=quiet,
        debug=debug,
    )
    result = anyio.run(execute, request, backend_options={"use_uvloop": True})
    if report:
        report.write_text(json.dumps(result.as_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    raise typer.Exit(EXIT_CODES[result.status])


def _placeholders(pairs: list[str], file: Path | None) -> dict[str, str]:
    filled: dict[str, str] = {}
    if file is not None:
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise typer.BadParameter(f"cannot read {file}: {error}", param_hint="--values") from None
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
