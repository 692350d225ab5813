"""The process of a job whose input is divided: it offers the parts to all workers and waits until they are done.

A process that works on one part is told so by ``Begin.split``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread

from landbridge.dataflow import Dataflow, EnvironmentSecrets, JobValues
from landbridge.dataflow.connections import StoredSecrets
from landbridge.engine import division as parts
from landbridge.engine.division import Division, divide, with_pieces
from landbridge.engine.job import Job, Options
from landbridge.engine.pieces import RESULT
from landbridge.engine.prepare import Prepared, prepare
from landbridge.engine.redaction import Redaction
from landbridge.engine.split import work_on_split
from landbridge.errors import LandbridgeError, StorageError
from landbridge.jobs import db_splits
from landbridge.jobs.db import Database
from landbridge.jobs.db_splits import Progress
from landbridge.jobs.job_options import JobOptions
from landbridge.jobs.messages import Begin

_LOOK_S: Final = 0.3
_AWAY_S: Final = 120.0
"""The database may be away for so long while the job waits."""


async def divided(
    ready: Prepared, job: Job, begin: Begin, *, target: int, is_stopped: Callable[[], bool], say: Callable[[str], None]
) -> Job:
    """Have the input of a job worked on in parts, by whichever workers are free.

    Args:
        ready: The dataflow.
        job: The facts of the run.
        begin: What the process was told.
        target: Into about how many parts.
        is_stopped: Whether the job is to end; then what is there is given back as it is.
        say: Puts a line into the trace.

    Returns:
        The job that reads what the parts have left; the same job where its input cannot be divided or is not needed
        any more.

    Raises:
        LandbridgeError: A part failed, or the reader cannot say which parts there are.
    """
    journal = job.journal
    if journal is None or journal.result is not None or journal.intents is not None:
        return job
    folder = Path(begin.journal) / parts.FOLDER
    division = await divide(ready, job, folder, target=target)
    total = len(division.splits)
    if total < 2:  # noqa: PLR2004 - one part is the whole
        say("the input cannot be divided")
        return job
    database = await anyio.to_thread.run_sync(Database.open, begin.database or Path(begin.data))
    with closing(database):
        finished = await anyio.to_thread.run_sync(_offer, database, begin.job_id, division, folder)
        say(f"the input is divided into {total} parts" + (f", of which {finished} are done" if finished else ""))
        if not await _wait(database, begin.job_id, is_stopped):
            return job
        for worker, count in sorted((await anyio.to_thread.run_sync(_workers, database, begin.job_id)).items()):
            say(f"{count} of {total} parts: worker {worker}")
    return with_pieces(job, division, folder)


async def work_on_part(begin: Begin, number: int, *, log: Callable[[Redaction], None]) -> dict[str, Any]:
    """Work on one part of a job's input; gives the report of that work, without secrets.

    Args:
        begin: What the process was told.
        number: The part.
        log: Called before the work with what masks secrets, so that what steps log goes into the trace.

    Raises:
        LandbridgeError: LB-6006, the division is not here; what the dataflow is refused for.
    """
    folder = Path(begin.journal) / parts.FOLDER
    division = await anyio.to_thread.run_sync(Division.read, folder)
    if division is None:
        raise StorageError("LB-6006", f"the division of the job is not in {folder} here")
    options = JobOptions.from_json(begin.options)
    task = division.task(
        folder,
        number,
        flow=begin.flow,
        options=Options(stall_timeout_s=options.stall_timeout_s or begin.stall_timeout_s, since=options.since),
        placeholders=begin.placeholders,
        connection_secrets=begin.connection_secrets,
    )
    redaction = prepare(
        Dataflow.load(begin.flow),
        job=JobValues(now=division.started, job_id=division.job, placeholders=begin.placeholders),
        source=StoredSecrets(begin.connection_secrets, EnvironmentSecrets(os.environ)),
    ).redaction
    log(redaction)
    report = await work_on_split(task)
    error = report.get("error")
    if error:
        masked = {key: redaction.masked(value) for key, value in error.items() if isinstance(value, str)}
        report["error"] = {**error, **masked}
    return report


async def _wait(database: Database, job_id: str, is_stopped: Callable[[], bool]) -> bool:
    """Wait until all parts are done; False when the job is to end before."""
    away_since: float | None = None
    while not is_stopped():
        try:
            progress = await anyio.to_thread.run_sync(_progress, database, job_id)
        except StorageError:
            away_since = away_since or anyio.current_time()
            if anyio.current_time() - away_since > _AWAY_S:
                raise
        else:
            away_since = None
            if progress.error is not None:
                raise _failure(progress)
            if progress.done == progress.total:
                return True
        await anyio.sleep(_LOOK_S)
    return False


def _failure(progress: Progress) -> LandbridgeError:
    error = progress.error or {}
    return LandbridgeError(error["code"], error["message"], hint=error["hint"] or "", step=error["step"])


def _offer(database: Database, job_id: str, division: Division, folder: Path) -> int:
    total = len(division.splits)
    done = [number for number in range(total) if (division.place(folder, number) / RESULT).exists()]
    with database.write() as tx:
        db_splits.put(tx, job_id, total=total, done=done)
    return len(done)


def _progress(database: Database, job_id: str) -> Progress:
    with database.read() as tx:
        return db_splits.progress(tx, job_id)


def _workers(database: Database, job_id: str) -> dict[str, int]:
    with database.read() as tx:
        return dict(db_splits.workers(tx, job_id))
