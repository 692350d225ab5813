"""Schedulings: when dataflows run. The object is IdentitySync's, with the key ``landbridge`` for what it lacks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import Query, Response
from pydantic import Field

from landbridge.dataflow.scheduling import Scheduling
from landbridge.errors import FlowError
from landbridge.jobs import db_revisions, db_schedules
from landbridge.jobs.clock import Occurrence, upcoming
from landbridge.jobs.db import Transaction
from landbridge.jobs.db_schedules import UNKNOWN_SCHEDULING, SchedulingRow
from landbridge.jobs.timetable import Schedule, read_schedule
from landbridge.server.api.access import Editor, Viewer
from landbridge.server.api.etags import Base, BasedOn, Tags
from landbridge.server.api.pages import NamePlace, Page, Pages
from landbridge.server.api.place import Here
from landbridge.server.api.problems import INVALID_REQUEST, unprocessable
from landbridge.server.api.routing import Routes
from landbridge.server.api.shapes import Given, Instant, JsonObject, Key, Shown

router = Routes(tag="schedulings")

_MAX_NAME: Final = 255
_MAX_RUNS: Final = 1000

Runs = Annotated[int, Query(ge=1, le=_MAX_RUNS, description="How many runs to show.")]
ZoneQuery = Annotated[str | None, Query(max_length=100, description="Time zone instead of the scheduling's own.")]
AfterQuery = Annotated[Instant | None, Query(description="Show runs after this instant instead of now.")]


class SchedulingShown(Shown):
    """A scheduling and what has become of it."""

    id: str
    name: str
    dataflow_id: str
    enabled: bool
    next_start: Annotated[datetime | None, Field(description="The next planned run; null where there is none.")]
    job_id: Annotated[str | None, Field(description="The current or last job.")]
    revision: int
    created: datetime
    updated: datetime
    updated_by: str
    scheduling: Annotated[JsonObject, Field(description="The scheduling as it was sent.")]


class Switch(Given):
    """On or off."""

    enabled: bool


class Run(Shown):
    """A run that is planned, or that the clock takes away."""

    wanted: Annotated[str, Field(description="The local time that was asked for, without an offset.")]
    local: Annotated[str | None, Field(description="When it runs, in local time with the offset; null when skipped.")]
    utc: Annotated[datetime | None, Field(description="The same in UTC.")]
    note: Annotated[str, Field(description="What is particular: shifted, skipped, first, second, last_day; or empty.")]


class Preview(Shown):
    """The next runs of a scheduling."""

    time_zone: str
    keep_updated_pause_seconds: Annotated[
        int | None, Field(description="Of a continuous scheduling, whose runs no clock tells.")
    ]
    runs: list[Run]


@router.get("/schedulings")
def list_schedulings(
    here: Here,
    _: Viewer,
    pages: Pages,
    dataflow_id: Annotated[str | None, Query(alias="dataflowId", max_length=255)] = None,
    enabled: Annotated[bool | None, Query(description="Only those that are on, or off.")] = None,
) -> Page[SchedulingShown]:
    """List schedulings by name."""
    after = pages.position(NamePlace)
    with here.database.read() as tx:
        rows = db_schedules.listing(tx, dataflow_id=dataflow_id, enabled=enabled, limit=pages.limit + 1, after=after)
    return pages.page(rows, place=lambda row: (row.name, row.id), shown=_shown)


@router.post("/schedulings", status_code=HTTPStatus.CREATED)
def create_scheduling(here: Here, caller: Editor, tags: Tags, document: JsonObject) -> SchedulingShown:
    """Store a new scheduling. One that runs once, without a time or with a past one, runs at once."""
    scheduling = _read(document)
    with here.database.write() as tx, unprocessable(UNKNOWN_SCHEDULING):
        row = db_schedules.add(tx, scheduling, by=caller.name)
    tags.response.headers["Location"] = f"/api/v1/schedulings/{row.id}"
    return tags.shown(row.revision, _shown(row))


@router.post("/schedulings/preview")
def preview_posted_scheduling(
    _: Viewer, document: JsonObject, count: Runs = 5, after: AfterQuery = None, zone: ZoneQuery = None
) -> Preview:
    """Show the next runs of a scheduling, without storing it."""
    now = datetime.now(UTC)
    schedule = read_schedule(Scheduling.from_json({"dataflowId": "none", **document}), created=now, zone=zone)
    return _preview(schedule, after=after or now, count=count)


@router.get("/schedulings/{id}")
def show_scheduling(here: Here, _: Viewer, tags: Tags, id: Key) -> SchedulingShown:
    """Show a scheduling."""
    with here.database.read() as tx:
        row = db_schedules.get(tx, id)
    return tags.shown(row.revision, _shown(row))


@router.put("/schedulings/{id}")
def change_scheduling(
    here: Here, caller: Editor, tags: Tags, base: BasedOn, id: Key, document: JsonObject
) -> SchedulingShown:
    """Replace a scheduling. What was planned before the change is settled."""
    with here.database.write() as tx:
        before = _check(tx, id, base)
        scheduling = _read({"dataflowId": before.dataflow_id, **document})
        with unprocessable(UNKNOWN_SCHEDULING):
            row = db_schedules.change(tx, id, scheduling, by=caller.name, expected_revision=before.revision)
    return tags.shown(row.revision, _shown(row))


@router.patch("/schedulings/{id}")
def switch_scheduling(
    here: Here, caller: Editor, tags: Tags, base: BasedOn, id: Key, wanted: Switch
) -> SchedulingShown:
    """Switch a scheduling on or off. What it missed while it was off is not made up for."""
    with here.database.write() as tx:
        before = _check(tx, id, base)
        switched = replace(before.scheduling, enabled=wanted.enabled)
        row = db_schedules.change(tx, id, switched, by=caller.name, expected_revision=before.revision)
    return tags.shown(row.revision, _shown(row))


@router.delete("/schedulings/{id}", status_code=HTTPStatus.NO_CONTENT)
def remove_scheduling(here: Here, caller: Editor, base: BasedOn, id: Key) -> Response:
    """Remove a scheduling; its jobs stay."""
    with here.database.write() as tx:
        _check(tx, id, base)
        db_schedules.remove(tx, id, by=caller.name)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.get("/schedulings/{id}/preview")
def preview_scheduling(
    here: Here, _: Viewer, id: Key, count: Runs = 5, after: AfterQuery = None, zone: ZoneQuery = None
) -> Preview:
    """Show the next runs of a scheduling, with offsets, and what becomes of times that the clock skips or repeats."""
    with here.database.read() as tx:
        row = db_schedules.get(tx, id)
    schedule = read_schedule(row.scheduling, created=row.created, zone=zone)
    return _preview(schedule, after=after or datetime.now(UTC), count=count)


def _check(tx: Transaction, id: str, base: Base) -> SchedulingRow:
    db_schedules.get(tx, id)
    base.check(db_revisions.locked(tx, "scheduling", id))
    return db_schedules.get(tx, id)


def _read(document: JsonObject) -> Scheduling:
    scheduling = Scheduling.from_json(document)
    if len(scheduling.name) > _MAX_NAME:
        raise FlowError(INVALID_REQUEST, f"the name of a scheduling has at most {_MAX_NAME} characters")
    return scheduling


def _shown(row: SchedulingRow) -> SchedulingShown:
    values = {name: getattr(row, name) for name in SchedulingShown.model_fields if name != "scheduling"}
    return SchedulingShown.model_validate({**values, "scheduling": dict(row.scheduling.as_json())})


def _preview(schedule: Schedule, *, after: datetime, count: int) -> Preview:
    runs = [] if schedule.keep_updated is not None else upcoming(schedule.timetable, after, count)
    return Preview(
        time_zone=schedule.settings.time_zone,
        keep_updated_pause_seconds=schedule.settings.keep_updated_pause_seconds,
        runs=[_run(schedule, occurrence) for occurrence in runs],
    )


def _run(schedule: Schedule, occurrence: Occurrence) -> Run:
    local = occurrence.instant.astimezone(schedule.timetable.zone)
    return Run(
        wanted=occurrence.wanted.isoformat(timespec="seconds"),
        local=local.isoformat(timespec="seconds") if occurrence.runs else None,
        utc=occurrence.instant if occurrence.runs else None,
        note=occurrence.note.name.lower() if occurrence.note else "",
    )
