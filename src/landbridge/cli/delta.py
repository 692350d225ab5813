"""``landbridge delta``: up to where a dataflow has read its source."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.listing import JsonOption, print_json
from landbridge.cli.place import DatabaseOption, DataOption, opened, who

if TYPE_CHECKING:
    from landbridge.jobs.db_delta import MarkRow

app = typer.Typer(help="The mark of a dataflow: its next job reads what changed at or after it.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="DATAFLOW", help="Its name or id.")]


@app.command("show")
def show(
    dataflow: NameArgument,
    data: DataOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the mark, who moved it, and how many files are remembered."""
    from landbridge.jobs import db_dataflows, db_delta

    with opened(data, database) as db, db.read() as tx:
        row = db_dataflows.find(tx, dataflow)
        mark = db_delta.get(tx, row.id)
    if as_json:
        print_json(_as_json(mark))
        return
    _print(row.name, mark)


@app.command("set")
def set_mark(
    dataflow: NameArgument,
    time: Annotated[str, typer.Argument(metavar="TIME", help="Such as 2026-03-02T05:00:00Z; without an offset UTC.")],
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Set the mark: the next job reads what changed at or after TIME, and files of that time again.

    A job that is running does not move a mark that was set meanwhile.
    """
    from landbridge.jobs import db_dataflows, delta

    moment = _moment(time)
    with opened(data, database) as db, db.write() as tx:
        row = db_dataflows.find(tx, dataflow)
        mark = delta.set_mark(tx, row.id, moment, by=who())
    _print(row.name, mark)


@app.command("reset")
def reset(dataflow: NameArgument, data: DataOption = None, database: DatabaseOption = None) -> None:
    """Forget the mark: the next job reads what the first one would, one period back or 24 hours."""
    from landbridge.jobs import db_dataflows, delta

    with opened(data, database) as db, db.write() as tx:
        row = db_dataflows.find(tx, dataflow)
        mark = delta.reset(tx, row.id, by=who())
    _print(row.name, mark)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f'"{text}" is not a time such as 2026-03-02T05:00:00Z', param_hint="TIME") from None


def _print(name: str, mark: MarkRow) -> None:
    where = f"{mark.mark:%Y-%m-%d %H:%M:%S} UTC" if mark.mark else "none; the next job reads what a first one does"
    typer.echo(f"{name}: {where}")
    if mark.updated:
        typer.echo(f"  set {mark.updated:%Y-%m-%d %H:%M:%S} UTC by {mark.updated_by}")
    if mark.files is not None:
        typer.echo(f"  files: {len(mark.files['seen']):,} remembered, those before {mark.files['floor']} count as read")


def _as_json(mark: MarkRow) -> dict[str, Any]:
    return {
        "dataflowId": mark.dataflow_id,
        "mark": mark.mark.isoformat() if mark.mark else None,
        "files": mark.files,
        "jobId": mark.job_id,
        "revision": mark.revision,
        "updated": mark.updated.isoformat() if mark.updated else None,
        "updatedBy": mark.updated_by,
    }
