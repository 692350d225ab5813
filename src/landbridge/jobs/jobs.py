"""Ask for jobs, stop them, repeat them. A job begins when a worker finds its row, in whatever process that is."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from landbridge.dataflow import Dataflow
from landbridge.errors import FlowError
from landbridge.jobs import connections, db_audit, db_dataflows, db_jobs
from landbridge.jobs.db import Transaction, now
from landbridge.jobs.db_jobs import ENDED, JobRow, JobStatus, NewJob
from landbridge.jobs.job_options import JobKind, JobOptions

JOURNAL_LIFE: Final = timedelta(hours=24)
"""For so long a failed job can be gone on with; later the records that it has gathered are too old."""

_PLACE: Final = ("host", "port", "accountName", "bucketName", "bucket", "containerName", "container", "apiKey", "url")
_WHO: Final = ("username", "userKey", "accessKey", "awsAccessKey", "clientId")


def new_id(moment: datetime | None = None) -> str:
    """An id for a job that nobody planned; later ones sort behind earlier ones."""
    return f"{moment or datetime.now(UTC):%Y%m%d%H%M%S}{secrets.token_hex(9)}"


def start(
    tx: Transaction,
    dataflow_id: str,
    *,
    by: str,
    kind: JobKind = "run",
    options: JobOptions | None = None,
    sealed: bytes | None = None,
    version: int | None = None,
    job_id: str | None = None,
    scheduling_id: str | None = None,
    planned: datetime | None = None,
) -> JobRow:
    """Ask for a job.

    Args:
        tx: The transaction; the job exists when it is committed.
        dataflow_id: The dataflow.
        by: Who or what asks: ``cli``, ``scheduling <id>``, a user.
        kind: ``run``, ``test``, ``dry_run`` or ``replay``.
        options: How it runs.
        sealed: The values of the placeholders by name, as ``Vault.seal`` gives them.
        version: Which version of the dataflow; None for the newest.
        job_id: Asking twice for the same id gives one job; None for an id of its own.
        scheduling_id: The scheduling that wants it.
        planned: The instant for which the scheduling planned it.

    Returns:
        The job, which may have been there before.

    Raises:
        FlowError: LB-1701, there is no such dataflow or version.
    """
    row = db_dataflows.get(tx, dataflow_id)
    content = db_dataflows.version(tx, dataflow_id, version)
    new = job_id or new_id()
    added = db_jobs.add(
        tx,
        NewJob(
            id=new,
            dataflow_id=row.id,
            dataflow_version=content.version,
            dataflow_name=content.name,
            started_by=by,
            kind=kind,
            api_key=row.api_key,
            scheduling_id=scheduling_id,
            planned=planned,
            options=options or JobOptions(),
            sealed=sealed,
            accounts=remote_accounts(connections.connected_without_secrets(tx, Dataflow.load(content.document))),
        ),
    )
    if added and scheduling_id is None:
        asked = (options or JobOptions()).as_json()
        details = {"dataflow": row.id, "version": content.version, "kind": kind, "options": asked}
        action = "job.replay" if kind == "replay" else "job.start"
        db_audit.note(tx, action, actor=by, object_kind="job", object_id=new, details=details)
    return db_jobs.get(tx, new)


def retry(tx: Transaction, job_id: str, *, by: str, newest: bool = False, afresh: bool = False) -> JobRow:
    """Ask for a job once more.

    One that failed not long ago goes on where it failed: what is written is not written again. Any other one, one with
    the newest version, and one ``afresh`` begin from the beginning.

    Raises:
        FlowError: LB-1705, there is none; LB-1706, it has not ended yet; LB-1701, its dataflow was removed.
    """
    old = db_jobs.get(tx, job_id)
    if old.status not in ENDED:
        raise FlowError("LB-1706", f'the job "{job_id}" has not ended yet: {old.status}')
    flow = db_dataflows.get(tx, old.dataflow_id)
    content = db_dataflows.version(tx, flow.id, None if newest else old.dataflow_version)
    recent = old.ended is not None and now(tx) - old.ended < JOURNAL_LIFE
    same = content.version == old.dataflow_version and not afresh
    goes_on = old.status is JobStatus.FAILED and recent and same
    new = NewJob(
        id=new_id(),
        dataflow_id=flow.id,
        dataflow_version=content.version,
        dataflow_name=content.name,
        started_by=by,
        kind=old.kind,
        api_key=flow.api_key,
        scheduling_id=old.scheduling_id,
        options=replace(old.options, approvals=(), mark_revision=old.options.mark_revision if goes_on else None),
        sealed=old.sealed,
        accounts=remote_accounts(connections.connected_without_secrets(tx, Dataflow.load(content.document))),
        attempt=old.attempt + 1,
        retry_of=old.id,
        journal=old.journal if goes_on else "",
    )
    db_jobs.add(tx, new)
    details = {"of": old.id, "goes_on": goes_on}
    db_audit.note(tx, "job.retry", actor=by, object_kind="job", object_id=new.id, details=details)
    return db_jobs.get(tx, new.id)


def cancel(tx: Transaction, job_id: str, *, by: str) -> JobRow:
    """Stop a job: at once when it waits, as soon as its worker notices when it runs.

    Raises:
        FlowError: LB-1705, there is none; LB-1706, it has ended.
    """
    row = db_jobs.ask_cancel(tx, job_id, by=by)
    db_audit.note(tx, "job.cancel", actor=by, object_kind="job", object_id=job_id)
    return row


def remote_accounts(flow: Dataflow) -> frozenset[str]:
    """The accounts of remote systems that a dataflow uses, as keys for limits."""
    found = set()
    for step in flow.steps:
        parts = step.type.split(".")
        place = [str(step.params[key]) for key in _PLACE if step.params.get(key)]
        if parts[0] == "datasource" and len(parts) > 2 and place:  # noqa: PLR2004 - datasource, read or write, system
            who = [str(step.params[key]) for key in _WHO if step.params.get(key)]
            found.add(" ".join([parts[2], *place, *who]))
    return frozenset(found)
