"""Record writers in a job that looks before it writes: all input first to disk, then unit by unit.

A unit is as many records as one call of a writer takes. With a journal each unit's outcome is on disk before it is
told to anybody, so that a job that is begun again after its process died repeats at most the units that were under
way, and those only where the writer says that a repetition does no harm.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from landbridge.components.base import RecordError, RecordWriter
from landbridge.engine.journal import Gathered, Outcome, Rejected, WriterJournal, errors_of
from landbridge.engine.segment import SegmentWriter, from_bytes, read_segment, to_bytes
from landbridge.engine.stations import Refused, Station
from landbridge.errors import LandbridgeError
from landbridge.records import Batch

Forward = Callable[[Station, Batch], Awaitable[None]]


class Supply:
    """What one record writer has to write, on disk.

    Args:
        station: The writer's place.
        writer: Its component.
        folder: For temporary files, where there is no journal.
        journal: The writer's part of the journal; None in a job that is not resumed.
    """

    def __init__(self, station: Station, writer: RecordWriter, *, folder: Path, journal: WriterJournal | None) -> None:
        self._station = station
        self._writer = writer
        self._journal = journal
        self._path = journal.records if journal else folder / f"records-{id(station):x}.arrow"
        self._segment: SegmentWriter | None = None
        self._refused: list[Rejected] = []
        self.gathered = journal.gathered if journal else None

    # -- gathering -------------------------------------------------------------------------------------------------

    async def add(self, batch: Batch, refused: Sequence[Refused] = ()) -> None:
        """Keep records that came in; ``refused`` are those that a guard has taken out of the batch."""
        await anyio.to_thread.run_sync(self._add, batch)
        if self._journal:
            self._refused += [_rejected(records, errors) for records, errors in refused]

    async def complete(self, *, tally: dict[str, int], counts: dict[str, dict[str, int]]) -> None:
        """All have come in."""
        await anyio.to_thread.run_sync(self._complete, tally, counts)

    def discard(self) -> None:
        """Remove what was gathered and is not complete."""
        if self._segment is not None:
            self._segment.__exit__(None, None, None)
            self._segment = None

    def replay_refused(self) -> int:
        """Reject once more what a guard had refused in an earlier process; their number."""
        outcome = self._journal.outcome(-1) if self._journal else None
        count = 0
        for rejected in outcome.rejected if outcome else ():
            records = from_bytes(rejected.records)
            self._station.services.reject(records, errors_of(rejected))
            count += records.num_rows
        return count

    def _add(self, batch: Batch) -> None:
        if self._segment is None:
            self._segment = SegmentWriter(self._path)
        self._segment.add(batch)

    def _complete(self, tally: dict[str, int], counts: dict[str, dict[str, int]]) -> None:
        if self._segment is None:
            self._segment = SegmentWriter(self._path)
        rows = self._segment.rows
        self._segment.complete()
        self._segment = None
        gathered = Gathered(rows, max(1, self._writer.unit_records), tally, counts)
        if self._journal:
            self._journal.finish_gathering(gathered, self._refused)
        self.gathered = gathered

    # -- writing ---------------------------------------------------------------------------------------------------

    async def write(self, forward: Forward) -> None:
        """Write all units, and hand on what became of them in their order.

        Args:
            forward: Takes the records of each unit that go on, with the station's rejects waiting to be taken.

        Raises:
            LandbridgeError: The job cannot go on; outcomes so far are kept.
        """
        turn = _Turn()
        room = anyio.Semaphore(max(1, self._writer.units_in_flight))
        failed: list[Exception] = []

        async def work(number: int, unit: Batch) -> None:
            try:
                done = await self._done(number, unit)
                await turn.wait(number)
                await self._tell(done, unit, forward)
                turn.pass_on()
            except Exception as error:  # noqa: BLE001 - raised again below, out of the group that would wrap it
                failed.append(error)
                group.cancel_scope.cancel()
            finally:
                room.release()

        async with anyio.create_task_group() as group:
            units = self._units()
            number = 0
            while (unit := await anyio.to_thread.run_sync(next, units, None)) is not None:
                await room.acquire()
                group.start_soon(work, number, unit)
                number += 1
        if failed:
            raise failed[0]

    def _units(self) -> Iterator[Batch]:
        if self.gathered is None:
            raise ValueError("not all records have come in")
        size = self.gathered.unit_records
        for batch in read_segment(self._path):
            for start in range(0, batch.num_rows, size):
                yield batch.slice(start, size)

    async def _done(self, number: int, unit: Batch) -> _Done:
        """The outcome of a unit, from the journal where it stands there."""
        journal = self._journal
        if journal is None:
            return await self._written(unit, self._writer.write)
        known = journal.outcome(number)
        if known is not None:
            return _Done.of(known, unit)
        call = self._writer.repeat if journal.was_started(number) else self._writer.write
        await anyio.to_thread.run_sync(journal.start, number)
        done = await self._written(unit, call)
        # Once the other side has the records the outcome must be kept, also when the job is being stopped.
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(
                journal.keep, done.as_outcome(number, unit, goes_on=bool(self._station.outs))
            )
        return done

    async def _written(self, unit: Batch, call: Callable[[Batch], Awaitable[Batch]]) -> _Done:
        services = self._station.services
        with services.gathering() as refused, services.gathering_left_out() as left_out:
            records = await call(unit)
        known = records.num_rows + sum(batch.num_rows for batch, _ in refused)
        if known != unit.num_rows:
            raise LandbridgeError(
                "LB-6003",
                f"the step was given {unit.num_rows} records and told the outcome of {known}",
                hint="Please report this with the dataflow.",
            )
        return _Done(records, refused, sum(left_out))

    async def _tell(self, done: _Done, unit: Batch, forward: Forward) -> None:
        counts = self._station.counts
        counts.records_in += unit.num_rows
        counts.records_out += done.records.num_rows - done.left_out
        counts.filtered += done.left_out
        for records, errors in done.refused:
            self._station.services.reject(records, errors)
        await forward(self._station, done.records)


@dataclass(frozen=True, slots=True)
class _Done:
    """What became of a unit: the records that succeeded, those that failed, and how many were left out of the first."""

    records: Batch
    refused: Sequence[Refused]
    left_out: int = 0

    @classmethod
    def of(cls, outcome: Outcome, unit: Batch) -> _Done:
        if outcome.same:
            records = unit
        elif outcome.records is None:
            records = Batch({}, outcome.rows)
        else:
            records = from_bytes(outcome.records)
        refused = [(from_bytes(part.records), errors_of(part)) for part in outcome.rejected]
        return cls(records, refused, outcome.left_out)

    def as_outcome(self, number: int, unit: Batch, *, goes_on: bool) -> Outcome:
        same = self.records is unit
        return Outcome(
            unit=number,
            rows=self.records.num_rows,
            records=to_bytes(self.records) if goes_on and not same else None,
            same=same,
            rejected=[_rejected(records, errors) for records, errors in self.refused],
            left_out=self.left_out,
        )


class _Turn:
    """Lets units pass in the order of their numbers, whichever is ready first."""

    def __init__(self) -> None:
        self._next = 0
        self._changed = anyio.Event()

    async def wait(self, number: int) -> None:
        while self._next != number:
            await self._changed.wait()

    def pass_on(self) -> None:
        self._next += 1
        self._changed.set()
        self._changed = anyio.Event()


def _rejected(records: Batch, errors: Sequence[RecordError]) -> Rejected:
    return Rejected(to_bytes(records), [(error.code, error.message) for error in errors])
