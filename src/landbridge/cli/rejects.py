"""``landbridge rejects``: the records that failed in jobs of the service, and a second try for them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landbridge.cli.listing import JsonOption, print_json, print_rows
from landbridge.cli.place import DatabaseOption, DataOption, opened, vault_of, who

if TYPE_CHECKING:
    from landbridge.jobs.db_rejects import RejectRow

app = typer.Typer(help="The records that failed in jobs, and a second try for them.", no_args_is_help=True)

JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="The id of the job that rejected them.")]
RejectArgument = Annotated[int, typer.Argument(metavar="REJECT", help="Its id, as `list` shows it.")]
StepOption = Annotated[str | None, typer.Option("--step", metavar="ID", help="Only those of this step.")]
CodeOption = Annotated[
    list[str] | None,
    typer.Option("--code", metavar="CODE", help="Only those with this code; may be given several times."),
]

_PART = 500


@app.command("list")
def list_rejects(
    job: Annotated[str | None, typer.Option("--job", metavar="JOB", help="Only those of this job.")] = None,
    flow: Annotated[str | None, typer.Option("--flow", metavar="DATAFLOW", help="Only those of this dataflow.")] = None,
    step: StepOption = None,
    code: CodeOption = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 20,
    data: DataOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """List rejects, the newest first, without the records: they are people's data."""
    from landbridge.jobs import db_dataflows, db_jobs, db_rejects
    from landbridge.jobs.db_rejects import Choice
    from landbridge.jobs.rejects import masked

    with opened(data, database) as db, db.read() as tx:
        found = Choice(
            job_id=db_jobs.get(tx, job).id if job else None,
            dataflow_id=db_dataflows.find(tx, flow).id if flow else None,
            step=step,
            codes=code or (),
        )
        rows = db_rejects.newest(tx, found, limit=limit)
    print_rows(rows, as_json=as_json, shown=masked, line=_line, none="no rejects")


@app.command("show")
def show(
    reject: RejectArgument,
    reveal: Annotated[bool, typer.Option("--reveal", help="With the values of the record.")] = False,
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Show a reject as JSON. Of its record only the names of the fields, unless --reveal is given."""
    from landbridge.jobs import db_rejects, rejects

    with opened(data, database) as db:
        if reveal:
            with db.write() as tx:
                found = rejects.reveal(tx, vault_of(db, data), reject, by=who())
        else:
            with db.read() as tx:
                found = rejects.whole(db_rejects.get(tx, reject), vault_of(db, data))
            found |= {key: rejects.hidden(found[key]) for key in ("record", "text") if key in found}
    print_json(found)


@app.command("export")
def export(
    job: JobArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write them; only you may read the file.")
    ],
    step: StepOption = None,
    code: CodeOption = None,
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Write the rejects of a job to a file, with their records, as JSON lines."""
    from landbridge.jobs import db_jobs, db_rejects
    from landbridge.jobs.db_rejects import Choice
    from landbridge.jobs.rejects import note_export, whole

    count, last = 0, 0
    partial = output.with_name(f"{output.name}.partial")
    with opened(data, database) as db:
        vault = vault_of(db, data)
        with db.write() as tx:
            choice = Choice(job_id=db_jobs.get(tx, job).id, step=step, codes=code or ())
            note_export(tx, choice, by=who())
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file, db.read() as tx:
                while rows := db_rejects.listing(tx, choice, after=last, limit=_PART):
                    file.writelines(f"{json.dumps(whole(row, vault), ensure_ascii=False)}\n" for row in rows)
                    count, last = count + len(rows), rows[-1].id
            partial.replace(output)
        finally:
            partial.unlink(missing_ok=True)
    typer.echo(f"{count:,} rejects in {output}")


@app.command("replay")
def replay(
    job: JobArgument,
    step: StepOption = None,
    code: CodeOption = None,
    reject: Annotated[
        list[int] | None, typer.Option("--reject", metavar="REJECT", help="Only this one; may be given several times.")
    ] = None,
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Try the rejected records of a job again, each once. They enter the newest dataflow at the step where they failed.

    A job is started for each step that rejected records.
    """
    from landbridge.jobs.db_rejects import Choice
    from landbridge.jobs.replay import start

    choice = Choice(step=step, codes=code or (), ids=reject or ())
    with opened(data, database) as db, db.write() as tx:
        begun = start(tx, job, by=who(), choice=choice)
    for row in begun:
        typer.echo(row.id)


def _line(row: RejectRow) -> str:
    place = f"  ({row.file}{f', line {row.line}' if row.line is not None else ''})" if row.file else ""
    replayed = f"  (replayed by {row.replayed_by})" if row.replayed_by else ""
    return f"{row.id}  {row.job_id}  {row.step}  {row.code}  {row.message}{place}{replayed}"
