"""A worker: takes jobs from the durable queue and runs each in a process, until it is told to stop.

Besides the jobs it does a round every half second: it writes its heartbeat, lets waiting jobs run as far as the limits
allow, passes cancellations on, and takes over from workers that are dead. Every worker does all of it; the database
sees to it that each thing is done once.
"""

from __future__ import annotations

import logging
import os
import platform
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

from landbridge import __version__
from landbridge.errors import LandbridgeError
from landbridge.jobs import child_process, db_jobs, db_splits, db_workers, retention
from landbridge.jobs.db import Database, exclusive
from landbridge.jobs.documents import Documents
from landbridge.jobs.durable import DurableQueue, HandedBack
from landbridge.jobs.key_check import service_vault
from landbridge.jobs.limits import Limits
from landbridge.jobs.private import private_folder
from landbridge.jobs.split_work import SplitWork
from landbridge.jobs.supervision import Supervision
from landbridge.jobs.surroundings import AfterJob, Surroundings, Told

_LOG = logging.getLogger("landbridge.jobs")
_ROUND_S: Final = 0.5
_HAND_BACK_TIMEOUT_S: Final = 10.0
_FIRST_SWEEP_S: Final = 60.0
_SEARCH_INTERVAL_S: Final = 300.0
_SWEEP_INTERVAL_S: Final = 3600.0
_SHARE_BEAT: Final = 0.15
"""A worker writes its heartbeat after each such share of the lease."""
_SHARE_OWNED: Final = 0.7
"""A worker that cannot write its heartbeat ends its jobs after this share of the lease, before another begins them."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How a worker works.

    Attributes:
        slots: Jobs that it runs at the same time, and as many splits of divided jobs.
        lease_s: A heartbeat older than this is a dead worker's.
        grace_s: What running jobs get when the worker is stopped; the rest is handed back.
        time_limit_s: For jobs that say nothing else.
        stall_timeout_s: For jobs that say nothing else.
    """

    slots: int = 2
    lease_s: float = 30.0
    grace_s: float = 30.0
    time_limit_s: float | None = None
    stall_timeout_s: float = 300.0


class Worker:
    """One worker; one in a process, because the durable queue is.

    Args:
        database: Its tables are up to date.
        place: Where ``database`` is: the data folder, or a URL.
        data: The data folder: journals, rejects, the key.
        settings: See WorkerSettings.
        after_job: What else to do in the transaction that ends a job.
        told: Who is told of it afterwards.
    """

    def __init__(
        self,
        database: Database,
        place: Path | str,
        *,
        data: Path,
        settings: WorkerSettings | None = None,
        after_job: Sequence[AfterJob] = (),
        told: Sequence[Told] = (),
    ) -> None:
        self.settings = settings or WorkerSettings()
        self._host = platform.node()
        self.id = f"{self._host}-{os.getpid()}-{secrets.token_hex(4)}"
        self._database = database
        self._surroundings = Surroundings(
            database=database,
            place=place,
            documents=Documents(service_vault(database, data)),
            data=data,
            worker_id=self.id,
            host=self._host,
            time_limit_s=self.settings.time_limit_s,
            stall_timeout_s=self.settings.stall_timeout_s,
            after_job=after_job,
            told=told,
            owned_until=self._owned_until,
        )
        private_folder(self._surroundings.journals)
        self._queue = DurableQueue(place, worker_id=self.id, slots=self.settings.slots, work=self._work)
        self._splits = SplitWork(self._surroundings, slots=self.settings.slots)
        self._running: dict[str, Supervision] = {}
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._handing_back = False
        self._believed_dead = False
        self._to_give_back: list[tuple[str, int]] = []
        self._last_beat = monotonic()
        self._next_sweep = monotonic() + _FIRST_SWEEP_S
        self._next_look = self._next_search = monotonic()
        self._sweeping: threading.Thread | None = None
        self._rounds = threading.Thread(target=self._go_round, name="rounds", daemon=True)

    def start(self) -> None:
        """Begin to work.

        Raises:
            StorageError: LB-7501, the database cannot be used.
        """
        with self._database.write() as tx:
            db_workers.add(
                tx,
                self.id,
                host=self._host,
                process=os.getpid(),
                landbridge_version=__version__,
                slots=self.settings.slots,
            )
        child_process.prepare()
        self._queue.launch()
        self._rounds.start()

    @property
    def is_well(self) -> bool:
        """Whether its rounds go on and the database answers."""
        return self._rounds.is_alive() and monotonic() - self._last_beat < self.settings.lease_s * _SHARE_OWNED

    @property
    def running(self) -> Sequence[str]:
        """Ids of the jobs that it runs now."""
        with self._changed:
            return list(self._running)

    def stop(self) -> int:
        """Stop in order: take no more jobs, give those that run some time, hand the rest back.

        Returns:
            How many were handed back.
        """
        self._queue.stop_taking()
        with self._changed:
            self._changed.wait_for(lambda: not self._running, timeout=self.settings.grace_s)
            left = list(self._running.values())
            self._handing_back = True
        for supervision in left:
            supervision.take_away()
        with self._changed:
            self._changed.wait_for(lambda: not self._running, timeout=_HAND_BACK_TIMEOUT_S)
        self._stopping.set()
        if self._rounds.is_alive():
            self._rounds.join()
        if self._sweeping is not None:
            self._sweeping.join(_HAND_BACK_TIMEOUT_S)
        self._splits.stop()
        with self._database.write() as tx:
            db_workers.stop(tx, self.id, leaves_jobs=bool(self._to_give_back))
        self._queue.close()
        return len(left)

    # -- jobs ------------------------------------------------------------------------------------------------------

    def _work(self, job_id: str) -> None:
        """Do a job; called by the durable queue in a thread of its own."""
        supervision = Supervision(job_id, self._surroundings)
        with self._counted(supervision):
            try:
                if supervision.run():
                    return
            except LandbridgeError as error:
                # The database is out of reach: nothing can be recorded, and another start finds the job as it was.
                _LOG.error("job %s: %s", job_id, error)
            with self._changed:
                self._to_give_back.append((job_id, supervision.turn))
            self._give_back()
        raise HandedBack

    @contextmanager
    def _counted(self, supervision: Supervision) -> Iterator[None]:
        with self._changed:
            self._running[supervision.job_id] = supervision
            if self._handing_back or self._believed_dead:
                supervision.take_away()
        try:
            yield
        finally:
            with self._changed:
                del self._running[supervision.job_id]
                self._changed.notify_all()

    def _give_back(self) -> None:
        """Queue again what this worker cannot go on with; what fails is tried again in the next round."""
        with self._changed:
            waiting = list(self._to_give_back)
        for job_id, turn in waiting:
            try:
                with self._database.write() as tx:
                    db_jobs.hand_back(tx, job_id, worker_id=self.id)
                self._queue.give_back(job_id, turn=turn)
            except Exception as error:  # noqa: BLE001 - whatever keeps the databases away
                _LOG.warning("job %s cannot be handed back yet: %s", job_id, type(error).__name__)
            else:
                with self._changed:
                    if (job_id, turn) in self._to_give_back:
                        self._to_give_back.remove((job_id, turn))

    # -- rounds ----------------------------------------------------------------------------------------------------

    def _go_round(self) -> None:
        while not self._stopping.wait(_ROUND_S):
            for duty in (
                self._beat,
                self._pass_cancellations_on,
                self._let_jobs_run,
                self._splits.look,
                self._give_back,
                self._take_over,
                self._find_lost_jobs,
                self._start_sweep,
            ):
                try:
                    duty()
                except LandbridgeError as error:
                    _LOG.warning("%s", error)
                except Exception:  # noqa: BLE001 - the next round may do better; without rounds the worker is lost
                    _LOG.exception("the worker cannot do its round")

    def _beat(self) -> None:
        before = monotonic()
        if before - self._last_beat < self.settings.lease_s * _SHARE_BEAT:
            return
        with self._database.write() as tx:
            alive = db_workers.beat(tx, self.id)
        if not alive:
            self._drop_everything()
            return
        self._last_beat = before
        for supervision in self._supervisions():
            supervision.alive(self._owned_until())

    def _drop_everything(self) -> None:
        """Another worker believes this one dead. It must not take jobs again before the other is done with that."""
        if not self._believed_dead:
            _LOG.error("another worker believed this one dead and takes over its jobs")
        self._believed_dead = True
        for supervision in self._supervisions():
            supervision.take_away()
        with self._database.write() as tx:
            if db_workers.return_to_life(tx, self.id, lease_s=self.settings.lease_s):
                self._believed_dead = False
                self._last_beat = monotonic()

    def _owned_until(self) -> float | None:
        """Until when the jobs of this worker are its own; a file has no other workers."""
        return self._last_beat + self.settings.lease_s * _SHARE_OWNED if self._database.is_shared else None

    def _pass_cancellations_on(self) -> None:
        running = {supervision.job_id: supervision for supervision in self._supervisions()}
        if running:
            with self._database.read() as tx:
                cancelled = db_jobs.cancelled_among(tx, list(running))
            for job_id in cancelled:
                running[job_id].cancel()

    def _let_jobs_run(self) -> None:
        with self._database.read() as tx:
            if not db_jobs.anything_waits(tx):
                return
        with self._database.write() as tx:
            if not exclusive(tx, "admission"):
                return
            db_jobs.admit(tx, Limits.load(tx))
            admitted = db_jobs.to_hand_over(tx)
        for job_id, turn in admitted:
            self._queue.put(job_id, turn=turn)
        if admitted:
            with self._database.write() as tx:
                db_jobs.handed_over(tx, [job_id for job_id, _ in admitted])

    def _take_over(self) -> None:
        if monotonic() < self._next_look:
            return
        self._next_look = monotonic() + self.settings.lease_s * _SHARE_BEAT
        alone = not self._database.is_shared
        with self._database.read() as tx:
            if not db_workers.dead(tx, by=self.id, lease_s=self.settings.lease_s, alone=alone):
                return
        with self._database.write() as tx:
            claimed = db_workers.claim_dead(tx, by=self.id, lease_s=self.settings.lease_s, alone=alone)
        for worker_id in claimed:
            _LOG.warning("taking over from worker %s", worker_id)
            self._queue.take_over(worker_id)
            with self._database.write() as tx:
                db_splits.release(tx, worker_id)
                db_workers.gone(tx, worker_id, by=self.id)

    def _find_lost_jobs(self) -> None:
        """Queue again what should be in the durable queue and is not, since its database was lost or restored."""
        if monotonic() < self._next_search:
            return
        self._next_search = monotonic() + _SEARCH_INTERVAL_S
        with self._database.read() as tx:
            waiting = db_jobs.in_queue(tx)
        known = self._queue.known([(row.id, row.turn) for row in waiting])
        for row in waiting:
            if row.id not in known:
                _LOG.warning("job %s was lost from the queue and is queued again", row.id)
                with self._database.write() as tx:
                    db_jobs.queue_again(tx, row)

    def _start_sweep(self) -> None:
        """Forget what is old, now and then, in a thread of its own: heartbeats must not wait for it."""
        if monotonic() >= self._next_sweep and not (self._sweeping and self._sweeping.is_alive()):
            self._next_sweep = monotonic() + _SWEEP_INTERVAL_S
            self._sweeping = threading.Thread(target=self._sweep, name="sweep", daemon=True)
            self._sweeping.start()

    def _sweep(self) -> None:
        try:
            swept = retention.sweep(self._database, self._surroundings.data, forget=self._queue.forget)
        except Exception:  # noqa: BLE001 - the next one may do better
            _LOG.exception("what is old could not be forgotten")
        else:
            if swept.counts:
                _LOG.info("forgotten: %s", ", ".join(f"{count} {kind}" for kind, count in swept.counts.items()))

    def _supervisions(self) -> list[Supervision]:
        with self._changed:
            return list(self._running.values())
