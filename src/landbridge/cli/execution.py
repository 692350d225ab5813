"""Running one dataflow from the command line: prepare, drive with progress, report."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import anyio

from landbridge.cli.empty_input import nothing_read
from landbridge.cli.home import home_folder
from landbridge.cli.log import log_to_stderr
from landbridge.cli.progress import show_parts, show_progress, show_report
from landbridge.cli.spool import spool_folder
from landbridge.dataflow import Dataflow, EnvironmentSecrets, JobValues
from landbridge.dataflow.connections import StoredSecrets
from landbridge.engine import failures
from landbridge.engine.consent import FileLedger
from landbridge.engine.counts import Report
from landbridge.engine.guards import Rules
from landbridge.engine.journal import Journal
from landbridge.engine.masking import MaskedRejects, masked_report
from landbridge.engine.prepare import Prepared, prepare
from landbridge.engine.rejects import RejectFile
from landbridge.engine.runner import Job, Options, Runner
from landbridge.errors import LandbridgeError


@dataclass(frozen=True, slots=True)
class Request:
    """What to run, and how.

    Attributes:
        flow: The dataflow; it names no connections any more.
        connection_secrets: Secrets of the connections that it named; see ``dataflow.connections``.
        placeholders: Values for ``{{name}}``.
        options: See Options.
        rejects: Where to keep rejected records; a file of the job's own in the home folder when None.
        journal: Folder by which another process can go on with the job.
        approved: Codes of guards that may be passed.
        consent_ledger: File that remembers who has opted out.
        processes: On how many processes to read and transform.
        quiet: Print errors only.
        debug: Print the program's log, with tracebacks of unexpected errors.
    """

    flow: Dataflow
    connection_secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    placeholders: Mapping[str, str] = field(default_factory=dict)
    options: Options = field(default_factory=Options)
    rejects: Path | None = None
    journal: Path | None = None
    approved: tuple[str, ...] = ()
    consent_ledger: Path | None = None
    processes: int = 1
    quiet: bool = False
    debug: bool = False


async def execute(request: Request) -> Report:
    """Run a dataflow to its end, showing progress and result on standard error.

    Raises:
        DataflowError: It cannot run; nothing was opened.
    """
    journal = Journal(request.journal) if request.journal else None
    now = datetime.now(UTC)
    job_id = f"{now:%Y%m%d%H%M%S}{secrets.token_hex(9)}"
    if journal is not None:
        job_id, now = journal.identity(job_id, now)
    ready = prepare(
        request.flow,
        job=JobValues(now=now, job_id=job_id, placeholders=request.placeholders, values_may_refer=True),
        source=StoredSecrets(request.connection_secrets, EnvironmentSecrets(os.environ)),
    )
    redaction = ready.redaction
    log_to_stderr(redaction, debug=request.debug)
    rejects = request.rejects or home_folder() / "rejects" / f"{job_id}.jsonl"
    kept_before = size_of(rejects)
    with spool_folder() as spool:
        job = Job(
            id=job_id,
            dataflow=ready.plan.name,
            started=now,
            spool_dir=spool,
            rejects=MaskedRejects(RejectFile(rejects, job=job_id), redaction),
            options=request.options,
            rules=Rules(
                settings=ready.guards,
                ledger=FileLedger(request.consent_ledger) if request.consent_ledger else None,
                approved=request.approved,
                how_to_approve=_by_option,
            ),
            journal=journal,
        )
        failure = None
        if request.processes > 1:
            job, failure = await _split(ready, job, request)
        runner = Runner(ready.plan, ready.make, job)
        report = masked_report(await _drive(runner, quiet=request.quiet, failure=failure), redaction)
    grown = size_of(rejects) > kept_before or (journal is not None and rejects.exists())
    remarks = [redaction.masked(remark) for remark in nothing_read(ready.plan, report)]
    show_report(report, rejects=rejects if grown else None, remarks=remarks, quiet=request.quiet)
    return report


def _by_option(codes: Sequence[str]) -> str:
    return f"run again with {' '.join(f'--approve {code}' for code in codes)}"


def size_of(file: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


async def _split(ready: Prepared, job: Job, request: Request) -> tuple[Job, LandbridgeError | None]:
    """Work on the input in several processes; gives the job with what is left to do, or why it ends."""
    from landbridge.engine.parallel import work_in_parallel

    if job.journal is not None and (job.journal.result is not None or job.journal.intents is not None):
        return job, None  # the input is not needed any more
    folder = (request.journal or job.spool_dir) / "splits"
    failure: LandbridgeError | None = None

    async def stop_on_signal() -> None:
        nonlocal failure
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
            async for number in received:
                failure = failures.stopped(f"it received {number.name}")
                tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stop_on_signal)
        try:
            job = await work_in_parallel(
                ready,
                job,
                flow=request.flow.dump(),
                connection_secrets=dict(request.connection_secrets),
                placeholders=dict(request.placeholders),
                values_may_refer=True,
                processes=request.processes,
                folder=folder,
                told=None if request.quiet else show_parts,
            )
        except LandbridgeError as error:
            failure = error
        tasks.cancel_scope.cancel()
    return job, failure


async def _drive(runner: Runner, *, quiet: bool, failure: LandbridgeError | None = None) -> Report:
    if failure is not None:
        runner.fail(failure)
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
