"""Independent parts of the input, worked on by several processes: the unit of parallel work and of resuming.

A *split* is read, parsed and transformed by ``run_split``, an importable function of a small picklable value, up to the
first step that needs to see everything or hands over to the outside. It leaves *segments*: the records that go on, and
those that failed. A finished split is never worked on again. The job itself then reads the segments in place of those
steps, so that publication, marks and results happen once, as in a job of one process.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec

from landbridge.components.base import (
    Component,
    CutsLines,
    FileReader,
    Parser,
    RecordReader,
    RecordWriter,
    Split,
    Splittable,
)
from landbridge.components.params import ComponentParams
from landbridge.dataflow import Dataflow, EnvironmentSecrets, JobValues
from landbridge.dataflow.connections import StoredSecrets
from landbridge.dataflow.plan import Edge, Plan, PlanStep
from landbridge.engine import stations as build
from landbridge.engine.counts import Status, StepCounts
from landbridge.engine.guard_settings import OFF
from landbridge.engine.guards import Rules
from landbridge.engine.job import Job, Options
from landbridge.engine.journal import write_whole
from landbridge.engine.pieces import MAIN, REJECTS, RESULT, SplitResult, divisible
from landbridge.engine.prepare import Prepared, prepare
from landbridge.engine.rejects import RejectFile
from landbridge.engine.runner import Runner
from landbridge.engine.segment import SegmentWriter, flush_folder
from landbridge.engine.services import Services
from landbridge.engine.stations import Station
from landbridge.errors import LandbridgeError
from landbridge.records import Batch


@dataclass(frozen=True, slots=True)
class SplitTask:
    """One split of a job, for any process that has the same files of configuration and secrets.

    Attributes:
        flow: The dataflow as JSON text; secrets in it are references.
        job: The job's id.
        started: The job's start.
        placeholders: Values for ``{{name}}``.
        values_may_refer: See ``JobValues``.
        connection_secrets: Secrets of connections that the dataflow refers to.
        split: The part to read.
        folder: Where its result goes; a folder of its own.
        options: How to run.
    """

    flow: str
    job: str
    started: datetime
    split: Split
    folder: str
    placeholders: Mapping[str, str] = field(default_factory=dict)
    values_may_refer: bool = False
    connection_secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    options: Options = field(default_factory=Options)

    @property
    def is_done(self) -> bool:
        """Whether a process has finished it."""
        return (Path(self.folder) / RESULT).exists()


async def plan_splits(prepared: Prepared, job: Job, *, target: int) -> list[Split]:
    """Divide the input of a job into about ``target`` parts; none where it cannot be divided.

    Raises:
        LandbridgeError: What the reader raises.
    """
    if job.options.limit is not None or target < 1:
        return []
    chain = divisible(stations_of(prepared, job))
    if not chain:
        return []
    reader = chain[0].component
    if not isinstance(reader, Splittable):
        return []
    if isinstance(reader, RecordReader | FileReader):
        reader.since = job.options.since
    if isinstance(reader, FileReader):
        reader.history = job.options.history
    parser = chain[1].component if len(chain) > 1 else None
    return await reader.splits(target=target, parser=parser if isinstance(parser, CutsLines) else None)


def run_split(task: SplitTask) -> dict[str, Any]:
    """Work on one split; gives the report of that work. Nothing is done where a process has finished it before.

    Safe to run in any process, in several at a time, and to run again after one was killed.
    """
    return anyio.run(work_on_split, task)


async def work_on_split(task: SplitTask) -> dict[str, Any]:
    """The same within an event loop."""
    if await anyio.to_thread.run_sync(lambda: task.is_done):
        return {"status": "succeeded"}
    # A process that was taken for dead may still work on the split: each has a folder of its own until it is done.
    folder = Path(f"{task.folder}.{secrets.token_hex(6)}")
    # Not those above it: when they are gone, so is the job, and nothing of it must come back.
    await anyio.to_thread.run_sync(partial(folder.mkdir, mode=0o700))
    try:
        return await _run_part(task, folder)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))


async def _run_part(task: SplitTask, folder: Path) -> dict[str, Any]:
    prepared = prepare(
        Dataflow.load(task.flow),
        job=JobValues(
            now=task.started,
            job_id=task.job,
            placeholders=task.placeholders,
            values_may_refer=task.values_may_refer,
        ),
        source=StoredSecrets(task.connection_secrets, EnvironmentSecrets(os.environ)),
    )
    job = Job(
        id=task.job,
        dataflow=prepared.plan.name,
        started=task.started,
        spool_dir=folder,
        rejects=RejectFile(folder / REJECTS, job=task.job),
        options=replace(task.options, history=None),
        rules=Rules(settings=OFF),
    )
    chain = divisible(stations_of(prepared, job))
    part = _Part(prepared, chain, task.split, folder)
    runner = Runner(part.plan(), part.make, job)
    part.tell_needs(runner.stations)
    report = await runner.run()
    shown = report.as_json()
    if report.status in (Status.SUCCEEDED, Status.SUCCEEDED_WITH_ERRORS):
        steps = {station.step.id for station in chain}
        counts = {step: counts.as_json() for step, counts in report.steps.items() if step in steps}
        result = SplitResult(counts, part.errors)
        await anyio.to_thread.run_sync(_finish, folder, Path(task.folder), result)
    return shown


def stations_of(prepared: Prepared, job: Job) -> list[Station]:
    """The stations of a whole job, to be looked at and not run."""

    def services(step: PlanStep) -> Services:
        return Services(
            step_id=step.id,
            job_id=job.id,
            dataflow=job.dataflow,
            started=job.started,
            spool_dir=job.spool_dir,
            counts=StepCounts(),
            write_log=lambda *_: None,
        )

    return build.build(prepared.plan, prepared.make, services)


def _finish(folder: Path, final: Path, result: SplitResult) -> None:
    write_whole(folder / RESULT, msgspec.json.encode(result))
    try:
        folder.rename(final)
    except OSError:
        if not (final / RESULT).exists():  # another process has finished it before
            raise
    flush_folder(final.parent)


class _Part:
    """The beginning of a plan, with segments in place of what follows."""

    def __init__(self, prepared: Prepared, chain: Sequence[Station], split: Split, folder: Path) -> None:
        self._prepared = prepared
        self._chain = chain
        self._split = split
        self._folder = folder
        self._sinks: dict[str, Path] = {}
        self.errors: dict[str, str] = {}
        """Names of the segments with failed records, by step."""

    def plan(self) -> Plan:
        """The steps of the chain, each edge that leaves it ending in a step of its own."""
        whole = self._prepared.plan
        ids = [station.step.id for station in self._chain]
        inner = [edge for edge in whole.edges if edge.source in ids and edge.target in ids and edge.kind == "next"]
        sinks = [self._sink(ids[-1], "next", MAIN)]
        for number, station in enumerate(self._chain):
            if station.errors:
                name = f"errors-{number}.arrow"
                self.errors[station.step.id] = name
                sinks.append(self._sink(station.step.id, "error", name))
        steps = [station.step for station in self._chain]
        return Plan(
            name=whole.name,
            entry=whole.entry,
            steps=(*steps, *(step for step, _ in sinks)),
            edges=(*inner, *(edge for _, edge in sinks)),
        )

    def make(self, step: PlanStep, services: Services) -> Component:
        """The component of a step; the reader reads its part only."""
        if step.id in self._sinks:
            return SegmentSink(ComponentParams(), services, path=self._sinks[step.id])
        component = self._prepared.make(step, services)
        if isinstance(component, RecordReader | FileReader):
            component.split = self._split
        return component

    def tell_needs(self, stations: Sequence[Station]) -> None:
        """Let readers and parsers leave out what the whole plan does not need."""
        for own, whole in zip(stations, self._chain, strict=False):
            if isinstance(own.component, Parser | RecordReader) and isinstance(whole.component, Parser | RecordReader):
                own.component.needs = whole.component.needs

    def _sink(self, source: str, kind: Any, name: str) -> tuple[PlanStep, Edge]:
        id_ = f"\0{name}"  # no step of a dataflow has such an id
        self._sinks[id_] = self._folder / name
        step = PlanStep(id=id_, component="", kind="record_writer", params={})
        return step, Edge(source=source, target=id_, kind=kind, port="records", order=0)


class SegmentSink(RecordWriter):
    """Keeps records in a segment."""

    def __init__(self, params: Any, services: Any, *, path: Path) -> None:
        super().__init__(params, services)
        self._path = path
        self._segment: SegmentWriter | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Open the segment, and complete it when all records have come."""
        with await anyio.to_thread.run_sync(SegmentWriter, self._path) as segment:
            self._segment = segment
            yield
            await anyio.to_thread.run_sync(segment.complete)

    async def write(self, batch: Batch) -> Batch:
        """Append records."""
        if self._segment is None:
            raise ValueError("the segment is not open")
        await anyio.to_thread.run_sync(self._segment.add, batch)
        return batch


def failure_of(shown: Mapping[str, Any]) -> LandbridgeError | None:
    """The error that ended the work on a split, from its report."""
    error = shown.get("error")
    if not error:
        return None
    return LandbridgeError(error["code"], error["message"], hint=error["hint"] or "", step=error["step"])
