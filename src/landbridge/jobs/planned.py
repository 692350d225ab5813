"""The jobs of planned runs, many in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from landbridge.dataflow import Dataflow
from landbridge.errors import LandbridgeError
from landbridge.jobs import db_dataflows, db_jobs
from landbridge.jobs.db import Transaction
from landbridge.jobs.db_dataflows import DataflowRow, VersionRow
from landbridge.jobs.db_jobs import NewJob
from landbridge.jobs.job_options import JobOptions
from landbridge.jobs.jobs import remote_accounts


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run whose time has come.

    Attributes:
        id: Id of its job, the same whoever computes it.
        planned: The instant of the timetable, in UTC.
        options: How the job runs.
    """

    id: str
    dataflow_id: str
    scheduling_id: str
    planned: datetime
    options: JobOptions


def planned_id(scheduling_id: str, planned: datetime) -> str:
    """The id of the job of a planned run: the same whoever computes it."""
    return f"{scheduling_id}@{planned.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def start_planned(tx: Transaction, runs: Sequence[PlannedRun]) -> Mapping[str, LandbridgeError]:
    """Ask for the jobs of planned runs, with the newest version of their dataflows; see ``StartJobs``."""
    dataflows: dict[str, tuple[DataflowRow, VersionRow, frozenset[str]]] = {}
    failures: dict[str, LandbridgeError] = {}
    for row, version in db_dataflows.newest_versions(tx, {run.dataflow_id for run in runs}):
        try:
            dataflows[row.id] = (row, version, remote_accounts(Dataflow.load(version.document)))
        except LandbridgeError as failure:
            failures |= {run.id: failure for run in runs if run.dataflow_id == row.id}
    news = []
    for run in runs:
        if run.dataflow_id in dataflows:
            news.append(_new_job(run, *dataflows[run.dataflow_id]))
        else:
            failures.setdefault(run.id, db_dataflows.not_found(run.dataflow_id))
    if news:
        db_jobs.add_all(tx, news)
    return failures


def _new_job(run: PlannedRun, row: DataflowRow, version: VersionRow, accounts: frozenset[str]) -> NewJob:
    return NewJob(
        id=run.id,
        dataflow_id=row.id,
        dataflow_version=version.version,
        dataflow_name=version.name,
        started_by=f"scheduling {run.scheduling_id}",
        api_key=row.api_key,
        scheduling_id=run.scheduling_id,
        planned=run.planned,
        options=run.options,
        accounts=accounts,
    )
