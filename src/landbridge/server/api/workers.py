"""Who works for the service, how much at a time, and for how long it keeps what."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from pydantic import Field

from landbridge.jobs import db_revisions, db_settings, db_workers, limits, retention
from landbridge.jobs.db_workers import WorkerStatus
from landbridge.jobs.limits import MOST, Limits
from landbridge.jobs.retention import Retention
from landbridge.server.api.access import Admin, Viewer
from landbridge.server.api.etags import BasedOn, Tags
from landbridge.server.api.place import Here
from landbridge.server.api.routing import Routes
from landbridge.server.api.shapes import Given, Shown

router = Routes(tag="service")

_MAX_WORKERS: Final = 500

Jobs = Annotated[int, Field(ge=1, le=MOST)]
Days = Annotated[int, Field(ge=0, le=36_500)]


class WorkerShown(Shown):
    """A worker."""

    id: str
    host: str
    process: int
    landbridge_version: str
    slots: Annotated[int, Field(description="Jobs that it runs at the same time.")]
    status: WorkerStatus
    started: datetime
    heartbeat: datetime


class WorkerList(Shown):
    """All workers that are not gone."""

    items: list[WorkerShown]


class RetentionShown(Given):
    """For how many days each kind of data is kept; 0 for ever."""

    jobs: Annotated[Days, Field(description="Jobs with their counts and files; some of each dataflow always stay.")]
    traces: Annotated[Days, Field(description="Lines of traces.")]
    samples: Annotated[Days, Field(description="Records in traces at level debug.")]
    rejects: Annotated[Days, Field(description="Records that failed.")]
    audit: Annotated[Days, Field(description="Who changed what.")]
    removed: Annotated[Days, Field(description="Dataflows that were removed.")]


class LimitsShown(Given):
    """How many jobs may run at the same time, on all workers together."""

    overall: Annotated[Jobs, Field(description="Of all.")]
    per_site: Annotated[Jobs, Field(description="Of dataflows that belong to the same site.")]
    per_account: Annotated[Jobs, Field(description="That use the same account of a remote system.")]


@router.get("/workers")
def list_workers(here: Here, _: Viewer) -> WorkerList:
    """List the workers that are not gone."""
    with here.database.read() as tx:
        rows = db_workers.listing(tx)[:_MAX_WORKERS]
    return WorkerList(items=[WorkerShown.model_validate(row) for row in rows])


@router.get("/retention")
def show_retention(here: Here, _: Admin, tags: Tags) -> RetentionShown:
    """Show for how many days each kind of data is kept."""
    with here.database.read() as tx:
        return tags.shown(db_revisions.current(tx, "setting", retention.SETTING), _shown(Retention.load(tx)))


@router.put("/retention")
def change_retention(here: Here, caller: Admin, tags: Tags, base: BasedOn, wanted: RetentionShown) -> RetentionShown:
    """Change for how many days each kind of data is kept."""
    kept = Retention(**wanted.model_dump())
    with here.database.write() as tx:
        base.check(db_settings.locked(tx, retention.SETTING))
        kept.save(tx, by=caller.name)
        return tags.shown(db_revisions.current(tx, "setting", retention.SETTING), _shown(kept))


@router.get("/limits")
def show_limits(here: Here, _: Viewer, tags: Tags) -> LimitsShown:
    """Show how many jobs may run at the same time."""
    with here.database.read() as tx:
        found = LimitsShown.model_validate(Limits.load(tx), from_attributes=True)
        return tags.shown(db_revisions.current(tx, "setting", limits.SETTING), found)


@router.put("/limits")
def change_limits(here: Here, caller: Admin, tags: Tags, base: BasedOn, wanted: LimitsShown) -> LimitsShown:
    """Change how many jobs may run at the same time. Jobs that are running go on."""
    with here.database.write() as tx:
        base.check(db_settings.locked(tx, limits.SETTING))
        Limits(**wanted.model_dump()).save(tx, by=caller.name)
        return tags.shown(db_revisions.current(tx, "setting", limits.SETTING), wanted)


def _shown(kept: Retention) -> RetentionShown:
    return RetentionShown.model_validate({name: getattr(kept, name) for name in RetentionShown.model_fields})
