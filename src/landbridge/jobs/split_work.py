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
from landbridge.engine.failures import DIED
from landbridge.errors import LandbridgeError
from landbridge.jobs import db_jobs, db_progress, db_splits
from landbridge.jobs.child_process import ChildProcess
from landbridge.jobs.db import AWAY
from landbridge.jobs.db_jobs import JobRow, JobStatus
from landbridge.jobs.db_progress import KEPT_LEVELS, TraceRow
from landbridge.jobs.db_splits import Claim
from landbridge.jobs.messages import Crashed, Done, FromJob, Line, Refused
from landbridge.jobs.surroundings import Surroundings

_LOG = logging.getLogger("landbridge.jobs")
_JOB_CHECK_S: Final = 1.0
_LOST_CHECK_S: Final = 2.0
"""How often to look for splits that no thread works on."""
_KEEP_INTERVAL_S: Final = 1.0
_MAX_ATTEMPTS: Final = 3
_STOP_TIMEOUT_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What the process of a split has said at its end; ``error`` is None when the split is done."""

    error: Mapping[str, Any] | None


@dataclass(slots=True)
class _Work:
    """What a thread does now; between two splits it holds neither."""

    claim: Claim | None
    process: ChildProcess | None = None


class SplitWork:
    """Works on splits.

    Args:
        surroundings: What all work of the worker shares.
        slots: How many splits at the same time.
    """

    def __init__(self, surroundings: Surroundings, *, slots: int) -> None:
        self._all = surroundings
        self._slots = slots
        self._threads: dict[threading.Thread, _Work] = {}
        self._changed = threading.Lock()
        self._stopping = False
        self._lost: frozenset[Claim] = frozenset()
        self._next_lost_check = monotonic()

    def look(self) -> None:
        """Begin to work on what waits, as far as there are free slots. Called in each round of the worker.

        Raises:
            StorageError: LB-7501, the database cannot be used.
        """
        self._give_back_lost()
        while self._has_room():
            claim = self._claim()
            if claim is None:
                return
            thread = threading.Thread(target=self._work, args=(claim,), name=f"split {claim.number}", daemon=True)
            with self._changed:
                self._threads[thread] = _Work(claim)
            thread.start()

    def stop(self) -> None:
        """End all work; others take what is left."""
        with self._changed:
            self._stopping = True
            threads = dict(self._threads)
        for thread, work in threads.items():
            if work.process is not None:
                work.process.kill()
            thread.join(_STOP_TIMEOUT_S)
        with self._all.database.write() as tx:
            db_splits.release(tx, self._all.worker_id)

    def _has_room(self) -> bool:
        with self._changed:
            return not self._stopping and len(self._threads) < self._slots

    def _give_back_lost(self) -> None:
        """Let splits be taken again that no thread works on any more, as when the database was away at their end.

        A claim that was made just now may not be known to its thread yet, so only what is lost twice in a row is.
        """
        if monotonic() < self._next_lost_check:
            return
        self._next_lost_check = monotonic() + _LOST_CHECK_S
        with self._all.database.read() as tx:
            taken = db_splits.claims(tx, self._all.worker_id)
        with self._changed:
            held = {work.claim for work in self._threads.values()}
        lost = frozenset(taken) - held
        for claim in lost & self._lost:
            self._finish(claim, None, most=self._all.max_starts)
        self._lost = lost

    def _claim(self) -> Claim | None:
        """Take a split of a job whose folder this worker sees."""
        with self._all.database.read() as tx:
            offered = db_splits.offered(tx)
        for job_id, journal in offered:
            if (self._all.journals / journal / division.FOLDER).exists():
                with self._all.database.write() as tx:
                    claim = db_splits.claim(tx, job_id, worker_id=self._all.worker_id)
                if claim is not None:
                    return claim
        return None

    def _work(self, claim: Claim | None) -> None:
        """Work on a split, and on the next ones as long as there are any."""
        mine = threading.current_thread()
        try:
            while claim is not None:
                self._finish(claim, self._run(claim))
                claim = None if self._stopping else self._claim()
                with self._changed:
                    self._threads[mine] = _Work(claim)
        except LandbridgeError as error:
            # The database is away, or no process can be started. The claim is lost, and found so by the next look.
            _LOG.warning("split of job %s: %s", claim.job_id if claim else "?", error)
        except Exception:  # noqa: BLE001 - the claim is lost, and found so by the next look; the log tells why
            _LOG.exception("a split cannot be worked on")
        finally:
            with self._changed:
                del self._threads[mine]

    def _run(self, claim: Claim) -> _Outcome | None:
        """Work on a split; None when its process ended without a word."""
        with self._all.database.read() as tx:
            row = db_jobs.get(tx, claim.job_id)
        try:
            begin = self._all.begin(row, split=claim.number)
        except LandbridgeError as error:
            if error.code == AWAY:
                raise
            return _refused(error)
        process = ChildProcess(begin)
        mine = threading.current_thread()
        with self._changed:
            self._threads[mine] = _Work(claim, process)
            if self._stopping:
                process.kill()
        try:
            return _outcome(self._heard(process, row))
        finally:
            with self._changed:
                self._threads[mine] = _Work(claim)
            process.kill()
            process.close()

    def _heard(self, process: ChildProcess, row: JobRow) -> FromJob | None:
        """The last word of the process; it is ended when the job does not run any more."""
        last: FromJob | None = None
        lines: list[Line] = []
        checked = saved = monotonic()
        for message in process.messages():
            if isinstance(message, Line):
                lines.append(message)
            elif isinstance(message, Crashed):
                _LOG.error(
                    "the process of a part of job %s failed: %s", row.id, message.traceback, extra={"job": row.id}
                )
            elif message is not None:
                last = message
            if monotonic() - saved > _KEEP_INTERVAL_S:
                saved = monotonic()
                self._keep(row, lines)
            if monotonic() - checked > _JOB_CHECK_S:
                checked = monotonic()
                with self._all.database.read() as tx:
                    if db_jobs.get(tx, row.id).status is not JobStatus.RUNNING:
                        process.kill()
                        return None
        process.wait()
        self._keep(row, lines)
        return last

    def _keep(self, row: JobRow, lines: list[Line]) -> None:
        """Put lines into the trace of the job, and forget them here."""
        wanted = KEPT_LEVELS[row.options.log_level]
        kept = [TraceRow(line.at, line.level, line.message, line.step) for line in lines if line.level in wanted]
        if kept:
            with self._all.database.write() as tx:
                db_progress.add_trace(tx, row.id, kept)
        lines.clear()

    def _finish(self, claim: Claim, outcome: _Outcome | None, *, most: int = _MAX_ATTEMPTS) -> None:
        """Record what became of a split; without an outcome it is tried again, up to ``most`` times in all."""
        mine = self._all.worker_id
        with self._all.database.write() as tx:
            if outcome is not None:
                db_splits.end(tx, claim, worker_id=mine, error=outcome.error)
            elif self._stopping or claim.attempt < most:
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
        "code": DIED,
        "step": None,
        "message": f"the process of part {claim.number + 1} of the input ended without a result {claim.attempt} times",
        "hint": "See whether the machine has too little memory for it.",
    }
