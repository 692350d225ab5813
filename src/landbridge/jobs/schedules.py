"""The scheduler: starts the jobs of all schedulings at their time, each planned run once.

Any number of schedulers may work on one database. Each planned run has an id made of the scheduling and the planned
instant, and is claimed by compare-and-set in the transaction that asks for its job; so a run is started once, also
when a scheduler dies in the middle.
"""

from __future__ import annotations

import heapq
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import anyio
import anyio.to_thread

from landbridge.errors import LandbridgeError
from landbridge.jobs import db_dataflows, db_schedules
from landbridge.jobs.db import Database, Transaction, changes
from landbridge.jobs.db_schedules import Activity, Claim, SchedulingRow
from landbridge.jobs.job_options import JobOptions
from landbridge.jobs.misfire import Settled, next_fire, settle
from landbridge.jobs.planned import PlannedRun, planned_id, start_planned
from landbridge.jobs.timetable import Schedule

_LOG = logging.getLogger("landbridge.schedules")

_POLL_S: Final = 0.5
"""How often the counter of changes is looked at."""
_AFTER_FAILURE_S: Final = 5.0
_BATCH: Final = 100
"""Schedulings that one transaction settles; one transaction each would be slower than the runs are due."""
_RELOAD_MARGIN: Final = timedelta(minutes=10)
"""Longer than any transaction: rows written before, and committed after, the last look."""


class StartJobs(Protocol):
    """Asks for the jobs of planned runs."""

    def __call__(self, tx: Transaction, runs: Sequence[PlannedRun], /) -> Mapping[str, LandbridgeError]:
        """Ask for jobs; those that exist are left as they are.

        Returns:
            Why a job cannot be made, since its dataflow is gone, for example, by the id of the run.
        """


@dataclass(slots=True)
class _Entry:
    row: SchedulingRow
    schedule: Schedule
    fires: datetime | None = None


class Scheduler:
    """Keeps the enabled schedulings of a database in memory and starts their jobs.

    Args:
        database: Where schedulings are.
        start_jobs: Asks for jobs.
        clock: What time it is, in UTC.
    """

    def __init__(
        self,
        database: Database,
        start_jobs: StartJobs = start_planned,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._start_jobs = start_jobs
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._heap: list[tuple[datetime, str]] = []
        self._seen_changes: tuple[int, int] | None = None
        self._loaded: datetime | None = None

    async def run(self) -> None:
        """Start jobs until the task is cancelled. Faults of the database are waited out."""
        while True:
            try:
                wait_s = await anyio.to_thread.run_sync(self.tick)
            except LandbridgeError as failure:
                _LOG.error("the scheduler waits for the database: %s", failure)
                wait_s = _AFTER_FAILURE_S
            except Exception:  # noqa: BLE001 - one fault of ours must not end all schedules
                _LOG.exception("the scheduler failed; it begins anew")
                wait_s = _AFTER_FAILURE_S
            await anyio.sleep(wait_s)

    def tick(self) -> float:
        """Start what is due now.

        Returns:
            After how many seconds to look again.

        Raises:
            StorageError: The database cannot be used; nothing is lost.
        """
        try:
            self._load_changes()
            due = [*self._due(self._clock()), *self._continuous()]
            for at in range(0, len(due), _BATCH):
                self._start(due[at : at + _BATCH])
        except BaseException:
            self._forget()  # what was taken out of memory and not started is read again
            raise
        if not self._heap:
            return _POLL_S
        return min(max((self._heap[0][0] - self._clock()).total_seconds(), 0.0), _POLL_S)

    # -- what there is ---------------------------------------------------------------------------------------------

    def _load_changes(self) -> None:
        with self._database.read() as tx:
            seen = (changes(tx, db_schedules.AREA), changes(tx, db_dataflows.AREA))
            if seen == self._seen_changes:
                return
            same_flows = self._seen_changes is not None and self._seen_changes[1] == seen[1]
            since = self._loaded - _RELOAD_MARGIN if self._loaded and same_flows else None
            rows = db_schedules.updated_since(tx, since)
        for row in rows:
            self._put(row)
        self._seen_changes = seen
        self._loaded = max((row.updated for row in rows), default=self._loaded)

    def _forget(self) -> None:
        self._entries.clear()
        self._heap.clear()
        self._seen_changes = self._loaded = None

    def _put(self, row: SchedulingRow) -> None:
        known = self._entries.get(row.id)
        if known is not None and known.row == row:
            return
        self._entries.pop(row.id, None)
        if not row.runs:
            return
        try:
            self._plan(_Entry(row, row.schedule))
        except LandbridgeError as failure:
            _LOG.error('the scheduling "%s" (%s) cannot run: %s', row.name, row.id, failure)

    def _plan(self, entry: _Entry) -> None:
        """Remember an entry, and when to look at it next."""
        self._entries[entry.row.id] = entry
        entry.fires = None
        if entry.schedule.keep_updated is None:
            following = next_fire(entry.schedule, _position(entry.row))
            if following is not None:
                entry.fires = following[1]
                heapq.heappush(self._heap, (entry.fires, entry.row.id))

    def _due(self, now: datetime) -> Iterator[tuple[_Entry, Settled]]:
        while self._heap and self._heap[0][0] <= now:
            fires, identity = heapq.heappop(self._heap)
            entry = self._entries.get(identity)
            if entry is None or entry.fires != fires:
                continue  # it was changed or removed since
            entry.fires = None  # an entry may stand in the heap twice
            yield entry, settle(entry.schedule, position=_position(entry.row), now=now)

    def _continuous(self) -> Sequence[tuple[_Entry, Settled]]:
        """What is kept updated, and has paused long enough since its last run."""
        entries = {identity: entry for identity, entry in self._entries.items() if entry.schedule.keep_updated}
        if not entries:
            return []
        with self._database.read() as tx:
            last = db_schedules.last_runs(tx, entries.keys())
        now = self._clock()
        found = []
        for identity, entry in entries.items():
            run = last.get(identity)
            if run is not None and run.ended is None:
                continue
            planned = _after_pause(entry, run.ended if run else None)
            if planned <= now:
                found.append((entry, Settled((planned,), None, planned)))
        return found

    # -- starting --------------------------------------------------------------------------------------------------

    def _start(self, due: Sequence[tuple[_Entry, Settled]]) -> None:
        """Settle some schedulings and start their runs, in one transaction."""
        with self._database.write() as tx:
            claims = [_claim(entry, settled) for entry, settled in due]
            settled_ids = db_schedules.claim(tx, claims)
            won = [pair for pair in due if pair[0].row.id in settled_ids]
            active = defaultdict(list)
            for activity in db_schedules.activities(tx, {entry.row.dataflow_id for entry, _ in won}):
                active[activity.dataflow_id].append(activity)
            runs = [run for entry, settled in won for run in _runs(entry, settled, active[entry.row.dataflow_id])]
            failures = self._start_jobs(tx, runs) if runs else {}
            lost = db_schedules.by_ids(tx, [claim.row.id for claim in claims if claim.row.id not in settled_ids])
        for run_id, failure in failures.items():
            _LOG.error("the run %s cannot start: %s", run_id, failure)
        for claim, (entry, _) in zip(claims, due, strict=True):
            del self._entries[entry.row.id]
            if claim.row.id in settled_ids:
                row = replace(entry.row, planned_until=claim.position, next_start=claim.next_start, job_id=claim.job_id)
                self._plan(_Entry(row, entry.schedule))
        for row in lost:
            self._put(row)


def _claim(entry: _Entry, settled: Settled) -> Claim:
    return Claim(
        entry.row,
        position=settled.position,
        next_start=db_schedules.next_start(entry.schedule, settled.position),
        job_id=planned_id(entry.row.id, settled.run[-1]) if settled.run else entry.row.job_id,
    )


def _runs(entry: _Entry, settled: Settled, active: list[Activity]) -> Sequence[PlannedRun]:
    row = entry.row
    if settled.skipped is not None:
        _LOG.warning('the scheduling "%s" (%s) left out what was due until %s', row.name, row.id, settled.skipped)
    runs = [_planned_run(entry.schedule, planned) for planned in _allowed(entry.schedule, settled.run, active)]
    active += [Activity(row.dataflow_id, row.id, waits=True) for _ in runs]
    return runs


def _planned_run(schedule: Schedule, planned: datetime) -> PlannedRun:
    scheduling = schedule.scheduling
    return PlannedRun(
        id=planned_id(scheduling.id, planned),
        dataflow_id=scheduling.dataflow_id,
        scheduling_id=scheduling.id,
        planned=planned,
        options=JobOptions(
            limit=scheduling.limit,
            full_extract=scheduling.full_extract,
            log_level=scheduling.log_level,
            may_overlap=schedule.settings.while_running == "allow",
            splits=schedule.settings.splits,
        ),
    )


def _allowed(schedule: Schedule, planned: Sequence[datetime], active: Iterable[Activity]) -> Sequence[datetime]:
    """The runs that start in spite of the jobs of the dataflow that wait or run."""
    running = list(active)
    policy = schedule.settings.while_running
    waits = any(activity.waits and activity.scheduling_id == schedule.scheduling.id for activity in running)
    if policy == "skip":
        allowed = () if running else planned[:1]
    elif policy == "queue":
        allowed = () if waits else planned
    else:
        allowed = planned
    for left_out in planned[len(allowed) :]:
        reason = "one waits already" if policy == "queue" else "a job of its dataflow has not ended"
        _LOG.warning("the run %s was left out: %s", planned_id(schedule.scheduling.id, left_out), reason)
    return allowed


def _position(row: SchedulingRow) -> datetime:
    return row.planned_until or row.created


def _after_pause(entry: _Entry, ended: datetime | None) -> datetime:
    """When something that is kept updated starts again, in whole seconds."""
    start, position = entry.schedule.timetable.start, _position(entry.row)
    if position < start:
        return start
    pause = entry.schedule.keep_updated or timedelta(0)
    moment = max(position, ended or position) + pause
    return moment if not moment.microsecond else moment.replace(microsecond=0) + timedelta(seconds=1)
