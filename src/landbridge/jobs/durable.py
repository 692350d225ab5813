"""The durable queue: every job is one DBOS workflow, whose id is the job's; after the first turn with its number.

DBOS keeps which workflows wait and which worker runs them. It gives each to one worker, ignores what a worker writes
that does not own the workflow any more, and starts those of a dead worker again. Here its names meet ours; no other
module imports it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from dbos import DBOS, DBOSConfig, SetWorkflowID

from landbridge.jobs.private import private_file

FILE_NAME: Final = "queue.db"

_QUEUE: Final = "jobs"
_WORKFLOW: Final = "job"
_APP: Final = "landbridge"
_VERSION: Final = "1"
"""Fixed, where DBOS would take a hash of the code: a new version of landbridge goes on with the jobs of the old one."""
_LIVING: Final = {"PENDING", "ENQUEUED", "DELAYED"}
_POLL_S: Final = 0.5


class HandedBack(BaseException):
    """Ends the work of a job here without an outcome: another worker, or the next start, begins it again.

    Not an Exception, because DBOS records those as the workflow's outcome.
    """


class DurableQueue:
    """The part of the durable queue that this worker sees; one in a process.

    Args:
        place: The data folder, or the URL of the database.
        worker_id: Under this name the workflows that it runs are kept.
        slots: How many it runs at the same time.
        work: Does a job; called in a thread of its own.
    """

    def __init__(self, place: Path | str, *, worker_id: str, slots: int, work: Callable[[str], None]) -> None:
        if isinstance(place, str):
            url = place
        else:
            private_file(place / FILE_NAME)
            url = f"sqlite:///{place.absolute() / FILE_NAME}"
        config: DBOSConfig = {
            "name": _APP,
            "system_database_url": url.replace("postgres://", "postgresql://", 1),
            "executor_id": worker_id,
            "application_version": _VERSION,
            "log_level": "WARNING",
            "max_executor_threads": slots + 4,
            "use_listen_notify": False,
        }
        logging.getLogger("dbos").setLevel(logging.WARNING)
        self._worker_id = worker_id
        self._dbos = DBOS(config=config)
        self._slots = slots

        @DBOS.workflow(name=_WORKFLOW, max_recovery_attempts=None)
        def job(job_id: str) -> None:
            work(job_id)

        self._workflow = job

    def launch(self) -> None:
        """Begin to take jobs."""
        DBOS.launch()
        DBOS.register_queue(
            _QUEUE, worker_concurrency=self._slots, polling_interval_sec=_POLL_S, on_conflict="always_update"
        )

    def put(self, job_id: str, *, turn: int = 0) -> None:
        """Queue a job; nothing happens when this turn of it was queued before."""
        with SetWorkflowID(_workflow_id(job_id, turn)):
            DBOS.enqueue_workflow(_QUEUE, self._workflow, job_id)

    def take_over(self, worker_id: str) -> None:
        """Queue again what a dead worker was running; calling it twice does no harm."""
        DBOS._recover_pending_workflows([worker_id])  # noqa: SLF001 - the call behind DBOS's own recovery service

    def known(self, jobs: Sequence[tuple[str, int]]) -> set[str]:
        """Which of these jobs and turns wait or run."""
        ids = {_workflow_id(job_id, turn): job_id for job_id, turn in jobs}
        if not ids:
            return set()
        found = DBOS.list_workflows(workflow_ids=list(ids), load_input=False, load_output=False)
        return {ids[workflow.workflow_id] for workflow in found if workflow.status in _LIVING}

    def give_back(self, job_id: str, *, turn: int = 0) -> None:
        """Queue again one that this worker was running; nothing happens when it runs elsewhere by now."""
        own = _workflow_id(job_id, turn)
        self._dbos._sys_db.reenqueue_for_recovery(own, [self._worker_id], _QUEUE)  # noqa: SLF001 - see take_over

    def stop_taking(self) -> None:
        """Take no more jobs; those that run go on."""
        for event in self._dbos.background_thread_stop_events:
            event.set()

    def forget(self, jobs: Sequence[tuple[str, int]]) -> None:
        """Remove the workflows of these jobs and turns, which must have ended."""
        DBOS.delete_workflows([_workflow_id(job_id, turn) for job_id, last in jobs for turn in range(last + 1)])

    def close(self) -> None:
        """Let go of the database. The threads of jobs must have ended."""
        DBOS.destroy(workflow_completion_timeout_sec=0)


def _workflow_id(job_id: str, turn: int) -> str:
    return f"{job_id}#{turn}" if turn else job_id
