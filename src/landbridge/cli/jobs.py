"""``landbridge jobs``: start, watch, stop and repeat the jobs of the service."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.listing import JsonOption, print_json, print_rows
from landbridge.cli.place import DatabaseOption, DataOption, opened, vault_of, who

if TYPE_CHECKING:
    from landbridge.jobs.db import Database
    from landbridge.jobs.db_approvals import ApprovalRow
    from landbridge.jobs.db_jobs import JobRow
    from landbridge.jobs.db_progress import StepRow, TraceRow

app = typer.Typer(help="Start, watch, stop and repeat the jobs of the service.", no_args_is_help=True)

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="Its id.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Wait until the job has ended; exit codes as of `run`.")]
EXIT_CODES = {"succeeded": 0, "succeeded_with_errors": 3}

_LOOK_S = 0.3


@app.command("list")
def list_jobs(
    flow: Annotated[str | None, typer.Option("--flow", metavar="DATAFLOW", help="Only those of this dataflow.")] = None,
    status: Annotated[
        list[str] | None, typer.Option(help="Only those in this state; may be given several times.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 20,
    data: DataOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """List jobs, the newest first."""
    from landbridge.jobs import db_dataflows, db_jobs
    from landbridge.jobs.db_jobs import JobStatus

    try:
        wanted = [JobStatus(word) for word in status or ()]
    except ValueError:
        known = ", ".join(JobStatus)
        raise typer.BadParameter(f"one of {known}", param_hint="--status") from None
    with opened(data, database) as db, db.read() as tx:
        dataflow_id = db_dataflows.find(tx, flow).id if flow else None
        rows = db_jobs.listing(tx, dataflow_id=dataflow_id, status=wanted, limit=limit)
    print_rows(rows, as_json=as_json, shown=_as_json, line=_line, none="no jobs")


@app.command("show")
def show(
    job: JobArgument, data: DataOption = None, database: DatabaseOption = None, as_json: JsonOption = False
) -> None:
    """Show a job: its state, its steps, its files, its error."""
    from landbridge.jobs import db_approvals, db_jobs, db_progress

    with opened(data, database) as db, db.read() as tx:
        row = db_jobs.get(tx, job)
        steps, files = db_progress.steps_of(tx, job), db_progress.files_of(tx, job)
        edges, asked = db_progress.edges_of(tx, job), db_approvals.of_job(tx, job)
    if as_json:
        shown = _as_json(row)
        shown["steps"] = [_plain(step) for step in steps]
        shown["edges"] = [_plain(edge) for edge in edges]
        shown["files"] = [_plain(file) for file in files]
        shown["approvals"] = [_plain(each) for each in asked]
        print_json(shown)
        return
    typer.echo(_line(row))
    _show_job(row, steps, asked)
    for file in files:
        records = "" if file.records is None else f", {file.records:,} records"
        typer.echo(f"  file {file.name}  ({file.bytes:,} bytes{records})")


@app.command("start")
def start(
    flow: Annotated[str, typer.Argument(metavar="DATAFLOW", help="Its name or id.")],
    *,
    version: Annotated[int | None, typer.Option("--version", min=1, help="Which version; else the newest.")] = None,
    test: Annotated[bool, typer.Option("--test", help="A test: ten records.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Do everything but the last write.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Read all records, not only what changed.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Read at most this many records.")] = None,
    values: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Fill the placeholder {{NAME}}.")
    ] = None,
    log_level: Annotated[str, typer.Option(help="What the trace keeps: error, info, or debug.")] = "info",
    time_limit: Annotated[float | None, typer.Option(metavar="SECONDS", min=1, help="Stop it after so long.")] = None,
    splits: Annotated[
        int, typer.Option(min=0, max=1000, help="Divide the input into about so many parts, which all workers share.")
    ] = 0,
    wait: WaitOption = False,
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Start a job of a stored dataflow. It runs in the service, as soon as one of its workers is free."""
    from landbridge.cli.run import placeholders
    from landbridge.jobs import db_dataflows, jobs, placeholder_values
    from landbridge.jobs.job_options import JobKind, JobOptions

    if log_level not in ("error", "info", "debug"):
        raise typer.BadParameter("one of error, info, debug", param_hint="--log-level")
    if test and dry_run:
        raise typer.BadParameter("a job is a test or a dry run", param_hint="--test")
    filled = placeholders(values or [], None)
    options = JobOptions(
        limit=limit,
        full_extract=full,
        log_level=log_level,  # type: ignore[arg-type]  # checked above
        time_limit_s=time_limit,
        splits=splits,
        placeholders=tuple(filled),
    )
    with opened(data, database) as db:
        sealed = placeholder_values.sealed(vault_of(db, data), filled)
        with db.write() as tx:
            found = db_dataflows.find(tx, flow)
            kind: JobKind = "test" if test else "dry_run" if dry_run else "run"
            row = jobs.start(tx, found.id, by=who(), kind=kind, options=options, sealed=sealed, version=version)
        typer.echo(row.id)
        if wait:
            _wait(db, row.id)


@app.command("cancel")
def cancel(job: JobArgument, data: DataOption = None, database: DatabaseOption = None) -> None:
    """Stop a job."""
    from landbridge.jobs import jobs

    with opened(data, database) as db, db.write() as tx:
        row = jobs.cancel(tx, job, by=who())
    typer.echo(f"{row.id}  {row.status}" + ("" if row.ended else ", will be stopped"))


@app.command("retry")
def retry(
    job: JobArgument,
    newest: Annotated[bool, typer.Option("--newest", help="With the newest version of the dataflow.")] = False,
    afresh: Annotated[
        bool, typer.Option("--afresh", help="From the beginning, not from where the job has failed.")
    ] = False,
    wait: WaitOption = False,
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Run a job once more, as a job of its own.

    One that failed within the last day goes on where it failed: what it has written is not written again.
    """
    from landbridge.jobs import jobs

    with opened(data, database) as db:
        with db.write() as tx:
            row = jobs.retry(tx, job, by=who(), newest=newest, afresh=afresh)
        typer.echo(row.id)
        if wait:
            _wait(db, row.id)


@app.command("approve")
def approve(
    job: JobArgument,
    codes: Annotated[
        list[str] | None, typer.Option("--code", metavar="CODE", help="Only this; may be given several times.")
    ] = None,
    refuse: Annotated[bool, typer.Option("--refuse", help="End the job instead.")] = False,
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Approve once what a guard has stopped, and let the job go on."""
    from landbridge.jobs import db_approvals

    with opened(data, database) as db, db.write() as tx:
        if refuse:
            row = db_approvals.refuse(tx, job, by=who())
        else:
            row = db_approvals.approve(tx, job, codes=codes or (), by=who())
    typer.echo(f"{row.id}  {row.status}")


@app.command("trace")
def trace(
    job: JobArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")] = False,
    samples: Annotated[
        bool, typer.Option("--samples", help="Show the records of a job with log level debug, too: personal data.")
    ] = False,
    data: DataOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the trace of a job."""
    from landbridge.jobs import db_audit, db_jobs, db_progress
    from landbridge.jobs.db_jobs import ENDED

    last = 0
    with opened(data, database) as db:
        vault = vault_of(db, data) if samples else None
        if samples:
            with db.write() as tx:
                db_audit.note(tx, "job.samples", actor=who(), object_kind="job", object_id=db_jobs.get(tx, job).id)
        while True:
            with db.read() as tx:
                ended = db_jobs.get(tx, job).status in ENDED
                lines = db_progress.trace_of(tx, job, after=last)
            for line in lines:
                records = json.loads(vault.unseal(line.sealed)) if vault and line.sealed else []
                if as_json:
                    typer.echo(json.dumps(_trace_json(line, records), ensure_ascii=False))
                else:
                    for text in (_trace_line(line), *(json.dumps(record, ensure_ascii=False) for record in records)):
                        typer.echo(text)
                last = line.id
            if not lines and (ended or not follow):
                return
            if not lines:
                time.sleep(_LOOK_S)


@app.command("retention")
def retention(
    jobs: Annotated[int | None, typer.Option(metavar="DAYS", help="Jobs with their counts and files.")] = None,
    traces: Annotated[int | None, typer.Option(metavar="DAYS", help="Lines of traces.")] = None,
    samples: Annotated[int | None, typer.Option(metavar="DAYS", help="Records in traces at level debug.")] = None,
    rejects: Annotated[int | None, typer.Option(metavar="DAYS", help="Records that failed.")] = None,
    audit: Annotated[int | None, typer.Option(metavar="DAYS", help="Who changed what.")] = None,
    removed: Annotated[int | None, typer.Option(metavar="DAYS", help="Dataflows that were removed.")] = None,
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Show, or change, for how many days each kind of data is kept; 0 for ever."""
    from landbridge.jobs.retention import Retention

    given = {
        "jobs": jobs,
        "traces": traces,
        "samples": samples,
        "rejects": rejects,
        "audit": audit,
        "removed": removed,
    }
    wanted = {kind: days for kind, days in given.items() if days is not None}
    with opened(data, database) as db:
        with db.read() as tx:
            kept = Retention.load(tx)
        if wanted:
            kept = dataclasses.replace(kept, **wanted)
            with db.write() as tx:
                kept.save(tx, by=who())
    for kind, days in dataclasses.asdict(kept).items():
        typer.echo(f"{kind:<8} {f'{days} days' if days else 'for ever'}")


@app.command("limits")
def limits(
    overall: Annotated[int | None, typer.Option(min=1, metavar="JOBS", help="Of all.")] = None,
    per_site: Annotated[int | None, typer.Option(min=1, metavar="JOBS", help="Of the same site.")] = None,
    per_account: Annotated[
        int | None, typer.Option(min=1, metavar="JOBS", help="That use the same account of a remote system.")
    ] = None,
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Show, or change, how many jobs may run at the same time, on all workers together."""
    from landbridge.jobs.limits import Limits

    given = {"overall": overall, "per_site": per_site, "per_account": per_account}
    wanted = {name: number for name, number in given.items() if number is not None}
    with opened(data, database) as db:
        with db.read() as tx:
            kept = Limits.load(tx)
        if wanted:
            kept = dataclasses.replace(kept, **wanted)
            with db.write() as tx:
                kept.save(tx, by=who())
    for name, number in dataclasses.asdict(kept).items():
        typer.echo(f"{name.replace('_', ' '):<12} {number}")


def _wait(db: Database, job_id: str) -> None:
    from landbridge.jobs import db_approvals, db_jobs, db_progress
    from landbridge.jobs.db_jobs import ENDED, JobStatus

    while True:
        with db.read() as tx:
            row = db_jobs.get(tx, job_id)
            steps, asked = db_progress.steps_of(tx, job_id), db_approvals.of_job(tx, job_id)
        if row.status in ENDED or row.status is JobStatus.WAITING_FOR_APPROVAL:
            typer.echo(_state(row))
            _show_job(row, steps, asked)
            raise typer.Exit(EXIT_CODES.get(row.status, 1))
        time.sleep(_LOOK_S)


def _show_job(row: JobRow, steps: Sequence[StepRow], asked: Sequence[ApprovalRow]) -> None:
    from landbridge.jobs import delta

    typer.echo(
        f"  started by {row.started_by}; version {row.dataflow_version} of the dataflow; attempt {row.attempt}"
        + (f" (repeats {row.retry_of})" if row.retry_of else "")
        + (f"; begun {row.starts} times" if row.starts > 1 else "")
    )
    if told := delta.reading(row):
        typer.echo(f"  {told}")
    for step in steps:
        parts = [
            f"{getattr(step, name):,} {name.removeprefix('records_')}"
            for name in ("records_in", "records_out", "rejected", "filtered", "files")
            if getattr(step, name)
        ]
        typer.echo(f"  {step.step}  [{step.component}]  {', '.join(parts)}")
    _show_plan(row)
    for each in asked:
        if each.decision:
            typer.echo(f"  {each.answered_by} has {each.decision}: {each.step}: {each.message}  [{each.code}]")
    if row.error:
        where = f'step "{row.error["step"]}": ' if row.error.get("step") else ""
        typer.echo(f"  error: {where}{row.error['message']}  [{row.error['code']}]")
        if row.error.get("hint"):
            typer.echo(f"  {row.error['hint']}")


def _show_plan(row: JobRow) -> None:
    """Of a dry run, what would have been done, as `landbridge run --dry-run` shows it."""
    result = row.result or {}
    if row.kind != "dry_run" or not result:
        return
    from landbridge.cli.console import show as show_table
    from landbridge.cli.tables import guard_line, planned_table

    if result.get("planned"):
        show_table(planned_table(result["planned"]))
    for trip in result.get("guards", ()):
        typer.echo(guard_line(trip))


def _line(row: JobRow) -> str:
    return f"{row.id}  {_state(row)}"


def _state(row: JobRow) -> str:
    reason = f" ({row.reason})" if row.reason else ""
    kind = "" if row.kind == "run" else f", {row.kind.replace('_', ' ')}"
    took = f", {(row.ended - row.started).total_seconds():.1f} s" if row.ended and row.started else ""
    counts = f", {row.records_in:,} in, {row.records_out:,} out" if row.started else ""
    rejected = f", {row.rejected:,} rejected" if row.rejected else ""
    when = f"{row.created:%Y-%m-%d %H:%M:%S} UTC"
    return f"{row.status}{reason}  {row.dataflow_name}{kind}  {when}{took}{counts}{rejected}"


def _trace_line(line: TraceRow) -> str:
    where = f"{line.step}: " if line.step else ""
    return f"{line.at:%Y-%m-%d %H:%M:%S} {line.level:<7} {where}{line.message}"


def _trace_json(line: TraceRow, records: list[Any]) -> dict[str, Any]:
    shown = {"at": line.at.isoformat(), "level": line.level, "step": line.step, "message": line.message}
    return {**shown, "records": records} if records else shown


def _as_json(row: JobRow) -> dict[str, Any]:
    shown = {key: value for key, value in _plain(row).items() if key not in ("options", "sealed")}
    shown["options"] = row.options.as_json()
    return shown


def _plain(row: Any) -> dict[str, Any]:
    found = {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in found.items()}
