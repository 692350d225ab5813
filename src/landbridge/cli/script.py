"""``landbridge script``: try one step on sample records; scripts as files beside their dataflow."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from landbridge.cli.listing import print_json

app = typer.Typer(help="Try scripts, and keep them as files.", no_args_is_help=True)

_EXIT_REJECTS = 3


@app.command("run")
def run_step(
    flow: Annotated[Path, typer.Argument(metavar="FLOW", help="Dataflow file.")],
    step: Annotated[str, typer.Argument(metavar="STEP", help="Id of a step that changes records.")],
    sample: Annotated[Path, typer.Option(metavar="FILE", help="Records: a JSON array, or one object a line.")],
    values: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Fill the placeholder {{NAME}}.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run one step on sample records and show what goes in, what goes on, what fails, and the log.

    Nothing is read or sent elsewhere. Exit code 3 when records failed.
    """
    from landbridge.cli.run import placeholders
    from landbridge.components.script.trial import read_sample, try_step
    from landbridge.dataflow import Dataflow, EnvironmentSecrets
    from landbridge.engine.redaction import Redaction

    records = read_sample(sample)
    trial = try_step(
        Dataflow.read(flow),
        step,
        records,
        placeholders=placeholders(values or [], None),
        source=EnvironmentSecrets(os.environ),
    )
    redaction = Redaction(trial.secrets)
    failed = [{**failure, "message": redaction.masked(failure["message"])} for failure in trial.failed]
    log = [redaction.masked(line) for line in trial.log]
    if as_json:
        shown = {"input": records, "output": trial.output, "error": failed, "log": log}
        print_json(shown)
    else:
        for title, listed in (("input", records), ("output", trial.output), ("error", failed)):
            typer.echo(f"{title}: {len(listed)}")
            for record in listed:
                typer.echo("  " + json.dumps(record, ensure_ascii=False))
        typer.echo(f"log: {len(log)}")
        for line in log:
            typer.echo("  " + line.replace("\n", "\n  "))
    if failed:
        raise typer.Exit(_EXIT_REJECTS)


@app.command("extract")
def extract_scripts(
    flow: Annotated[Path, typer.Argument(metavar="FLOW", help="Dataflow file.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that hold something else.")] = False,
) -> None:
    """Write each script of a dataflow to a file beside it, FLOW.STEP.js. The dataflow stays as it is."""
    from landbridge.components.script.files import extract

    for step, path in extract(flow, overwrite=force).items():
        typer.echo(f"{step}: {path}")


@app.command("embed")
def embed_scripts(flow: Annotated[Path, typer.Argument(metavar="FLOW", help="Dataflow file.")]) -> None:
    """Put the scripts of the files FLOW.STEP.js back into the dataflow, as base64 where they were base64.

    A script that cannot run is refused. Nothing else in the dataflow's file changes.
    """
    from landbridge.components.script.files import embed

    for step, path in embed(flow).items():
        typer.echo(f"{step}: {f'from {path}' if path else 'unchanged'}")
