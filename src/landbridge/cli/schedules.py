"""``landbridge schedules``: when dataflows run."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.listing import JsonOption, print_json, print_rows
from landbridge.cli.place import DatabaseOption, DataOption, opened, who

if TYPE_CHECKING:
    from landbridge.dataflow.scheduling import Scheduling
    from landbridge.jobs.clock import Occurrence
    from landbridge.jobs.db import Transaction
    from landbridge.jobs.db_schedules import SchedulingRow
    from landbridge.jobs.timetable import Schedule

app = typer.Typer(help="When dataflows run: look ahead, add and change schedules.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="SCHEDULING", help="Its name or id.")]
FileOption = Annotated[Path | None, typer.Option("--file", metavar="FILE", help="Scheduling object as JSON.")]

_EVERY = re.compile(r"(?:(\d{1,6})\s*)?(minute|hour|day|week|month)s?")


class LogLevelName(StrEnum):
    """What the trace of a job keeps."""

    INFO = "info"
    ERROR = "error"
    DEBUG = "debug"


@app.command("next")
def next_runs(
    scheduling: Annotated[
        str,
        typer.Argument(metavar="SCHEDULING", help="File with a scheduling; or a stored scheduling or dataflow."),
    ],
    zone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="Time zone to use instead of the scheduling's own.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many runs to show.")] = 5,
    after: Annotated[
        str | None, typer.Option(metavar="TIME", help="Show runs after this time instead of now, such as 2026-03-28.")
    ] = None,
    data: DataOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the next runs of a scheduling, in local time with the offset and in UTC.

    Times that the clock skips or shows twice, and months that lack the day, are marked with what becomes of the run.
    """
    from landbridge.jobs.timetable import read_schedule

    now = datetime.now(UTC)
    path = Path(scheduling)
    if path.suffix == ".json" or path.is_file():
        schedules = [read_schedule(_read(path), created=now, zone=zone)]
    else:
        with opened(data, database) as db, db.read() as tx:
            rows = _stored(tx, scheduling)
        schedules = [read_schedule(row.scheduling, created=row.created, zone=zone) for row in rows]
    shown = []
    for schedule in schedules:
        runs = _runs(schedule, after=_moment(after, schedule) if after else now, count=count)
        if as_json:
            shown += [_as_json(schedule, occurrence) for occurrence in runs]
            continue
        typer.echo(_headline(schedule))
        for occurrence in runs:
            typer.echo(_line(schedule, occurrence))
        if not runs and schedule.keep_updated is None:
            typer.echo("no further run")
    if as_json:
        print_json(shown)


@app.command("list")
def list_schedulings(
    flow: Annotated[str | None, typer.Option("--flow", metavar="DATAFLOW", help="Only those of this dataflow.")] = None,
    data: DataOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the schedulings with their next run."""
    from landbridge.jobs import db_dataflows, db_schedules

    with opened(data, database) as db, db.read() as tx:
        dataflow_id = db_dataflows.find(tx, flow).id if flow else None
        rows = db_schedules.listing(tx, dataflow_id=dataflow_id, limit=100_000)
    none = "no schedulings; add one with `landbridge schedules add DATAFLOW`"
    print_rows(rows, as_json=as_json, shown=_row_as_json, line=_row_line, none=none)


@app.command("add")
def add(
    flow: Annotated[str, typer.Argument(metavar="DATAFLOW", help="Name or id of the dataflow to run.")],
    *,
    file: FileOption = None,
    name: Annotated[str, typer.Option(help="Name of the scheduling.")] = "",
    every: Annotated[
        str | None, typer.Option(metavar="INTERVAL", help="day, 2 weeks, 15 minutes …; once without it.")
    ] = None,
    days: Annotated[str | None, typer.Option(metavar="DAYS", help="Days of weekly runs, such as mon,thu.")] = None,
    at: Annotated[str | None, typer.Option(metavar="HH:MM", help="Local time of daily, weekly, monthly runs.")] = None,
    cron: Annotated[str | None, typer.Option(metavar="FIELDS", help='Cron expression, such as "0 6 * * mon-fri".')] = (
        None
    ),
    keep_updated: Annotated[
        int | None, typer.Option(min=1, metavar="SECONDS", help="Run again so long after each end.")
    ] = None,
    zone: Annotated[str | None, typer.Option(metavar="ZONE", help="Time zone, such as Europe/Zurich.")] = None,
    start: Annotated[str | None, typer.Option(metavar="TIME", help="First start; now without it.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Read all records in every run.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Read at most this many records.")] = None,
    log_level: Annotated[LogLevelName, typer.Option(help="What the trace keeps.")] = LogLevelName.INFO,
    mail_success: Annotated[str, typer.Option(metavar="ADDRESSES", help="Whom to tell of a success.")] = "",
    mail_failure: Annotated[str, typer.Option(metavar="ADDRESSES", help="Whom to tell of a failure.")] = "",
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Add a scheduling: from a file, or from options."""
    from landbridge.jobs import db_dataflows, db_schedules

    settings = {"cron": cron, "timeZone": zone, "timeOfDay": at, "keepUpdatedPauseSeconds": keep_updated}
    document: dict[str, Any] = {
        "name": name,
        "nextJobStartTime": start,
        "daysOfWeek": days,
        "fullExtract": full,
        "limit": limit,
        "logLevel": log_level.value,
        "successEmailNotification": mail_success,
        "failureEmailNotification": mail_failure,
        "landbridge": {key: value for key, value in settings.items() if value is not None},
        **_interval(every),
    }
    document = {key: value for key, value in document.items() if value not in (None, "", {}, False)}
    with opened(data, database) as db, db.write() as tx:
        dataflow = db_dataflows.find(tx, flow)
        if file is not None:
            document = dict(_document(file))
        elif not name:
            document["name"] = dataflow.name
        document = {key: value for key, value in document.items() if key.lower() != "dataflowid"}
        row = db_schedules.add(tx, _scheduling({**document, "dataflowId": dataflow.id}), by=who())
    typer.echo(f"{row.id}  {_headline(row.schedule)}")


@app.command("set")
def change(
    scheduling: NameArgument,
    file: Annotated[Path, typer.Option("--file", metavar="FILE", help="Scheduling object as JSON.")],
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Replace a scheduling by the one in a file."""
    from landbridge.jobs import db_schedules

    with opened(data, database) as db, db.write() as tx:
        row = db_schedules.find(tx, scheduling)
        document = {"dataflowId": row.dataflow_id, **_document(file)}
        row = db_schedules.change(tx, row.id, _scheduling(document), by=who())
    typer.echo(f"{row.id}  {_headline(row.schedule)}")


@app.command("show")
def show(scheduling: NameArgument, data: DataOption = None, database: DatabaseOption = None) -> None:
    """Print a scheduling as JSON."""
    from landbridge.jobs import db_schedules

    with opened(data, database) as db, db.read() as tx:
        row = db_schedules.find(tx, scheduling)
    typer.echo(row.scheduling.dump(), nl=False)


@app.command("switch")
def switch(
    scheduling: NameArgument,
    on: Annotated[
        bool | None, typer.Option("--on/--off", help="--on lets it run, --off stops it; one of the two is required.")
    ] = None,
    data: DataOption = None,
    database: DatabaseOption = None,
) -> None:
    """Switch a scheduling on or off. What it missed while it was off is not made up for."""
    import dataclasses

    from landbridge.jobs import db_schedules

    if on is None:
        raise typer.BadParameter("give one of the two", param_hint="--on / --off")
    with opened(data, database) as db, db.write() as tx:
        row = db_schedules.find(tx, scheduling)
        row = db_schedules.change(tx, row.id, dataclasses.replace(row.scheduling, enabled=on), by=who())
    typer.echo(f"{row.id}  {_headline(row.schedule)}")


@app.command("remove")
def remove(scheduling: NameArgument, data: DataOption = None, database: DatabaseOption = None) -> None:
    """Remove a scheduling; its jobs stay."""
    from landbridge.jobs import db_schedules

    with opened(data, database) as db, db.write() as tx:
        row = db_schedules.find(tx, scheduling)
        db_schedules.remove(tx, row.id, by=who())
    typer.echo(f"{row.id}  {row.name}  (removed)")


# -- reading -----------------------------------------------------------------------------------------------------------


def _document(path: Path) -> dict[str, Any]:
    from landbridge.dataflow import problems
    from landbridge.dataflow.model import parse_object
    from landbridge.dataflow.problems import DataflowError

    try:
        text = path.read_bytes()
    except OSError as failure:
        message = f"{path}: {failure.strerror or 'cannot be read'}"
        raise DataflowError([problems.error(problems.NOT_READABLE, message)]) from None
    document, found = parse_object(text, source=str(path), noun="a scheduling")
    if document is None:
        raise DataflowError(found)
    if isinstance(document.get("steps"), list):
        hint = "Give a scheduling, or the name of a stored dataflow."
        raise DataflowError([problems.error(problems.BAD_SCHEDULING, f"{path} is a dataflow", hint=hint)])
    return dict(document)


def _scheduling(document: dict[str, Any]) -> Scheduling:
    from landbridge.dataflow.scheduling import Scheduling

    return Scheduling.from_json(document)


def _read(path: Path) -> Scheduling:
    return _scheduling({"dataflowId": "of a file", **_document(path)})


def _stored(tx: Transaction, name: str) -> list[SchedulingRow]:
    """The scheduling with this name, or all of the dataflow with this name."""
    from landbridge.errors import FlowError
    from landbridge.jobs import db_dataflows, db_schedules

    try:
        return [db_schedules.find(tx, name)]
    except FlowError as failure:
        try:
            dataflow = db_dataflows.find(tx, name)
        except FlowError:
            raise failure from None
    return list(db_schedules.listing(tx, dataflow_id=dataflow.id))


def _interval(every: str | None) -> dict[str, Any]:
    if every is None:
        return {"frequencyType": "once"}
    found = _EVERY.fullmatch(every.strip().lower())
    if found is None:
        message = f'"{every}" is not an interval such as day, 2 weeks or 15 minutes'
        raise typer.BadParameter(message, param_hint="--every")
    return {"frequencyType": found[2], "frequencyInterval": int(found[1] or 1)}


def _moment(text: str, schedule: Schedule) -> datetime:
    """A time as typed: with an offset, or local in the schedule's zone."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=schedule.timetable.zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        message = f'"{text}" is not a time such as 2026-03-28 or 2026-03-28T00:00:00Z'
        raise typer.BadParameter(message, param_hint="--after") from None


def _runs(schedule: Schedule, *, after: datetime, count: int) -> list[Occurrence]:
    from landbridge.jobs.clock import upcoming

    return [] if schedule.keep_updated is not None else upcoming(schedule.timetable, after, count)


# -- showing -----------------------------------------------------------------------------------------------------------


def _headline(schedule: Schedule) -> str:
    scheduling, settings = schedule.scheduling, schedule.settings
    number, unit = scheduling.frequency_interval, scheduling.frequency_type
    if schedule.keep_updated is not None:
        what = f"keep updated: a run starts {settings.keep_updated_pause_seconds} s after the end of the one before"
    elif settings.cron:
        what = settings.cron
    elif unit == "once":
        what = "once"
    else:
        what = f"every {unit}" if number == 1 else f"every {number} {unit}s"
    name = scheduling.name or scheduling.id or "scheduling"
    return f"{name}: {what}, {settings.time_zone}" + ("" if scheduling.enabled else " (switched off)")


def _line(schedule: Schedule, occurrence: Occurrence) -> str:
    utc = f"{occurrence.instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    if not occurrence.runs:
        return f"{'-':30}  {'-':20}  {_note(occurrence)}"
    local = occurrence.instant.astimezone(schedule.timetable.zone)
    return f"{local:%a %Y-%m-%d %H:%M:%S} {_offset(local)}  {utc:20}  {_note(occurrence)}".rstrip()


def _offset(local: datetime) -> str:
    text = f"{local:%z}"
    return f"{text[:3]}:{text[3:5]}"


def _note(occurrence: Occurrence) -> str:
    from landbridge.jobs.clock import Note

    note = str(occurrence.note)
    if occurrence.note in (Note.SHIFTED, Note.SKIPPED):
        return f"{note} ({occurrence.wanted:%Y-%m-%d %H:%M})"
    return note


def _as_json(schedule: Schedule, occurrence: Occurrence) -> dict[str, Any]:
    local = occurrence.instant.astimezone(schedule.timetable.zone)
    return {
        "scheduling": schedule.scheduling.name,
        "wanted": occurrence.wanted.isoformat(timespec="seconds"),
        "local": local.isoformat(timespec="seconds") if occurrence.runs else None,
        "utc": f"{occurrence.instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if occurrence.runs else None,
        "note": occurrence.note.name.lower() if occurrence.note else "",
    }


def _row_line(row: SchedulingRow) -> str:
    following = f"{row.next_start:%Y-%m-%d %H:%M:%S} UTC" if row.next_start and row.enabled else "none"
    return f"{row.id}  {_headline(row.schedule)}, next run {following}"


def _row_as_json(row: SchedulingRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "dataflowId": row.dataflow_id,
        "enabled": row.enabled,
        "nextStart": row.next_start.isoformat() if row.next_start else None,
        "jobId": row.job_id,
        "revision": row.revision,
        "scheduling": row.scheduling.as_json(),
    }
