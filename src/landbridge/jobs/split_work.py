"""The part of a worker that works on splits: of any running job, in as many processes as the worker has slots.

A job that waits for its splits has a slot of its own, so jobs and splits never wait for each other.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from landbridge.engine import division
from landbridge.errors import LandbridgeError
from landbridge.jobs import db_jobs, db_progress, db_splits
from landbridge.jobs.child_process import ChildProcess
from landbridge.jobs.db_jobs import JobRow, JobStatus
from landbridge.jobs.db_progress import KEPT_LEVELS, TraceRow
from landbridge.jobs.db_splits import Claim
from landbridge.jobs.messages import Done, FromJob, Line, Refused
from landbridge.jobs.surroundings import Surroundings

_LOG = logging.getLogger("landbridge.jobs")
_LOOK_AT: Final = 50
_JOB_CHECK_S: Final = 1.0
_MAX_ATTEMPTS: Final = 3
_STOP_TIMEOUT_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What the process of a split has said at its end; ``error`` is None when the split is done."""

    error: Mapping[str, Any] | None


class SplitWork:
    """Works on splits.

    Args:
        surroundings: What all work of the worker shares.
        slots: How many splits at the same time.
    """

    def __init__(self, surroundings: Surroundings, *, slots: int) -> None:
        self._all = surroundings
        self._slots = slots
        self._threads: dict[threading.Thread, ChildProcess | None] = {}
        self._changed = threading.Lock()
        self._stopping = False

    def look(self) -> None:
        """Begin to work on what waits, as far as there are free slots. Called in each round of the worker.

        Raises:
            StorageError: LB-7501, the database cannot be used.
        """
        while self._has_room():
            claim = self._claim()
            if claim is None:
                return
            thread = threading.Thread(target=self._work, args=(claim,), name=f"split {claim.number}", daemon=True)
            with self._changed:
                self._threads[thread] = None
            thread.start()

    def stop(self) -> None:
        """End all work; others take what is left."""
        with self._changed:
            self._stopping = True
            threads = dict(self._threads)
        for thread, process in threads.items():
            if process is not None:
                process.kill()
            thread.join(_STOP_TIMEOUT_S)
        with self._all.database.write() as tx:
            db_splits.release(tx, self._all.worker_id)

    def _has_room(self) -> bool:
        with self._changed:
            return not self._stopping and len(self._threads) < self._slots

    def _claim(self) -> Claim | None:
        """Take a split of a job whose folder this worker sees."""
        with self._all.database.read() as tx:
            waiting = db_splits.waiting(tx, limit=_LOOK_AT)
        for job_id, number, journal in waiting:
            if (self._all.journals / journal / division.FOLDER).exists():
                with self._all.database.write() as tx:
                    claim = db_splits.claim(tx, job_id, number, worker_id=self._all.worker_id)
                if claim is not None:
                    return claim
        return None

    def _work(self, claim: Claim | None) -> None:
        """Work on a split, and on the next ones as long as there are any."""
        try:
            while claim is not None:
                self._finish(claim, self._run(claim))
                claim = None if self._stopping else self._claim()
        except LandbridgeError as error:
            # The database is away: the claim stays this worker's until it is released or the worker is dead.
            _LOG.warning("split of job %s: %s", claim.job_id if claim else "?", error)
        except Exception:  # noqa: BLE001 - the split is taken again when this worker ends, and the log tells why
            _LOG.exception("a split cannot be worked on")
        finally:
            with self._changed:
                del self._threads[threading.current_thread()]

    def _run(self, claim: Claim) -> _Outcome | None:
        """Work on a split; None when its process ended without a word."""
        with self._all.database.read() as tx:
            row = db_jobs.get(tx, claim.job_id)
        try:
            begin = self._all.begin(row, split=claim.number)
        except LandbridgeError as error:
            return _refused(error)
        process = ChildProcess(begin)
        with self._changed:
            self._threads[threading.current_thread()] = process
            if self._stopping:
                process.kill()
        try:
            return _outcome(self._heard(process, row))
        finally:
            with self._changed:
                self._threads[threading.current_thread()] = None
            process.kill()
            process.close()

    def _heard(self, process: ChildProcess, row: JobRow) -> FromJob | None:
        """The last word of the process; it is ended when the job does not run any more."""
        last: FromJob | None = None
        checked = monotonic()
        for message in process.messages():
            if isinstance(message, Line):
                self._keep(row, message)
            elif message is not None:
                last = message
            if monotonic() - checked > _JOB_CHECK_S:
                checked = monotonic()
                with self._all.database.read() as tx:
                    if db_jobs.get(tx, row.id).status is not JobStatus.RUNNING:
                        process.kill()
                        return None
        process.wait()
        return last

    def _keep(self, row: JobRow, line: Line) -> None:
        if line.level in KEPT_LEVELS[row.options.log_level] and line.sample is None:
            with self._all.database.write() as tx:
                db_progress.add_trace(tx, row.id, [TraceRow(line.at, line.level, line.message, line.step)])

    def _finish(self, claim: Claim, outcome: _Outcome | None) -> None:
        mine = self._all.worker_id
        with self._all.database.write() as tx:
            if outcome is not None:
                db_splits.end(tx, claim, worker_id=mine, error=outcome.error)
            elif self._stopping or claim.attempt < _MAX_ATTEMPTS:
                db_splits.give_back(tx, claim, worker_id=mine)
            else:
                db_splits.end(tx, claim, worker_id=mine, error=_died(claim))


def _outcome(last: FromJob | None) -> _Outcome | None:
    if isinstance(last, Refused):
        return _refused(last)
    return _Outcome(last.report.get("error")) if isinstance(last, Done) else None


def _refused(why: Refused | LandbridgeError) -> _Outcome:
    return _Outcome({"code": why.code, "step": why.step, "message": why.message, "hint": why.hint or None})


def _died(claim: Claim) -> dict[str, Any]:
    return {
        "code": "LB-6005",
        "step": None,
        "message": f"the process of part {claim.number + 1} of the input ended unexpectedly {claim.attempt} times",
        "hint": "See whether the machine has too little memory for it.",
    }
