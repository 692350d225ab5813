"""One start of one job: its process watched from the worker, and what it says kept in the database."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from landbridge import __version__
from landbridge.engine.failures import DIED, STALLED
from landbridge.engine.journal import IN_USE
from landbridge.errors import LandbridgeError, StorageError
from landbridge.jobs import db_approvals, db_jobs, db_progress, db_splits, db_totals, delta
from landbridge.jobs.child_process import ChildProcess
from landbridge.jobs.db import AWAY, Transaction, now
from landbridge.jobs.db_jobs import ENDED, Ending, JobRow, JobStatus
from landbridge.jobs.db_progress import KEPT_LEVELS, EdgeRow, FileRow, StepRow, Totals, TraceLevel, TraceRow
from landbridge.jobs.messages import Alive, Begin, Counts, Crashed, Done, Line, Refused, Stop
from landbridge.jobs.surroundings import Result, Surroundings

_LOG = logging.getLogger("landbridge.jobs")
_SAVE_INTERVAL_S: Final = 1.0
_BUSY_WAIT_S: Final = 2.0
_BUSY_TIMEOUT_S: Final = 120.0
_END_ATTEMPTS: Final = 10
_END_WAIT_S: Final = 2.0
_STOP_TIMEOUT_S: Final = 30.0
_PARTS_TIMEOUT_S: Final = 30.0
_PARTS_LOOK_S: Final = 0.1
_MAX_DEATHS: Final = 3
_STATUS: Final = {
    "succeeded": JobStatus.SUCCEEDED,
    "succeeded_with_errors": JobStatus.SUCCEEDED_WITH_ERRORS,
    "stopped": JobStatus.CANCELLED,
}
_JOURNAL_IS_DONE: Final = ENDED - {JobStatus.FAILED}
"""A failed job may be repeated from where it failed."""
_GUARD_CODES: Final = "LB-5"
_KEPT: Final = ("writers", "guards", "planned")
_REASONS: Final = {STALLED: "stalled"}


@dataclass(slots=True)
class _Heard:
    """What the process has said and the database does not have yet, and its last word."""

    counts: Counts | None = None
    lines: list[Line] = field(default_factory=list)
    last: Done | Refused | None = None


class Supervision:
    """Runs one job in a process, from its beginning to its end or until it is taken away.

    Args:
        job_id: The job.
        surroundings: What it shares with others.
    """

    def __init__(self, job_id: str, surroundings: Surroundings) -> None:
        self.job_id = job_id
        self._all = surroundings
        self.turn = 0
        """See ``JobRow``; known when the job has begun."""
        self._child: ChildProcess | None = None
        self._changed = threading.Lock()
        self._cancelled = False
        self._taken_away = False
        self._last_host = ""
        self._stop_sent: float | None = None
        self._time_is_up = False

    # -- called from other threads ---------------------------------------------------------------------------------

    def cancel(self) -> None:
        """A person wants the job to end."""
        with self._changed:
            self._cancelled = True

    def take_away(self) -> None:
        """End the process at once; the job goes on elsewhere."""
        with self._changed:
            self._taken_away = True
            if self._child is not None:
                self._child.kill()

    def alive(self, until: float | None) -> None:
        """The worker owns its jobs until ``until`` of the monotonic clock."""
        with self._changed:
            if self._child is not None:
                self._child.send(Alive(until))

    # -- the work --------------------------------------------------------------------------------------------------

    def run(self) -> bool:
        """Do the job; False when it was taken away and must be begun again, here or elsewhere.

        Raises:
            StorageError: LB-7501, the database cannot be used; the process has been ended.
        """
        deaths, busy_s = 0, 0.0
        while not self._taken_away:
            row = self._start()
            if row is None:
                return True
            if row.starts > self._all.max_starts:
                return self._end(row, _given_up(row.starts - 1), None)
            try:
                begin = self._begin(row)
            except LandbridgeError as error:
                if error.code == AWAY:
                    raise
                return self._end(row, _failed(error), None)
            except Exception:  # noqa: BLE001 - a job must never stay without an end
                _LOG.exception("job %s cannot be begun", row.id)
                return self._end(row, _bug(), None)
            heard, code = self._attend(row, begin)
            if self._taken_away or heard is None:
                return False
            ending = self._ending(heard)
            if ending is not None and ending.error and ending.error["code"] == IN_USE and busy_s < _BUSY_TIMEOUT_S:
                # The process of an earlier start has not noticed yet that the job is not its own any more.
                busy_s += _BUSY_WAIT_S
                time.sleep(_BUSY_WAIT_S)
                continue
            if ending is None:
                deaths += 1
                if deaths < _MAX_DEATHS:
                    self._trace(
                        row, "warning", f"the process of the job ended unexpectedly ({_exit(code)}); it begins again"
                    )
                    continue
                ending = _died(code)
            return self._end(row, ending, heard)
        return False

    def _start(self) -> JobRow | None:
        """Take the job; None when there is nothing to do any more."""
        with self._all.database.write() as tx:
            self._last_host = db_jobs.last_host(tx, self.job_id)
            row = db_jobs.begin(
                tx,
                self.job_id,
                worker_id=self._all.worker_id,
                host=self._all.host,
                landbridge_version=__version__,
            )
            if row is None:
                return None
            self.turn = row.turn
            row = delta.prepare(tx, row)
            start = f", start {row.starts}" if row.starts > 1 else ""
            _note(tx, row, "info", f"begun on {self._all.host}{start}")
            if told := delta.reading(row):
                _note(tx, row, "info", told)
        return row

    def _begin(self, row: JobRow) -> Begin:
        self._find_journal(row)
        return self._all.begin(row)

    def _find_journal(self, row: JobRow) -> None:
        """Make sure that a job which was begun before finds what it had done then.

        Raises:
            StorageError: LB-6006, its journal is not here. Nobody knows what it has written, so it must not begin anew.
        """
        if row.kind == "dry_run" or (self._all.journals / row.journal).exists():
            return
        with self._all.database.read() as tx:
            has_worked = bool(db_progress.steps_of(tx, row.id))
        elsewhere = row.starts > 1 and (has_worked or self._last_host != self._all.host)
        if elsewhere or row.journal != row.id:
            raise StorageError(
                "LB-6006",
                f"the job was begun on {self._last_host or 'another machine'}, and its journal is not in "
                f"{self._all.journals} here",
                hint="Let all workers use one data folder on a shared file system. Look at what the job has delivered, "
                "then repeat it from the beginning: landbridge jobs retry --afresh",
            )

    def _attend(self, row: JobRow, begin: Begin) -> tuple[_Heard | None, int]:
        """Run a process to its end; None when the job is no longer ours."""
        heard = _Heard()
        with self._changed:
            if self._taken_away:
                return None, 0
            child = self._child = ChildProcess(begin)
            child.send(Alive(self._all.owned_until()))
        limit_s = row.options.time_limit_s or self._all.time_limit_s
        started = saved = monotonic()
        try:
            for message in child.messages():
                if isinstance(message, Counts):
                    heard.counts = message
                elif isinstance(message, Line):
                    heard.lines.append(message)
                elif isinstance(message, Crashed):
                    _LOG.error("the process of job %s failed: %s", row.id, message.traceback, extra={"job": row.id})
                elif message is not None:
                    heard.last = message
                self._time_is_up = bool(limit_s and monotonic() - started > limit_s)
                self._stop_if_wanted(child)
                if monotonic() - saved > _SAVE_INTERVAL_S:
                    saved = monotonic()
                    if not self._save(row, heard):
                        child.kill()
                        return None, 0
            code = child.wait()
        finally:
            with self._changed:
                self._child = None
            child.kill()
            child.close()
        return heard, code

    def _stop_if_wanted(self, child: ChildProcess) -> None:
        if not (self._cancelled or self._time_is_up):
            return
        if self._stop_sent is None:
            self._stop_sent = monotonic()
            child.send(Stop("a person cancelled it" if self._cancelled else "its time limit is over"))
        elif monotonic() - self._stop_sent > _STOP_TIMEOUT_S:
            child.kill()

    def _save(self, row: JobRow, heard: _Heard) -> bool:
        """Keep what was heard; False when the job is no longer ours.

        A database that is away for a moment does not end a job: the process ends itself when it is away for too long.
        """
        try:
            with self._all.database.write() as tx:
                if not db_jobs.still_mine(tx, row.id, start=row.starts):
                    return False
                self._keep(tx, row, heard)
        except StorageError as error:
            _LOG.warning("job %s: what it reports cannot be kept yet: %s", row.id, error)
        else:
            heard.counts = None
            heard.lines.clear()
        return True

    def _keep(self, tx: Transaction, row: JobRow, heard: _Heard) -> None:
        if heard.counts is not None:
            counts = heard.counts
            db_progress.save_counts(tx, row.id, steps=_steps(counts), edges=_edges(counts), totals=_totals(counts))
        wanted = KEPT_LEVELS[row.options.log_level]
        lines = [
            TraceRow(
                at=line.at,
                level=line.level,
                message=line.message,
                step=line.step,
                sealed=self._all.documents.vault.seal(line.sample) if line.sample else None,
            )
            for line in heard.lines
            if line.level in wanted
        ]
        db_progress.add_trace(tx, row.id, lines)

    def _ending(self, heard: _Heard) -> Ending | None:
        """What the last word of the process means; None when it had none."""
        last = heard.last
        if isinstance(last, Refused):
            refusal = {"code": last.code, "step": last.step, "message": last.message, "hint": last.hint or None}
            return Ending(JobStatus.FAILED, "refused", refusal)
        if last is None:
            if self._cancelled:
                return Ending(JobStatus.CANCELLED, "cancelled")
            return _out_of_time() if self._time_is_up else None
        report = last.report
        error, status = report.get("error"), _STATUS.get(report["status"], JobStatus.FAILED)
        if status is JobStatus.CANCELLED and self._time_is_up and not self._cancelled:
            return _out_of_time()
        if status is JobStatus.FAILED and report.get("guards"):
            status = JobStatus.WAITING_FOR_APPROVAL
        code = error["code"] if error else ""
        reason = "guard" if code.startswith(_GUARD_CODES) else _REASONS.get(code, "")
        if status is JobStatus.CANCELLED:
            reason = "cancelled"
        result: Result = {key: report[key] for key in _KEPT if key in report}
        return Ending(status, reason, error, result or None)

    def _end(self, row: JobRow, ending: Ending, heard: _Heard | None) -> bool:
        """Record the end, and try again for a while when the database is away; False when the job is not ours.

        Raises:
            StorageError: LB-7501, it stays away.
        """
        for left in reversed(range(_END_ATTEMPTS)):
            try:
                return self._record_end(row, ending, heard)
            except StorageError as error:
                if not left or self._taken_away:
                    raise
                _LOG.warning("job %s: its end cannot be recorded yet: %s", row.id, error)
                time.sleep(_END_WAIT_S)
        return False

    def _record_end(self, row: JobRow, ending: Ending, heard: _Heard | None) -> bool:
        """Record the end with everything that belongs to it, in one transaction; False when the job is not ours."""
        result = heard.last.report if heard and isinstance(heard.last, Done) else {}
        with self._all.database.write() as tx:
            if not db_jobs.end(tx, row.id, ending, start=row.starts):
                return False
            if heard is not None:
                self._keep(tx, row, heard)
            db_progress.save_files(tx, row.id, _files(result))
            if ending.status in ENDED:
                db_totals.count(tx, row.id)
            if ending.error:
                _note(
                    tx, row, "error", f"{ending.error['message']}  [{ending.error['code']}]", step=ending.error["step"]
                )
            _note(tx, row, "info", f"ended: {ending.status}" + (f" ({ending.reason})" if ending.reason else ""))
            delta.job_ended(tx, row, ending, result)
            if ending.status is JobStatus.WAITING_FOR_APPROVAL:
                db_approvals.ask(tx, row.id, result["guards"])
            for follow_up in self._all.after_job:
                follow_up(tx, row, ending, result)
        facts = {"job": row.id, "dataflow": row.dataflow_id, **_of_error(ending)}
        level = logging.ERROR if ending.status is JobStatus.FAILED else logging.INFO
        why = f"  [{facts['code']}]" if facts.get("code") else ""
        _LOG.log(level, 'job %s of "%s": %s%s', row.id, row.dataflow_name, ending.status, why, extra=facts)
        for tell in self._all.told:
            tell(row.id)
        if ending.status in _JOURNAL_IS_DONE and self._parts_have_ended(row):
            shutil.rmtree(self._all.journals / row.journal, ignore_errors=True)
            self._all.chosen_files(row).unlink(missing_ok=True)
        return True

    def _parts_have_ended(self, row: JobRow) -> bool:
        """Wait until nobody works on a part of the job any more: its journal is where parts write.

        Since the end is recorded no part is begun, and workers end those that run. Where one does not within reach,
        the journal is left to the sweep (see ``retention``).
        """
        ends = monotonic() + _PARTS_TIMEOUT_S
        while row.options.splits and not self._taken_away:
            with suppress(StorageError), self._all.database.read() as tx:
                if not db_splits.running(tx, row.id):
                    break
            if monotonic() > ends:
                return False
            time.sleep(_PARTS_LOOK_S)
        return not self._taken_away

    def _trace(self, row: JobRow, level: TraceLevel, message: str) -> None:
        with self._all.database.write() as tx:
            _note(tx, row, level, message)


def _note(tx: Transaction, row: JobRow, level: TraceLevel, message: str, *, step: str | None = None) -> None:
    """A line of the worker's own in the trace of a job."""
    if level in KEPT_LEVELS[row.options.log_level]:
        db_progress.add_trace(tx, row.id, [TraceRow(at=now(tx), level=level, message=message, step=step)])


def _of_error(ending: Ending) -> dict[str, str | None]:
    return {key: ending.error.get(key) for key in ("code", "step")} if ending.error else {}


def _steps(counts: Counts) -> list[StepRow]:
    return [
        StepRow(
            step=step.id,
            position=position,
            component=step.component,
            activity=step.activity,
            records_in=step.records_in,
            records_out=step.records_out,
            rejected=step.rejected,
            filtered=step.filtered,
            bytes=step.bytes,
            files=step.files,
            started=step.started,
            ended=step.ended,
        )
        for position, step in enumerate(counts.steps)
    ]


def _edges(counts: Counts) -> list[EdgeRow]:
    return [
        EdgeRow(source=edge.source, target=edge.target, kind=edge.kind, records=edge.records, bytes=edge.bytes)
        for edge in counts.edges
    ]


def _totals(counts: Counts) -> Totals:
    """Read where nothing runs into a step, delivered where nothing runs out of it but an answer."""
    targets = {edge.target for edge in counts.edges}
    writers = [step for step in counts.steps if step.component.startswith("datasource.write.")]
    entries = [step for step in counts.steps if step.id not in targets]
    read = sum(step.records_out for step in entries) or max((step.records_in for step in counts.steps), default=0)
    return Totals(
        records_in=read,
        records_out=sum(step.records_out for step in writers),
        rejected=sum(step.rejected for step in counts.steps),
        bytes=sum(step.bytes for step in writers),
    )


def _files(result: Result) -> list[FileRow]:
    return [
        FileRow(number=number, name=file["name"], bytes=file["bytes"], records=file["records"])
        for number, file in enumerate(result.get("files", ()))
    ]


def _failed(error: LandbridgeError) -> Ending:
    found = {"code": error.code, "step": error.step, "message": error.message, "hint": error.hint or None}
    return Ending(JobStatus.FAILED, "", found)


def _bug() -> Ending:
    hint = "Please report it with the log of the service."
    return _failed_with("LB-9002", "an unexpected error of the worker", "bug", hint)


def _out_of_time() -> Ending:
    return _failed_with("LB-6004", "the job ran longer than its time limit", "time_limit", "Raise its time limit.")


def _given_up(starts: int) -> Ending:
    message = f"the job was begun {starts} times and its worker ended each time before it did"
    return _failed_with(DIED, message, "died", "See whether the machine has too little memory for it.")


def _died(code: int) -> Ending:
    message = f"the process of the job ended unexpectedly {_MAX_DEATHS} times ({_exit(code)})"
    return _failed_with(DIED, message, "died", "See whether the machine has too little memory for it.")


def _failed_with(code: str, message: str, reason: str, hint: str) -> Ending:
    return Ending(JobStatus.FAILED, reason, {"code": code, "step": None, "message": message, "hint": hint})


def _exit(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
