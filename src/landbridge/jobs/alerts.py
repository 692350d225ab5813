"""Notices what is worth an alert, in the transaction that records it; ``alert_delivery`` tells people.

A message names the dataflow, the job and the error's code with its meaning. It holds no message of another system, no
record and no file name: those may hold secrets or personal data, and stand in the job's trace for those who may see it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from landbridge.dataflow import problems
from landbridge.errors import CODES, LandbridgeError
from landbridge.jobs import db_alerts, db_dataflows, db_jobs, db_schedules
from landbridge.jobs.alert_rules import AlertKind, RuleSettings, read_settings, usual_range
from landbridge.jobs.db import Transaction, now
from landbridge.jobs.db_alerts import LateRun, RuleRow
from landbridge.jobs.db_jobs import Ending, JobRow, JobStatus

_LOG = logging.getLogger("landbridge.alerts")

_KINDS: Final = (AlertKind.FAILURE, AlertKind.STALLED, AlertKind.GUARD, AlertKind.LATE, AlertKind.REJECTS)
"""What is worth a message when it is over."""

_SUCCESS: Final = (JobStatus.SUCCEEDED, JobStatus.SUCCEEDED_WITH_ERRORS)


def job_ended(tx: Transaction, job: JobRow, ending: Ending, result: Mapping[str, Any]) -> None:
    """Note what the end of a job is worth; an ``AfterJob``. Tests and dry runs are watched by whoever started them."""
    if job.kind not in ("run", "replay") or ending.status is JobStatus.CANCELLED:
        return
    row = db_jobs.get(tx, job.id)
    details = _details(row, ending, result)
    _tell_scheduling(tx, row, ending, details)
    for rule in db_alerts.rule_listing(tx, dataflow_id=row.dataflow_id):
        settings = _settings(rule)
        if settings is None:
            continue
        noticed = _noticed(tx, row, ending, settings)
        if ending.status in _SUCCESS:
            _close(tx, rule, settings, row, details, still=set(noticed))
        for kind, facts in noticed.items():
            if kind is AlertKind.REJECTS and db_alerts.is_noted(tx, rule.id, kind=kind, job_id=row.id):
                continue  # when a guard stopped the job, which has gone on since
            _note(tx, rule, settings, kind, row.dataflow_id, details={**details, **facts}, job_id=row.id)


def notice_late(tx: Transaction) -> None:
    """Note planned runs that have not begun a while after their time."""
    moment = now(tx)
    late: dict[str, LateRun] = {}
    for run in db_alerts.late_runs(tx, moment):
        late.setdefault(run.scheduling_id, run)
    for run in late.values():
        try:
            row = db_schedules.get(tx, run.scheduling_id)
            allowed = timedelta(seconds=row.schedule.settings.late_after_seconds)
            name = db_dataflows.get(tx, run.dataflow_id).name
        except LandbridgeError:
            continue  # removed, or of another version
        if run.planned + allowed >= moment:
            continue
        details = {"dataflow": name, "scheduling": row.name, "planned": _written(run.planned)}
        for rule in db_alerts.rule_listing(tx, dataflow_id=run.dataflow_id):
            settings = _settings(rule)
            if settings and AlertKind.LATE in settings.kinds and not _was_noted(tx, rule, run):
                _note(tx, rule, settings, AlertKind.LATE, run.dataflow_id, details=details, job_id=run.job_id)


def headline(kind: str, details: Mapping[str, Any]) -> str:
    """What happened, in one line."""
    name = details.get("dataflow", "")
    match kind:
        case AlertKind.FAILURE:
            return f'"{name}" failed'
        case AlertKind.STALLED:
            return f'"{name}" made no progress and was stopped'
        case AlertKind.GUARD:
            return f'"{name}" was stopped by a guard and waits for an approval'
        case AlertKind.REJECTS:
            return f'"{name}" rejected {details.get("rejected", 0):,} of {details.get("records", 0):,} records'
        case AlertKind.LATE:
            return f'"{name}" has not started: its run of {details.get("planned")} is late'
        case AlertKind.VOLUME:
            low, high = details.get("usual", (0, 0))
            return f'"{name}" read {details.get("records", 0):,} records; usual are {low:,} to {high:,}'
        case AlertKind.RECOVERY:
            return f'"{name}" is well again'
        case _:
            return f'"{name}" succeeded'


def _settings(rule: RuleRow) -> RuleSettings | None:
    try:
        return read_settings(rule.settings)
    except LandbridgeError as failure:  # another version stored it; a job must end all the same
        _LOG.error("the rule %s for alerts is not followed: %s", rule.id, failure)
        return None


def _noticed(tx: Transaction, job: JobRow, ending: Ending, settings: RuleSettings) -> dict[AlertKind, dict[str, Any]]:
    """What a rule notices in the end of a job, each with facts of its own."""
    found: dict[AlertKind, dict[str, Any]] = {}
    if ending.status not in _SUCCESS:
        found[_kind_of(ending)] = {}
    elif job.kind == "run" and job.options.limit is None and AlertKind.VOLUME in settings.kinds:
        good = db_alerts.good_runs(tx, job, limit=settings.volume_runs)
        usual = usual_range([run.records_in for run in good], deviations=settings.volume_deviations)
        if usual and not usual[0] <= job.records_in <= usual[1]:
            found[AlertKind.VOLUME] = {"usual": list(usual)}
    share = 100 * job.rejected / max(job.records_in, job.rejected, 1)
    if job.rejected > settings.rejects_over and share > settings.rejects_share_over:
        found[AlertKind.REJECTS] = {}
    return {kind: facts for kind, facts in found.items() if kind in settings.kinds}


def _kind_of(ending: Ending) -> AlertKind:
    if ending.status is JobStatus.WAITING_FOR_APPROVAL:
        return AlertKind.GUARD
    return AlertKind.STALLED if ending.reason == "stalled" else AlertKind.FAILURE


def _note(
    tx: Transaction,
    rule: RuleRow,
    settings: RuleSettings,
    kind: AlertKind,
    dataflow_id: str,
    *,
    details: dict[str, Any],
    job_id: str | None,
) -> None:
    known = [alert for alert in db_alerts.open_alerts(tx, rule.id, dataflow_id) if alert.kind == kind]
    if known and settings.repeat == "first":
        db_alerts.again(tx, known[0].id, job_id=job_id)
        return
    db_alerts.add(
        tx,
        kind=kind,
        message=headline(kind, details),
        details=details,
        rule_id=rule.id,
        dataflow_id=dataflow_id,
        job_id=job_id,
    )


def _was_noted(tx: Transaction, rule: RuleRow, run: LateRun) -> bool:
    """Whether this late run was noted before: it is looked at again and again."""
    planned = _written(run.planned)
    return any(
        alert.kind == AlertKind.LATE and alert.details.get("planned") == planned
        for alert in db_alerts.open_alerts(tx, rule.id, run.dataflow_id)
    )


def _close(
    tx: Transaction,
    rule: RuleRow,
    settings: RuleSettings,
    job: JobRow,
    details: dict[str, Any],
    *,
    still: set[AlertKind],
) -> None:
    """A job succeeded: what was wrong is over, and worth a message unless records of this very job were rejected."""
    over = [alert for alert in db_alerts.open_alerts(tx, rule.id, job.dataflow_id) if alert.kind not in still]
    db_alerts.close(tx, [alert.id for alert in over])
    was_wrong = any(alert.kind in _KINDS for alert in over)
    if AlertKind.RECOVERY in settings.kinds and was_wrong and AlertKind.REJECTS not in still:
        db_alerts.add(
            tx,
            kind=AlertKind.RECOVERY,
            message=headline(AlertKind.RECOVERY, details),
            details=details,
            rule_id=rule.id,
            dataflow_id=job.dataflow_id,
            job_id=job.id,
            open=False,
        )


def _tell_scheduling(tx: Transaction, job: JobRow, ending: Ending, details: dict[str, Any]) -> None:
    """The two e-mail fields of the scheduling: every success, every failure; a success with rejects is both."""
    if job.scheduling_id is None:
        return
    try:
        scheduling = db_schedules.get(tx, job.scheduling_id).scheduling
    except LandbridgeError:
        return
    succeeded = ending.status in _SUCCESS
    if ending.status is JobStatus.SUCCEEDED_WITH_ERRORS:
        kind, to = AlertKind.REJECTS, [*scheduling.success_emails, *scheduling.failure_emails]
    elif succeeded:
        kind, to = AlertKind.SUCCESS, [*scheduling.success_emails]
    else:
        kind, to = _kind_of(ending), [*scheduling.failure_emails]
    if to:
        db_alerts.add(
            tx,
            kind=kind,
            message=headline(kind, details),
            details={**details, "to": list(dict.fromkeys(to))},
            dataflow_id=job.dataflow_id,
            job_id=job.id,
            open=False,
        )


def _details(job: JobRow, ending: Ending, result: Mapping[str, Any]) -> dict[str, Any]:
    details: dict[str, Any] = {
        "dataflow": job.dataflow_name,
        "job": job.id,
        "status": str(ending.status),
        "records": job.records_in,
        "delivered": job.records_out,
        "rejected": job.rejected,
    }
    if job.started:
        details["started"] = _written(job.started)
    if job.planned:
        details["planned"] = _written(job.planned)
    if ending.error:
        code = str(ending.error.get("code") or "")
        details["code"] = code
        details["meaning"] = {**CODES, **problems.CODES}.get(code, "")
        if ending.error.get("step"):
            details["step"] = ending.error["step"]
    if ending.status is JobStatus.WAITING_FOR_APPROVAL:
        details["guards"] = [
            {key: guard[key] for key in ("guard", "step", "code", "message", "counts") if key in guard}
            for guard in result.get("guards", ())
        ]
    return details


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
