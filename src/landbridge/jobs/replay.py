"""Replays: records that failed enter their dataflow once more, at the step that rejected them.

A replay is a job of the dataflow's newest version, so that what made the records fail can be mended before. Its first
step reads the reject store; the steps in front of the one that rejected are left out. Each reject is taken by one
replay only: ``jobs retry`` repeats a replay that failed, with the same records, and a second replay finds nothing left.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from typing import Any, Final

import anyio
import anyio.to_thread

from landbridge.components.base import Component, ComponentSpec, RecordReader, StepServices
from landbridge.components.catalogue import InstalledComponents
from landbridge.components.params import ComponentParams
from landbridge.dataflow import Dataflow, Edge, Plan, PlanStep, make_plan
from landbridge.dataflow.variables import VARIABLE
from landbridge.errors import FlowError
from landbridge.jobs import db_dataflows, db_jobs, db_rejects, jobs
from landbridge.jobs.db import Transaction
from landbridge.jobs.db_jobs import ENDED, JobRow
from landbridge.jobs.db_rejects import Choice
from landbridge.jobs.job_options import JobOptions
from landbridge.jobs.rejects import DatabaseRejects
from landbridge.records import Batch

ENTRY: Final = "rejects"
"""The component id of the first step of a replay, and the step's id where no other step has it."""

_RECORDS: Final = 1000
_ENTER_HERE: Final = {"transform", "lookup", "formatter", "record_writer"}
_ENTER_BEHIND: Final = {"record_reader", "parser"}

Make = Callable[[PlanStep, StepServices], Component]


def start(tx: Transaction, job_id: str, *, by: str, choice: Choice | None = None) -> list[JobRow]:
    """Ask for the replay of a job's rejects: one job for each step that rejected.

    Args:
        tx: The transaction; the jobs exist when it is committed.
        job_id: The job whose rejects are meant.
        by: Who asks.
        choice: Only those of its rejects; None for all that no replay has taken yet.

    Raises:
        FlowError: LB-1705, there is no such job; LB-1706, it has not ended; LB-1701, its dataflow was removed; LB-1772,
            none of its rejects can be replayed; LB-1773, a step has no way in; LB-1774, a file would be replaced.
    """
    old = db_jobs.get(tx, job_id)
    if old.status not in ENDED:
        raise FlowError("LB-1706", f'the job "{job_id}" has not ended yet: {old.status}')
    wanted = dataclasses.replace(choice or Choice(), job_id=job_id, replayable=True)
    steps = db_rejects.by_step(tx, wanted)
    if not steps:
        raise _nothing(tx, dataclasses.replace(wanted, replayable=False))
    content = db_dataflows.version(tx, db_dataflows.get(tx, old.dataflow_id).id)
    plan = make_plan(Dataflow.load(content.document), InstalledComponents())
    for step in steps:
        _check_files(replayed(plan, step))
    begun = []
    for step in steps:
        new = jobs.new_id()
        options = JobOptions(
            log_level=old.options.log_level,
            time_limit_s=old.options.time_limit_s,
            stall_timeout_s=old.options.stall_timeout_s,
            placeholders=old.options.placeholders,
            replay=new,
            replay_step=step,
        )
        begun.append(
            jobs.start(
                tx,
                old.dataflow_id,
                by=by,
                kind="replay",
                options=options,
                sealed=old.sealed,
                version=content.version,
                job_id=new,
            )
        )
        db_rejects.take(tx, dataclasses.replace(wanted, step=step), replay=new)
    return begun


def replayed(plan: Plan, step: str) -> Plan:
    """The part of a plan that a step's rejects go through, behind a step that reads them.

    Raises:
        FlowError: LB-1773, the plan has no such step, or no records can enter there.
    """
    known = {found.id: found for found in plan.steps}
    if step not in known:
        raise FlowError(
            "LB-1773",
            f'the dataflow has no step "{step}" any more, so its rejects have no way in',
            hint="Give the step its former id, or export the rejects and deliver them in another way.",
        )
    rejecting = known[step]
    if rejecting.kind in _ENTER_HERE:
        targets: tuple[str, ...] = (step,)
    else:
        targets = rejecting.next if rejecting.kind in _ENTER_BEHIND else ()
    if not targets:
        raise FlowError(
            "LB-1773",
            f'the step "{step}" ({rejecting.component}) works on files, so that single records cannot enter there',
            hint="Export the rejects and deliver them in another way.",
        )
    reached = _reached(plan, targets)
    entry = ENTRY
    while entry in known:
        entry += "-"
    first = PlanStep(id=entry, component=ENTRY, kind="record_reader", params={}, next=targets)
    edges = [Edge(source=entry, target=target, kind="next", port="records", order=0) for target in targets]
    edges += [edge for edge in plan.edges if edge.source in reached]
    return Plan(
        name=plan.name,
        entry=entry,
        steps=(first, *(found for found in plan.steps if found.id in reached)),
        edges=tuple(dataclasses.replace(edge, order=order) for order, edge in enumerate(edges)),
    )


def reading(make: Make, store: DatabaseRejects, *, plan: Plan, replay: str) -> Make:
    """``make``, with a reader of the rejects that a replay has taken in the place of the plan's first step."""

    def made(step: PlanStep, services: StepServices) -> Component:
        if step.id != plan.entry:
            return make(step, services)
        return RejectReader(store, replay, services)

    return made


class RejectReader(RecordReader):
    """Reads the records that a replay has taken, as they were when they failed."""

    def __init__(self, store: DatabaseRejects, replay: str, services: StepServices) -> None:
        super().__init__(ComponentParams(), services)
        self._store = store
        self._replay = replay

    async def read(self) -> AsyncGenerator[Batch]:
        """Yield the records in the order in which they failed."""
        last = 0
        while found := await anyio.to_thread.run_sync(self._part, last):
            last = found[-1][0]
            yield Batch.from_objects([record for _, record in found])

    def _part(self, after: int) -> Sequence[tuple[int, dict[str, Any]]]:
        return self._store.taken(self._replay, after=after, limit=_RECORDS)


RejectReader.spec = ComponentSpec(id=ENTRY, title="Read rejects", kind=RejectReader)


def _reached(plan: Plan, targets: Collection[str]) -> set[str]:
    reached = set(targets)
    for step in plan.steps:  # each stands after all that feed it
        if step.id in reached:
            reached |= {edge.target for edge in plan.edges_from(step.id)}
    return reached


def _check_files(plan: Plan) -> None:
    """A file of the replayed records must not take the place of the one with all others."""
    for step in plan.steps:
        name = step.params.get("fileName")
        if step.kind == "formatter" and not _changes(str(name or "")):
            raise FlowError(
                "LB-1774",
                f'the file of step "{step.id}" has the same name in every job, so that the replayed records alone '
                "would replace it",
                hint="Put ${now} or ${jobId} into its fileName, and repeat this; or start a job with --full.",
            )


def _changes(name: str) -> bool:
    return any(inner.strip().startswith(("now", "jobId")) for inner in VARIABLE.findall(name))


def _nothing(tx: Transaction, choice: Choice) -> FlowError:
    rows = db_rejects.listing(tx, choice, limit=1)
    if not rows:
        return FlowError("LB-1772", "there are no such rejects", hint="`landbridge rejects list` shows what there is.")
    if rows[0].replayed_by:
        return FlowError(
            "LB-1772",
            "these rejects have been replayed",
            hint=f"Repeat a replay that failed: landbridge jobs retry {rows[0].replayed_by}",
        )
    return FlowError(
        "LB-1772",
        "these rejects are pieces of files that could not be read as records",
        hint="Correct the file, or the step that reads it, and run the dataflow again.",
    )
