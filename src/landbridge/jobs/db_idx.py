"""What the tables of ``idx.search`` are made of, of one site at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from landbridge.jobs.db import Transaction
from landbridge.jobs.db_dataflows import DataflowRow, Kind, VersionRow
from landbridge.jobs.db_progress import FileRow, TraceRow
from landbridge.jobs.db_schedules import SchedulingRow
from landbridge.jobs.db_tables import dataflow, dataflow_version as versions, job, job_file, job_trace, scheduling

_AT_ONCE = 200

JobKey = str
VersionKey = tuple[str, int]


@dataclass(frozen=True, slots=True)
class SiteScope:
    """What belongs to a site.

    Attributes:
        api_key: What carries this key.
        others: The keys of all other sites, where the site also has what carries none of them; else None.
    """

    api_key: str
    others: frozenset[str] | None = None

    def owns(self, api_key: str) -> bool:
        """Whether a dataflow or job with this API key belongs to the site."""
        return api_key == self.api_key or (self.others is not None and api_key not in self.others)


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as clients see it."""

    id: str
    kind: str
    dataflow_id: str
    dataflow_version: int
    dataflow_name: str
    scheduling_id: str | None
    status: str
    attempt: int
    host: str
    created: datetime
    started: datetime | None
    ended: datetime | None
    updated: datetime
    records_in: int
    records_out: int
    rejected: int
    error: Mapping[str, object] | None
    scheduling: str | None = field(repr=False)


def dataflows(
    tx: Transaction, scope: SiteScope, kind: Kind, *, all_versions: bool, ids: Collection[str] | None = None
) -> Iterator[tuple[DataflowRow, VersionRow]]:
    """The dataflows of a site with their newest, or all, versions, the oldest first.

    Args:
        tx: The transaction; the result must be read within it.
        scope: The site.
        kind: ``published`` or ``draft``.
        all_versions: Old versions too.
        ids: Only these; None for all.
    """
    joined = versions.c.dataflow_id == dataflow.c.id
    if not all_versions:
        joined = sa.and_(joined, versions.c.version == dataflow.c.version)
    flow_columns = [column.label(f"flow_{column.name}") for column in dataflow.c]
    wanted = (
        sa.select(*flow_columns, *(column.label(f"version_{column.name}") for column in versions.c))
        .join_from(dataflow, versions, joined)
        .where(dataflow.c.kind == kind, dataflow.c.removed.is_(None), _of(scope, dataflow.c.api_key))
        .order_by(dataflow.c.created, dataflow.c.id, versions.c.version)
        .execution_options(yield_per=_AT_ONCE)
    )
    if ids is not None:
        wanted = wanted.where(dataflow.c.id.in_(ids))
    for row in tx.execute(wanted).mappings():
        yield (
            DataflowRow(**{name: row[f"flow_{name}"] for name in DataflowRow.__slots__}),
            VersionRow(**{name: row[f"version_{name}"] for name in VersionRow.__slots__}),
        )


def schedulings(
    tx: Transaction, scope: SiteScope, *, ids: Collection[str] | None = None
) -> Iterator[tuple[SchedulingRow, str | None, datetime | None]]:
    """The schedulings of a site, the oldest first, each with status and start of its current or last job."""
    wanted = (
        sa.select(scheduling, job.c.status.label("job_status"), job.c.started.label("job_started"))
        .join_from(scheduling, dataflow, dataflow.c.id == scheduling.c.dataflow_id)
        .outerjoin(job, job.c.id == scheduling.c.job_id)
        .where(scheduling.c.removed.is_(None), dataflow.c.removed.is_(None), _of(scope, dataflow.c.api_key))
        .order_by(scheduling.c.created, scheduling.c.id)
        .execution_options(yield_per=_AT_ONCE)
    )
    if ids is not None:
        wanted = wanted.where(scheduling.c.id.in_(ids))
    for row in tx.execute(wanted).mappings():
        values = {name: row[name] for name in SchedulingRow.__slots__}
        yield SchedulingRow(**values), row["job_status"], row["job_started"]


def jobs(
    tx: Transaction,
    scope: SiteScope,
    *,
    ids: Collection[str] | None = None,
    dataflow_id: str | None = None,
    scheduling_id: str | None = None,
) -> Iterator[JobView]:
    """The jobs of a site, the oldest first.

    Args:
        tx: The transaction; the result must be read within it.
        scope: The site.
        ids: Only these; None for all.
        dataflow_id: Only those of this dataflow.
        scheduling_id: Only those of this scheduling.
    """
    columns = [job.c[name] for name in JobView.__slots__ if name != "scheduling"]
    wanted = (
        sa.select(*columns, scheduling.c.document.label("scheduling"))
        .outerjoin_from(job, scheduling, scheduling.c.id == job.c.scheduling_id)
        .where(_of(scope, job.c.api_key))
        .order_by(job.c.created, job.c.id)
        .execution_options(yield_per=_AT_ONCE)
    )
    for column, value in ((job.c.dataflow_id, dataflow_id), (job.c.scheduling_id, scheduling_id)):
        if value is not None:
            wanted = wanted.where(column == value)
    if ids is not None:
        wanted = wanted.where(job.c.id.in_(ids))
    for row in tx.execute(wanted).mappings():
        yield JobView(**row)


def job_files(tx: Transaction, ids: Collection[str]) -> Mapping[str, Sequence[FileRow]]:
    """The files that each of these jobs has delivered, in their order."""
    found: dict[str, list[FileRow]] = {job_id: [] for job_id in ids}
    wanted = sa.select(job_file).where(job_file.c.job_id.in_(ids)).order_by(job_file.c.job_id, job_file.c.number)
    for row in tx.execute(wanted).mappings():
        found[row["job_id"]].append(FileRow(**{name: row[name] for name in FileRow.__slots__}))
    return found


def job_traces(tx: Transaction, ids: Collection[str], *, limit: int) -> Mapping[str, Sequence[TraceRow]]:
    """The first lines of the trace of each of these jobs; ``limit`` for each."""
    found: dict[str, list[TraceRow]] = {job_id: [] for job_id in ids}
    at = sa.func.row_number().over(partition_by=job_trace.c.job_id, order_by=job_trace.c.id).label("number_in_job")
    columns = [column for column in job_trace.c if column.name != "sealed"]
    lines = sa.select(*columns, at).where(job_trace.c.job_id.in_(ids)).subquery()
    wanted = sa.select(lines).where(lines.c.number_in_job <= limit).order_by(lines.c.id)
    for row in tx.execute(wanted).mappings():
        line = TraceRow(at=row["at"], level=row["level"], message=row["message"], step=row["step"], id=row["id"])
        found[row["job_id"]].append(line)
    return found


def named(tx: Transaction, scope: SiteScope, name: str) -> Sequence[str]:
    """The ids of the published dataflows of a site that have a name."""
    wanted = sa.select(dataflow.c.id).where(
        dataflow.c.kind == "published",
        dataflow.c.removed.is_(None),
        dataflow.c.name == name,
        _of(scope, dataflow.c.api_key),
    )
    return list(tx.execute(wanted).scalars())


def schedulings_of(tx: Transaction, dataflow_ids: Collection[str]) -> Sequence[str]:
    """The ids of the schedulings of dataflows, removed dataflows too."""
    wanted = sa.select(scheduling.c.id).where(
        scheduling.c.dataflow_id.in_(dataflow_ids), scheduling.c.removed.is_(None)
    )
    return list(tx.execute(wanted).scalars())


def drafts_of(tx: Transaction, dataflow_id: str) -> Sequence[str]:
    """The ids of the drafts of a dataflow."""
    wanted = sa.select(dataflow.c.id).where(dataflow.c.draft_of == dataflow_id, dataflow.c.removed.is_(None))
    return list(tx.execute(wanted).scalars())


def _of(scope: SiteScope, column: sa.Column[str]) -> sa.ColumnElement[bool]:
    own = column == scope.api_key
    return own if scope.others is None else sa.or_(own, column.not_in(scope.others))
