"""``landbridge run``: one dataflow, once, with live progress and a report."""

from __future__ import annotations

import json
import os
import secrets
import signal
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import anyio
import typer

from landbridge.cli.home import home_folder
from landbridge.cli.progress import show_progress, show_report
from landbridge.dataflow import Dataflow, EnvironmentSecrets, JobValues
from landbridge.engine.counts import Report, Status
from landbridge.engine.prepare import Prepared, prepare
from landbridge.engine.rejects import RejectFile
from landbridge.engine.runner import Job, Options, Runner

EXIT_CODES = {
    Status.SUCCEEDED: 0,
    Status.FAILED: 1,
    Status.STOPPED: 1,
    Status.SUCCEEDED_WITH_ERRORS: 3,
}


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
    stall_timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="Give up on a step that hangs.")
    ] = 300,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Run a dataflow once.

    Exit code 0: succeeded; 1: failed, nothing was published; 2: wrong usage; 3: succeeded, but some records were
    rejected.
    """
    dataflow = Dataflow.read(flow)
    now = datetime.now(UTC)
    job_id = f"{now:%Y%m%d%H%M%S}{secrets.token_hex(9)}"
    ready = prepare(
        dataflow,
        job=JobValues(now=now, job_id=job_id, placeholders=_placeholders(values or [], values_file)),
        source=EnvironmentSecrets(os.environ),
    )
    rejects_path = rejects or home_folder() / "rejects" / f"{job_id}.jsonl"
    with tempfile.TemporaryDirectory(prefix="landbridge-") as spool:
        job = Job(
            id=job_id,
            dataflow=ready.plan.name,
            started=now,
            spool_dir=Path(spool),
            rejects=RejectFile(rejects_path, job=job_id),
            options=Options(limit=limit, dry_run=dry_run, stall_timeout_s=stall_timeout),
        )
        result = anyio.run(_drive, ready, job, quiet, backend_options={"use_uvloop": True})
    if report:
        report.write_text(json.dumps(result.as_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    show_report(result, rejects=rejects_path, quiet=quiet)
    raise typer.Exit(EXIT_CODES[result.status])


async def _drive(ready: Prepared, job: Job, quiet: bool) -> Report:
    runner = Runner(ready.plan, ready.make, job)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_stop_on_signal, runner)
        if not quiet:
            tasks.start_soon(show_progress, runner)
        result = await runner.run()
        tasks.cancel_scope.cancel()
    return result


async def _stop_on_signal(runner: Runner) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        async for number in received:
            runner.cancel(f"it received {number.name}")


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
