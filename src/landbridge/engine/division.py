"""How the input of a job is divided: decided once and kept, so that every process and start sees the same parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
import msgspec

from landbridge.components.base import Split
from landbridge.engine import failures
from landbridge.engine.job import Job, Options
from landbridge.engine.journal import write_whole
from landbridge.engine.prepare import Prepared
from landbridge.engine.split import SplitTask, plan_splits

FOLDER: Final = "splits"
"""The folder of a job's division, within that of its journal."""

_FILE: Final = "splits.json"


class Division(msgspec.Struct, frozen=True):
    """The parts of a job's input.

    Attributes:
        job: The id of the job, as it was when its journal began.
        started: The instant of the job.
        splits: The parts, in the order of the input; fewer than two where the input cannot be divided.
    """

    job: str
    started: datetime
    splits: list[Split]

    @classmethod
    def read(cls, folder: Path) -> Division | None:
        """The division that is kept in a folder; None where there is none."""
        try:
            return msgspec.json.decode((folder / _FILE).read_bytes(), type=cls)
        except FileNotFoundError:
            return None

    def place(self, folder: Path, number: int) -> Path:
        """Where the result of a part goes."""
        return folder / f"split-{number:05}"

    def task(
        self,
        folder: Path,
        number: int,
        *,
        flow: str,
        options: Options,
        placeholders: Mapping[str, str],
        connection_secrets: Mapping[str, str],
        values_may_refer: bool = False,
    ) -> SplitTask:
        """The work on a part; see ``SplitTask``."""
        return SplitTask(
            flow=flow,
            job=self.job,
            started=self.started,
            split=self.splits[number],
            folder=str(self.place(folder, number)),
            placeholders=placeholders,
            values_may_refer=values_may_refer,
            connection_secrets=connection_secrets,
            options=replace(options, history=None),
        )


async def divide(prepared: Prepared, job: Job, folder: Path, *, target: int) -> Division:
    """Divide the input of a job into about ``target`` parts, or give the division that it has already.

    Raises:
        LandbridgeError: What the reader raises.
    """
    known = await anyio.to_thread.run_sync(Division.read, folder)
    if known is not None:
        return known
    with failures.explained(prepared.plan.entry):
        splits = await plan_splits(prepared, job, target=target)
    division = Division(job.id, job.started, splits)
    await anyio.to_thread.run_sync(partial(folder.mkdir, parents=True, exist_ok=True, mode=0o700))
    await anyio.to_thread.run_sync(write_whole, folder / _FILE, msgspec.json.encode(division))
    return division


def with_pieces(job: Job, division: Division, folder: Path) -> Job:
    """The job that reads what finished splits have left."""
    return replace(job, pieces=tuple(division.place(folder, number) for number in range(len(division.splits))))
