"""Runs a plan to its end: every step in its task, counts on every edge, one clear result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from time import monotonic
from typing import Final

import anyio
import anyio.to_thread

from landbridge.components.base import FileEnd, FileReader, FileWriter, Lookup, RecordReader, RecordWriter
from landbridge.dataflow.plan import Plan, PlanStep
from landbridge.engine import delivery, failures, stations as build, writing
from landbridge.engine.channel import Aborted, Ended, NotWanted
from landbridge.engine.counts import Activity, DeliveredFile, Report, Status, StepCounts
from landbridge.engine.delivery import Lane, connection_of, place_of
from landbridge.engine.dry_run import Planned
from landbridge.engine.gate import Gate
from landbridge.engine.guards import Tally
from landbridge.engine.job import Job, Options
from landbridge.engine.joining import feed
from landbridge.engine.journal import Intents, Journal
from landbridge.engine.passage import Passage, check_counts, records_written
from landbridge.engine.pieces import divisible
from landbridge.engine.recovery import still_to_run
from landbridge.engine.services import Services, log_line
from landbridge.engine.stations import Station
from landbridge.engine.units import Supply
from landbridge.engine.work import Limit
from landbridge.errors import Cancelled, LandbridgeError

__all__ = ["Job", "Options", "Runner"]

_DISCARD_TIMEOUT_S: Final = 30
_WATCH_INTERVAL_S: Final = 0.5


class Runner:
    """One run of one plan; made and used within an event loop.

    Args:
        plan: What to run.
        make: Makes the component of a step.
        job: The facts of the run.
    """

    def __init__(self, plan: Plan, make: build.Make, job: Job) -> None:
        self._job = job
        # What a dry run does must never be taken for done.
        self._journal = None if job.options.dry_run else job.journal
        self._plan = plan
        self.steps = {step.id: StepCounts() for step in plan.steps}
        """Live counts by step id, in topological order."""
        self.stations = build.build(plan, make, self._services)
        """The places of work, in topological order."""
        self._running = self.stations
        self._channels = [station.source for station in self.stations if station.source]
        self._limit = Limit(job.options.limit)  # of the reader
        reads_changes = job.options.reads_changes(files=isinstance(self.stations[0].component, FileReader))
        self._gate = Gate(
            self.stations,
            replace(job.rules, is_delta=job.rules.is_delta or reads_changes),
            folder=job.spool_dir,
            at=job.started,
            only_tells=job.options.dry_run,
        )
        self._supplies: dict[int, Supply] = {}
        self._planned: dict[str, Planned] = {}
        self._error: LandbridgeError | None = None
        self._scope = anyio.CancelScope()
        self._passage = Passage(job.rejects, job.options.limit, threads=len(self.stations) + 1)
        self._lanes: list[Lane] = []
        self._names: dict[str, set[str]] = {}  # of files by the place where they go
        self._unfinished = 0
        self._all_staged = anyio.Event()
        self._intended = False
        self._published = anyio.Event()
        self._delivered: list[DeliveredFile] = []
        self._unsure: list[str] = []
        self._publishing: anyio.Event | None = None

    def cancel(self, reason: str) -> None:
        """Stop the job. Safe to call from the event loop at any time; ``run`` returns soon after."""
        self.fail(failures.stopped(reason))

    async def run(self) -> Report:
        """Run to the end. Never raises for what can go wrong in a job: the report tells.

        With a journal it goes on where an earlier process of the job has stopped.
        """
        try:
            return await (self._run_with(self._journal) if self._journal else self._run_once())
        finally:
            self._gate.close()
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._close)

    def _close(self) -> None:
        for station in self.stations:
            try:
                station.component.close()
            except Exception as error:  # noqa: BLE001 - the others want to be closed, too
                station.services.log("warning", f"the component did not close: {type(error).__name__}")

    async def _run_once(self) -> Report:
        await self._run_steps()
        return self._report()

    async def _run_with(self, journal: Journal) -> Report:
        try:
            with failures.explained(self._plan.entry):
                journal.open(self._plan)
                if journal.result is not None:
                    journal.clear()
                    return Report.from_json(journal.result)
                await self._go_on(journal)
                if self._error is None:
                    report = self._report()
                    journal.finish(report.as_json())
                    return report
        except LandbridgeError as error:
            self._error = self._error or error
        finally:
            journal.close()
        return self._report()

    async def _go_on(self, journal: Journal) -> None:
        """Run what an earlier process has not done."""
        intents = journal.intents
        if intents is None:
            with failures.explained(self._plan.entry):
                await anyio.to_thread.run_sync(self._take_over)
            await self._run_steps()
            return
        for step, shown in intents.counts.items():
            self.steps[step].take_over(shown)
        for step, shown in intents.tallies.items():
            self._gate.restore(step, Tally.from_json(shown))
        await self._supervised(lambda: self._publish_rest(intents))

    async def _run_steps(self) -> None:
        self._set_readers()
        if not self._supplies and not self._job.options.dry_run and not (self._journal is None and self._gate.is_idle):
            self._supply_writers()
        replaced = self._replaced()
        groups = list(self._groups())
        self._unfinished = sum(isinstance(group[0].component, FileWriter | RecordWriter) for group in groups)

        async def work() -> None:
            async with anyio.create_task_group() as steps:
                for group in groups:
                    steps.start_soon(self._guard, group)
                if replaced:
                    steps.start_soon(self._feed, replaced)
                steps.start_soon(self._publish)

        await self._supervised(work)

    async def _supervised(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do the work; it ends early when the job fails, is cancelled, or stalls."""
        with self._scope:
            async with anyio.create_task_group() as tasks:
                watch = anyio.CancelScope()
                tasks.start_soon(self._watch, watch)
                await work()
                watch.cancel()

    # -- before the first step ---------------------------------------------------------------------------------------

    def _set_readers(self) -> None:
        for station in self.stations:
            if isinstance(station.component, RecordReader | FileReader):
                station.component.since = self._job.options.since
            if isinstance(station.component, FileReader):
                station.component.history = self._job.options.history

    def _replaced(self) -> list[Station]:
        """The stations whose work finished splits have done; they do not run."""
        replaced = divisible(self.stations) if self._job.pieces else []
        if not replaced or replaced[-1] not in self._running:
            return []
        self._running = [station for station in self._running if station not in replaced]
        return replaced

    def _supply_writers(self) -> None:
        """Record writers get all their input before they begin to write."""
        journal = self._journal
        for number, step in enumerate(self._plan.steps):
            for station in self.stations:
                if station.step.id == step.id and isinstance(station.component, RecordWriter):
                    part = journal.writer(step.id, number=number) if journal else None
                    self._supplies[id(station)] = Supply(
                        station, station.component, folder=self._job.spool_dir, journal=part
                    )

    def _take_over(self) -> None:
        """Find out what an earlier process has done, and leave that out."""
        journal = self._journal
        if journal is None:
            return
        self._supply_writers()
        journal.forget_copies()
        supplied = {station: supply.gathered for station, supply in self._supplies.items() if supply.gathered}
        self._running = still_to_run(self.stations, supplied.keys())
        again = {station.step.id for station in self._running}
        self._job.rejects.forget(again)
        for station in self.stations:
            gathered = supplied.get(id(station))
            if gathered is None:
                continue
            if station.source:
                station.source.decline()
            has_begun = journal.has_begun(station.step.id)
            self._gate.restore(station.step.id, Tally.from_json(gathered.tally), has_passed=has_begun)
            for step, shown in gathered.counts.items():
                if step not in again:
                    self.steps[step].take_over(shown)

    # -- tasks -----------------------------------------------------------------------------------------------------

    def _groups(self) -> Iterator[list[Station]]:
        writers = [station for station in self._running if isinstance(station.component, FileWriter)]
        for _, lanes in groupby(writers, key=lambda station: station.step.id):
            yield list(lanes)
        yield from build.fuse([station for station in self._running if station not in writers])

    async def _guard(self, group: list[Station]) -> None:
        """Run a group; whatever goes wrong becomes the job's error."""
        try:
            with failures.explained(group[0].step.id):
                await self._task(group)()
        except (Aborted, NotWanted):
            pass
        except LandbridgeError as error:
            self.fail(error)
        finally:
            for station in group:
                station.counts.now(Activity.DONE)
                for channel in (*station.outs, *station.errors):
                    channel.close()

    async def _feed(self, replaced: list[Station]) -> None:
        """Hand on what splits have left in place of what their stations would hand on."""
        try:
            with failures.explained(replaced[0].step.id):
                await feed(replaced, self._job.pieces, passage=self._passage, rejects=self._job.rejects)
        except Aborted:
            pass
        except LandbridgeError as error:
            self.fail(error)
        finally:
            for station in replaced:
                station.counts.now(Activity.DONE)
            for channel in (*replaced[-1].outs, *(channel for station in replaced for channel in station.errors)):
                channel.close()

    def _task(self, group: list[Station]) -> Callable[[], Awaitable[None]]:
        first = group[0]
        component = first.component
        if isinstance(component, RecordReader):
            return lambda: self._read_records(first, component)
        if isinstance(component, FileReader):
            return lambda: self._read_files(first, component)
        if isinstance(component, Lookup):
            return lambda: self._passage.call(first, component.opened(), component.look_up)
        if isinstance(component, RecordWriter):
            return lambda: self._write_records(first, component)
        if isinstance(component, FileWriter):
            return lambda: self._write_files(group)
        return lambda: self._passage.drive(group)

    async def _read_records(self, station: Station, reader: RecordReader) -> None:
        station.counts.now(Activity.WORKING)
        async with aclosing(reader.read()) as batches:
            async for batch in batches:
                taken = self._limit.take(batch)
                station.counts.records_in += taken.num_rows
                station.counts.records_out += taken.num_rows
                await self._passage.send(station, taken)
                await self._passage.drain(station)
                if self._limit.reached:
                    return

    async def _read_files(self, station: Station, reader: FileReader) -> None:
        counts = station.counts
        counts.now(Activity.WORKING)
        async with aclosing(reader.files()) as files:
            async for file in files:
                counts.files += not file.start.lines_left_out  # of a file in parts the first one counts
                await self._passage.send(station, file.start)
                async with aclosing(file.chunks) as chunks:
                    async for chunk in chunks:
                        counts.bytes += len(chunk)
                        await self._passage.send(station, chunk)
                await self._passage.send(station, FileEnd())

    async def _write_records(self, station: Station, writer: RecordWriter) -> None:
        supply = self._supplies.get(id(station))
        if self._job.options.dry_run:
            planned = await writing.plan(station, writer, passage=self._passage, gate=self._gate)
            self._planned[station.step.id] = planned
        elif supply is None:
            await self._passage.call(station, writer.opened(), writer.write, delivers=True)
        else:
            await writing.gather(station, supply, self.stations, passage=self._passage, gate=self._gate)
            await writing.write(station, supply, writer, passage=self._passage, gate=self._gate)
        self._finished_one()

    async def _write_files(self, group: list[Station]) -> None:
        step, journal = group[0].step.id, self._journal
        async with connection_of(group[0]).connect() as store:
            if self._job.options.dry_run:
                await store.check()
            else:
                if journal is not None:
                    await delivery.remove_leftovers(store, step, journal)
                await store.clean()
            to = None if self._job.options.dry_run else store
            names = self._names.setdefault(place_of(group[0].step), set())
            lanes = [Lane(station, to, names=names, journal=journal) for station in group]
            self._lanes += lanes
            try:
                async with anyio.create_task_group() as tasks:
                    for station, lane in zip(group, lanes, strict=True):
                        tasks.start_soon(self._stage, station, lane)
                if self._error is None:
                    await self._gate.arrive(step)
                    self._finished_one()
                    group[0].counts.now(Activity.WAITING)
                    await self._published.wait()
            finally:
                with anyio.CancelScope(shield=True):
                    if self._publishing is not None:
                        await self._publishing.wait()  # bounded: a file has some seconds to get its name
                    await self._passage.drain(group[0])  # what a receiver refused of the files
                # What must be published stays: another process of the job finds it there.
                if not (self._intended and journal is not None):
                    await self._discard(lanes)

    async def _discard(self, lanes: list[Lane]) -> None:
        with anyio.move_on_after(_DISCARD_TIMEOUT_S, shield=True):
            for lane in lanes:
                for staged in lane.staged:
                    with suppress(LandbridgeError):
                        await staged.discard()

    async def _stage(self, station: Station, lane: Lane) -> None:
        try:
            with failures.explained(station.step.id):
                with suppress(Ended):
                    while True:
                        item = await lane.receive()
                        await lane.take(item)
                        with suppress(NotWanted):  # whoever reads the files behind it may have enough of them
                            await self._passage.send(station, item)
                lane.complete()
        except Aborted:
            pass
        except LandbridgeError as error:
            self.fail(error)
        finally:
            for channel in station.outs:
                channel.close()
            station.outs = []

    def _finished_one(self) -> None:
        self._unfinished -= 1
        if not self._unfinished:
            self._all_staged.set()

    async def _publish(self) -> None:
        """When every writer has done and staged everything, publish all files in the order of the dataflow."""
        if not self._unfinished:
            return
        await self._all_staged.wait()
        self._publishing = anyio.Event()
        try:
            check_counts(self._running)
            with failures.explained(self._plan.entry):
                self._intended = bool(self._lanes)
                await delivery.publish_all(
                    [staged for lane in self._lanes for staged in lane.staged],
                    journal=self._journal,
                    counts=lambda: {step: counts.as_json() for step, counts in self.steps.items()},
                    tallies=self._gate.shown,
                    delivered=self._delivered,
                    unsure=self._unsure,
                )
        except LandbridgeError as error:
            self.fail(error)
        finally:
            self._publishing.set()
        self._published.set()

    async def _publish_rest(self, intents: Intents) -> None:
        """Publish what an earlier process has staged."""
        stations = [station for station in self.stations if isinstance(station.component, FileWriter)]
        writers = {station.step.id: connection_of(station) for station in stations}
        not_taken = {step: self.steps[step].rejected + self.steps[step].filtered for step in writers}
        if self._journal is not None:
            try:
                await delivery.publish_rest(
                    intents,
                    writers=writers,
                    journal=self._journal,
                    delivered=self._delivered,
                    unsure=self._unsure,
                )
            except LandbridgeError as error:
                self.fail(error)
        for station in stations:
            await self._passage.drain(station)  # what a receiver refused of the files
        delivery.count_rest(intents, self.steps, not_taken_before=not_taken)

    # -- supervision -----------------------------------------------------------------------------------------------

    def fail(self, error: LandbridgeError) -> None:
        """End the job with an error; also before ``run``, which then only reports it."""
        if self._error is None:
            self._error = error
        self._abort()
        self._published.set()
        self._scope.cancel()

    def _abort(self) -> None:
        for channel in self._channels:
            channel.abort()

    async def _watch(self, scope: anyio.CancelScope) -> None:
        """Cancel the job when a step has worked for too long without progress, or nothing moves at all."""
        limit = self._job.options.stall_timeout_s
        with scope, self._abort_when_cancelled():
            while True:
                await anyio.sleep(_WATCH_INTERVAL_S)
                busy = {step: c for step, c in self.steps.items() if c.activity is Activity.WORKING}
                for step, counts in busy.items():
                    if monotonic() - counts.since > limit:
                        self.fail(failures.stalled(step, limit))
                if not busy and monotonic() - max(c.since for c in self.steps.values()) > limit:
                    self.fail(failures.stalled(None, limit))

    @contextmanager
    def _abort_when_cancelled(self) -> Iterator[None]:
        """Threads do not notice that the caller's task is cancelled: wake those that wait on an edge."""
        try:
            yield
        except anyio.get_cancelled_exc_class():
            self._abort()
            raise

    def _services(self, step: PlanStep) -> Services:
        return Services(
            step_id=step.id,
            job_id=self._job.id,
            dataflow=self._job.dataflow,
            started=self._job.started,
            spool_dir=self._job.spool_dir,
            counts=self.steps[step.id],
            write_log=log_line,
        )

    def _shown_plans(self) -> dict[str, dict[str, int]]:
        """What writers would have done; files carry what their receiver has to compare itself."""
        if not self._job.options.dry_run:
            return {}
        files = {step: Planned.untold(tally) for step, tally in self._gate.tallies.items()}
        return {step: planned.as_json() for step, planned in {**files, **self._planned}.items()}

    def _report(self) -> Report:
        rejects = sum(counts.rejected for counts in self.steps.values())
        error = self._error
        if isinstance(error, Cancelled):
            status = Status.STOPPED
        elif error:
            status = Status.FAILED
        else:
            status = Status.SUCCEEDED_WITH_ERRORS if rejects else Status.SUCCEEDED
        return Report(
            job=self._job.id,
            dataflow=self._job.dataflow,
            status=status,
            started=self._job.started,
            ended=datetime.now(UTC),
            steps=self.steps,
            files=tuple(self._delivered),
            rejects=rejects,
            dry_run=self._job.options.dry_run,
            error=failures.as_json(error),
            writers=self._gate.shown(),
            guards=tuple(trip.as_json() for trip in self._gate.trips),
            planned=self._shown_plans(),
            unsure=tuple(self._unsure),
            written=0 if self._job.options.dry_run else records_written(self.stations),
        )
