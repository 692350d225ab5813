"""Runs a plan to its end: every step in its task, counts on every edge, one clear result."""

from __future__ import annotations

import errno
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from time import monotonic
from typing import Final

import anyio
import anyio.from_thread
import anyio.to_thread

from landbridge.components.base import FileEnd, FileReader, FileWriter, Lookup, RecordReader, RecordWriter
from landbridge.dataflow.plan import Plan, PlanStep
from landbridge.engine import stations as build
from landbridge.engine.channel import Aborted, Channel, Ended, Item, NotWanted
from landbridge.engine.counts import Activity, DeliveredFile, Report, Status, StepCounts
from landbridge.engine.delivery import Lane, Staged, connection_of
from landbridge.engine.rejects import RejectStore
from landbridge.engine.services import Level, Services
from landbridge.engine.stations import Station
from landbridge.engine.work import Limit, chain
from landbridge.errors import Cancelled, LandbridgeError, Stalled, StorageError
from landbridge.records import Batch

_LOG = logging.getLogger("landbridge.engine")
_DISCARD_TIMEOUT_S: Final = 30
_WATCH_INTERVAL_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Options:
    """How to run.

    Attributes:
        limit: Read at most this many records.
        dry_run: Do everything up to the last write, and write nothing.
        stall_timeout_s: Cancel the job when a step makes no progress for this long.
    """

    limit: int | None = None
    dry_run: bool = False
    stall_timeout_s: float = 300.0


@dataclass(slots=True)
class Job:
    """The facts of one run.

    Attributes:
        id: The job's id.
        dataflow: The dataflow's name.
        started: The one instant that all variables of the job refer to, in UTC.
        spool_dir: An empty folder for temporary files; its owner removes it.
        rejects: Where records go that fail without an error edge.
    """

    id: str
    dataflow: str
    started: datetime
    spool_dir: Path
    rejects: RejectStore
    options: Options = field(default_factory=Options)


class Runner:
    """One run of one plan; made and used within an event loop.

    Args:
        plan: What to run.
        make: Makes the component of a step.
        job: The facts of the run.
    """

    def __init__(self, plan: Plan, make: build.Make, job: Job) -> None:
        self._job = job
        self.steps = {step.id: StepCounts() for step in plan.steps}
        """Live counts by step id, in topological order."""
        self._stations = build.build(plan, make, self._services)
        self._channels = [station.source for station in self._stations if station.source]
        self._limit = Limit(job.options.limit)
        self._error: LandbridgeError | None = None
        self._scope = anyio.CancelScope()
        self._threads = anyio.CapacityLimiter(len(self._stations) + 1)
        self._lanes: list[Lane] = []
        self._unstaged = 0
        self._all_staged = anyio.Event()
        self._published = anyio.Event()
        self._delivered: list[DeliveredFile] = []

    def cancel(self, reason: str) -> None:
        """Stop the job. Safe to call from the event loop at any time; ``run`` returns soon after."""
        self._fail(Cancelled("LB-6001", f"the job was stopped: {reason}"))

    async def run(self) -> Report:
        """Run to the end. Never raises for what can go wrong in a job: the report tells."""
        groups = list(self._groups())
        self._unstaged = sum(isinstance(group[0].component, FileWriter) for group in groups)
        with self._scope:
            async with anyio.create_task_group() as work:
                watch = anyio.CancelScope()
                work.start_soon(self._watch, watch)
                async with anyio.create_task_group() as steps:
                    for group in groups:
                        steps.start_soon(self._guard, group)
                    steps.start_soon(self._publish)
                watch.cancel()
        return self._report()

    # -- tasks -----------------------------------------------------------------------------------------------------

    def _groups(self) -> Iterator[list[Station]]:
        writers = [station for station in self._stations if isinstance(station.component, FileWriter)]
        for _, lanes in groupby(writers, key=lambda station: station.step.id):
            yield list(lanes)
        yield from build.fuse([station for station in self._stations if station not in writers])

    async def _guard(self, group: list[Station]) -> None:
        """Run a group; whatever goes wrong becomes the job's error."""
        try:
            with _explained(group[0].step.id):
                await self._task(group)()
        except (Aborted, NotWanted):
            pass
        except LandbridgeError as error:
            self._fail(error)
        finally:
            for station in group:
                station.counts.now(Activity.DONE)
                for channel in (*station.outs, *station.errors):
                    channel.close()

    def _task(self, group: list[Station]) -> Callable[[], Awaitable[None]]:
        first = group[0]
        component = first.component
        if isinstance(component, RecordReader):
            return lambda: self._read_records(first, component)
        if isinstance(component, FileReader):
            return lambda: self._read_files(first, component)
        if isinstance(component, Lookup):
            return lambda: self._call_for_records(first, component.opened(), component.look_up)
        if isinstance(component, RecordWriter):
            return lambda: self._write_records(first, component)
        if isinstance(component, FileWriter):
            return lambda: self._write_files(group)
        return lambda: anyio.to_thread.run_sync(self._work, group, limiter=self._threads)

    async def _read_records(self, station: Station, reader: RecordReader) -> None:
        station.counts.now(Activity.WORKING)
        async with aclosing(reader.read()) as batches:
            async for batch in batches:
                taken = self._limit.take(batch)
                station.counts.records_in += taken.num_rows
                station.counts.records_out += taken.num_rows
                await self._send(station, taken)
                await self._drain(station)
                if self._limit.reached:
                    return

    async def _read_files(self, station: Station, reader: FileReader) -> None:
        counts = station.counts
        counts.now(Activity.WORKING)
        async with aclosing(reader.files()) as files:
            async for file in files:
                counts.files += 1
                await self._send(station, file.start)
                async with aclosing(file.chunks) as chunks:
                    async for chunk in chunks:
                        counts.bytes += len(chunk)
                        await self._send(station, chunk)
                await self._send(station, FileEnd())

    async def _write_records(self, station: Station, writer: RecordWriter) -> None:
        if self._job.options.dry_run:
            await self._call_for_records(station, nullcontext(), _unchanged)
        else:
            await self._call_for_records(station, writer.opened(), writer.write)

    async def _call_for_records(
        self, station: Station, opened: AbstractAsyncContextManager[object], work: Callable[[Batch], Awaitable[Batch]]
    ) -> None:
        counts = station.counts
        async with opened:
            while True:
                counts.now(Activity.WAITING)
                try:
                    batch = await _source(station).receive()
                except Ended:
                    return
                counts.now(Activity.WORKING)
                if not isinstance(batch, Batch):
                    raise TypeError("a step that takes records was given files")
                counts.records_in += batch.num_rows
                delivered = await work(batch)
                counts.records_out += delivered.num_rows
                await self._drain(station)
                await self._send(station, delivered)

    async def _write_files(self, group: list[Station]) -> None:
        async with connection_of(group[0]).connect() as store:
            if self._job.options.dry_run:
                await store.check()
            else:
                await store.clean()
            lanes = [Lane(station, None if self._job.options.dry_run else store) for station in group]
            self._lanes += lanes
            try:
                async with anyio.create_task_group() as tasks:
                    for station, lane in zip(group, lanes, strict=True):
                        tasks.start_soon(self._stage, station, lane)
                if self._error is None:
                    self._unstaged -= 1
                    if not self._unstaged:
                        self._all_staged.set()
                    group[0].counts.now(Activity.WAITING)
                    await self._published.wait()
            finally:
                with anyio.move_on_after(_DISCARD_TIMEOUT_S, shield=True):
                    for lane in lanes:
                        for staged in lane.staged:
                            with suppress(LandbridgeError):
                                await staged.discard()

    async def _stage(self, station: Station, lane: Lane) -> None:
        try:
            with _explained(station.step.id):
                while True:
                    item = await lane.receive()
                    await lane.take(item)
                    await self._send(station, item)
        except Ended:
            lane.complete()
        except Aborted:
            pass
        except LandbridgeError as error:
            self._fail(error)
        finally:
            for channel in station.outs:
                channel.close()
            station.outs = []

    async def _publish(self) -> None:
        """When every writer has staged everything, publish all files in the order of the dataflow."""
        if not self._unstaged:
            return
        await self._all_staged.wait()
        try:
            self._check_counts()
            staged = [staged for lane in self._lanes for staged in lane.staged]
            for file in sorted(staged, key=lambda staged: staged.order):
                await self._publish_one(file)
        except LandbridgeError as error:
            self._fail(error)
        self._published.set()

    async def _publish_one(self, file: Staged) -> None:
        with _explained(file.station.step.id):
            file.station.counts.now(Activity.WORKING)
            self._delivered.append(await file.publish())
            file.station.counts.records_out += file.records or 0
            file.station.counts.now(Activity.WAITING)

    # -- items -----------------------------------------------------------------------------------------------------

    async def _send(self, station: Station, item: Item) -> None:
        if isinstance(item, Batch) and not item.num_rows:
            return
        station.counts.now(Activity.WAITING)
        for channel in list(station.outs):
            with _leaving(station, channel):
                await channel.send(item)
        station.counts.now(Activity.WORKING)

    async def _drain(self, station: Station) -> None:
        if station.errors:
            for batch in station.services.take_error_batches():
                for channel in station.errors:
                    await channel.send(batch)
        elif rejects := station.services.take_rejects():
            await anyio.to_thread.run_sync(self._job.rejects.add, station.step.id, rejects)

    def _work(self, group: list[Station]) -> None:
        """Drive the generators of a group in a worker thread."""
        last = group[-1]
        source = group[0].source
        items = self._receive(group[0], source) if source else iter(())
        try:
            for item in chain(group, items, self._drain_from_thread, self._limit):
                last.counts.now(Activity.WAITING)
                for channel in list(last.outs):
                    with _leaving(last, channel):
                        channel.put(item)
                last.counts.now(Activity.WORKING)
        except NotWanted:
            if source:
                source.decline()

    def _receive(self, station: Station, source: Channel) -> Iterator[Item]:
        while True:
            station.counts.now(Activity.WAITING)
            try:
                item = source.take()
            except Ended:
                return
            station.counts.now(Activity.WORKING)
            yield item

    def _drain_from_thread(self, station: Station) -> None:
        if station.services.has_rejects:
            anyio.from_thread.run(self._drain, station)

    # -- supervision -----------------------------------------------------------------------------------------------

    def _fail(self, error: LandbridgeError) -> None:
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
                        self._fail(_stalled(step, limit))
                if not busy and monotonic() - max(c.since for c in self.steps.values()) > limit:
                    self._fail(_stalled(None, limit))

    @contextmanager
    def _abort_when_cancelled(self) -> Iterator[None]:
        """Threads do not notice that the caller's task is cancelled: wake those that wait on an edge."""
        try:
            yield
        except anyio.get_cancelled_exc_class():
            self._abort()
            raise

    def _check_counts(self) -> None:
        """Refuse to publish when records were lost or doubled between two steps."""
        for station in self._stations:
            if station.source is None:
                continue
            counts = station.counts
            lost = station.source.records - counts.records_in if station.source.records else 0
            if lost and not self._limit.reached:
                raise LandbridgeError(
                    "LB-6003",
                    f"{station.source.records} records were sent to the step but it counted {counts.records_in}",
                    hint="Please report this with the dataflow.",
                    step=station.step.id,
                )

    def _services(self, step: PlanStep) -> Services:
        return Services(
            step_id=step.id,
            job_id=self._job.id,
            dataflow=self._job.dataflow,
            started=self._job.started,
            spool_dir=self._job.spool_dir,
            counts=self.steps[step.id],
            write_log=_log,
        )

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
            error=_shown(error),
        )


def _shown(error: LandbridgeError | None) -> dict[str, str | None] | None:
    if error is None:
        return None
    return {"code": error.code, "step": error.step, "message": error.message, "hint": error.hint or None}


@contextmanager
def _explained(step: str) -> Iterator[None]:
    """Turn what the machine or a bug raises into an error with a code, and name the step."""
    try:
        yield
    except LandbridgeError as error:
        error.step = error.step or step
        raise
    except (Aborted, NotWanted, Ended):
        raise
    except OSError as error:
        raise _storage_error(error, step) from error
    except Exception as error:
        _LOG.debug("unexpected error in step %s", step, exc_info=True)
        raise LandbridgeError(
            "LB-9001",
            f"unexpected {type(error).__name__} in the step",
            hint="Run again with --debug and report what it prints.",
            step=step,
        ) from error


def _storage_error(error: OSError, step: str) -> StorageError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(
            "LB-7001",
            "the disk is full",
            hint="Free some space and run again.",
            step=step,
        )
    reason = error.strerror or type(error).__name__
    place = f' "{error.filename}"' if error.filename else ""
    return StorageError("LB-7002", f"cannot use{place}: {reason}", step=step)


def _stalled(step: str | None, limit_s: float) -> Stalled:
    return Stalled(
        "LB-6002",
        f"no progress for {limit_s:.0f} s" if step else f"no step made progress for {limit_s:.0f} s",
        hint="Check the other side, or raise --stall-timeout.",
        step=step,
    )


async def _unchanged(batch: Batch) -> Batch:
    """What a writer gives on in a dry run."""
    return batch


@contextmanager
def _leaving(station: Station, channel: Channel) -> Iterator[None]:
    """Take an edge away whose receiver wants no more; NotWanted is raised when it was the last."""
    try:
        yield
    except NotWanted:
        station.outs.remove(channel)
        channel.close()
        if not station.outs:
            raise


def _source(station: Station) -> Channel:
    if station.source is None:
        raise TypeError("a writer cannot be the first step")
    return station.source


def _log(step: str, level: Level, message: str) -> None:
    _LOG.log(getattr(logging, level.upper()), "%s: %s", step, message)
