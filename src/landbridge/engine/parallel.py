"""A job on several processes of this machine: splits side by side, then the rest in this one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import anyio
import anyio.to_process
import anyio.to_thread
import msgspec

from landbridge.components.base import Split
from landbridge.engine import failures
from landbridge.engine.job import Job
from landbridge.engine.journal import write_whole
from landbridge.engine.prepare import Prepared
from landbridge.engine.split import SplitTask, failure_of, plan_splits, run_split
from landbridge.errors import LandbridgeError

_PARTS_PER_PROCESS: Final = 3
"""More parts than processes, so that none waits long for the slowest."""

_PLANNED: Final = "splits.json"

Told: TypeAlias = Callable[[int, int], None]


async def work_in_parallel(
    prepared: Prepared,
    job: Job,
    *,
    flow: str,
    placeholders: dict[str, str],
    connection_secrets: dict[str, str] | None = None,
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
        processes: How many processes to use.
        folder: Where splits leave their results; kept, a job that is begun again finds finished ones there.
        told: Called, where given, with the number of finished splits and of all.

    Raises:
        LandbridgeError: A split failed; the others are stopped.
    """
    with failures.explained(prepared.plan.entry):
        splits = await _planned(prepared, job, folder, target=_PARTS_PER_PROCESS * processes)
    if len(splits) < 2:  # noqa: PLR2004 - one part is the whole
        return job
    tasks = [
        SplitTask(
            flow=flow,
            job=job.id,
            started=job.started,
            split=split,
            folder=str(folder / f"split-{number:05}"),
            placeholders=placeholders,
            connection_secrets=connection_secrets or {},
            options=replace(job.options, history=None),
        )
        for number, split in enumerate(splits)
    ]
    await _run_all(tasks, processes=processes, told=told)
    return replace(job, pieces=tuple(Path(task.folder) for task in tasks))


async def _planned(prepared: Prepared, job: Job, folder: Path, *, target: int) -> list[Split]:
    """The splits; the same ones when the job is begun again."""
    path = folder / _PLANNED
    if path.exists():
        return msgspec.json.decode(await anyio.to_thread.run_sync(path.read_bytes), type=list[Split])
    splits = await plan_splits(prepared, job, target=target)
    await anyio.to_thread.run_sync(partial(folder.mkdir, parents=True, exist_ok=True, mode=0o700))
    await anyio.to_thread.run_sync(write_whole, path, msgspec.json.encode(splits))
    return splits


async def _run_all(tasks: Sequence[SplitTask], *, processes: int, told: Told | None) -> None:
    failed: list[LandbridgeError] = []
    limiter = anyio.CapacityLimiter(processes)
    done = 0

    async def work(task: SplitTask) -> None:
        nonlocal done
        if not task.is_done:
            shown = await anyio.to_process.run_sync(run_split, task, cancellable=True, limiter=limiter)
            error = failure_of(shown)
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
