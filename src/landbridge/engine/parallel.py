"""A job on several processes of this machine: splits side by side, then the rest in this one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import anyio
import anyio.to_process

from landbridge.engine import failures
from landbridge.engine.division import divide, with_pieces
from landbridge.engine.job import Job
from landbridge.engine.prepare import Prepared
from landbridge.engine.split import SplitTask, failure_of, run_split
from landbridge.errors import LandbridgeError

_PARTS_PER_PROCESS: Final = 3
"""More parts than processes, so that none waits long for the slowest."""

Told: TypeAlias = Callable[[int, int], None]


async def work_in_parallel(
    prepared: Prepared,
    job: Job,
    *,
    flow: str,
    placeholders: dict[str, str],
    connection_secrets: dict[str, str] | None = None,
    values_may_refer: bool = False,
    processes: int,
    folder: Path,
    told: Told | None = None,
) -> Job:
    """Work on the splits of a job; gives the job with what they left, to be run in this process.

    Args:
        prepared: The dataflow, ready to run.
        job: The facts of the run.
        flow: The dataflow as JSON text.
        placeholders: Values for ``{{name}}``.
        connection_secrets: Secrets of connections that the dataflow refers to.
        values_may_refer: See ``JobValues``.
        processes: How many processes to use.
        folder: Where splits leave their results; kept, a job that is begun again finds finished ones there.
        told: Called, where given, with the number of finished splits and of all.

    Raises:
        LandbridgeError: A split failed; the others are stopped.
    """
    division = await divide(prepared, job, folder, target=_PARTS_PER_PROCESS * processes)
    if len(division.splits) < 2:  # noqa: PLR2004 - one part is the whole
        return job
    tasks = [
        division.task(
            folder,
            number,
            flow=flow,
            options=job.options,
            placeholders=placeholders,
            connection_secrets=connection_secrets or {},
            values_may_refer=values_may_refer,
        )
        for number in range(len(division.splits))
    ]
    await _run_all(tasks, entry=prepared.plan.entry, processes=processes, told=told)
    return with_pieces(job, division, folder)


async def _failure(task: SplitTask, entry: str, limiter: anyio.CapacityLimiter) -> LandbridgeError | None:
    """Work on a split in another process; gives the error that ended it."""
    try:
        with failures.explained(entry):
            try:
                shown = await anyio.to_process.run_sync(run_split, task, cancellable=True, limiter=limiter)
            except (anyio.BrokenWorkerProcess, ProcessLookupError):  # the latter when it dies at its very start
                return failures.died(entry)
            return failure_of(shown)
    except LandbridgeError as error:
        return error


async def _run_all(tasks: Sequence[SplitTask], *, entry: str, processes: int, told: Told | None) -> None:
    failed: list[LandbridgeError] = []
    limiter = anyio.CapacityLimiter(processes)
    done = 0

    async def work(task: SplitTask) -> None:
        nonlocal done
        if not task.is_done:
            error = await _failure(task, entry, limiter)
            if error is not None:
                failed.append(error)
                group.cancel_scope.cancel()
                return
        done += 1
        if told:
            told(done, len(tasks))

    if told:
        told(0, len(tasks))
    async with anyio.create_task_group() as group:
        for task in tasks:
            group.start_soon(work, task)
    if failed:
        raise failed[0]
