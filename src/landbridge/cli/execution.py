"""Running one dataflow from the command line: prepare, drive with progress, report."""

from __future__ import annotations

import os
import secrets
import signal
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import anyio

from landbridge.cli.home import home_folder
from landbridge.cli.progress import show_progress, show_report
from landbridge.cli.redaction import log_to_stderr
from landbridge.dataflow import Dataflow, EnvironmentSecrets, JobValues
from landbridge.engine.counts import Report
from landbridge.engine.prepare import Prepared, prepare
from landbridge.engine.rejects import RejectFile
from landbridge.engine.runner import Job, Options, Runner


@dataclass(frozen=True, slots=True)
class Request:
    """What to run, and how.

    Attributes:
        flow: The dataflow.
        placeholders: Values for ``{{name}}``.
        options: See Options.
        rejects: Where to keep rejected records; a file of the job's own in the home folder when None.
        quiet: Print errors only.
        debug: Print the program's log, with tracebacks of unexpected errors.
    """

    flow: Dataflow
    placeholders: Mapping[str, str] = field(default_factory=dict)
    options: Options = field(default_factory=Options)
    rejects: Path | None = None
    quiet: bool = False
    debug: bool = False


async def execute(request: Request) -> Report:
    """Run a dataflow to its end, showing progress and result on standard error.

    Raises:
        DataflowError: It cannot run; nothing was opened.
    """
    now = datetime.now(UTC)
    job_id = f"{now:%Y%m%d%H%M%S}{secrets.token_hex(9)}"
    ready = prepare(
        request.flow,
        job=JobValues(now=now, job_id=job_id, placeholders=request.placeholders),
        source=EnvironmentSecrets(os.environ),
    )
    log_to_stderr(ready.secrets, debug=request.debug)
    rejects = request.rejects or home_folder() / "rejects" / f"{job_id}.jsonl"
    with tempfile.TemporaryDirectory(prefix="landbridge-") as spool:
        job = Job(
            id=job_id,
            dataflow=ready.plan.name,
            started=now,
            spool_dir=Path(spool),
            rejects=RejectFile(rejects, job=job_id),
            options=request.options,
        )
        report = await _drive(ready, job, quiet=request.quiet)
    show_report(report, rejects=rejects, quiet=request.quiet)
    return report


async def _drive(ready: Prepared, job: Job, *, quiet: bool) -> Report:
    runner = Runner(ready.plan, ready.make, job)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_stop_on_signal, runner)
        if not quiet:
            tasks.start_soon(show_progress, runner)
        report = await runner.run()
        tasks.cancel_scope.cancel()
    return report


async def _stop_on_signal(runner: Runner) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        async for number in received:
            runner.cancel(f"it received {number.name}")
