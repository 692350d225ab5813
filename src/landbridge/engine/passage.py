"""How items pass from one station to the next, between tasks of the event loop and worker threads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, suppress

import anyio.from_thread
import anyio.to_thread

from landbridge.components.base import Formatter, Lookup, RecordWriter
from landbridge.engine.channel import Channel, Ended, Item, NotWanted
from landbridge.engine.counts import Activity
from landbridge.engine.rejects import RejectStore
from landbridge.engine.stations import Station
from landbridge.engine.work import chain
from landbridge.errors import LandbridgeError
from landbridge.records import Batch


class Passage:
    """Moves the items of one job.

    Args:
        rejects: Where failed records go that have no error edge.
        limit: How many records each parser gives at most; None for all.
        threads: How many stations may work in a thread at a time.
    """

    def __init__(self, rejects: RejectStore, limit: int | None, *, threads: int) -> None:
        self._rejects = rejects
        self._limit = limit
        self._threads = anyio.CapacityLimiter(threads)

    async def send(self, station: Station, item: Item) -> None:
        """Hand an item on to all that follow.

        Raises:
            NotWanted: None of them takes more.
            Aborted: The job has ended early.
        """
        if isinstance(item, Batch) and not item.num_rows:
            return
        station.counts.now(Activity.WAITING)
        for channel in list(station.outs):
            with _leaving(station, channel):
                await channel.send(item)
        station.counts.now(Activity.WORKING)

    async def receive(self, station: Station) -> Batch | None:
        """The next batch for a step that works in the event loop; None when there is no more."""
        if station.source is None:
            raise TypeError("the first step receives nothing")
        station.counts.now(Activity.WAITING)
        try:
            batch = await station.source.receive()
        except Ended:
            return None
        station.counts.now(Activity.WORKING)
        if not isinstance(batch, Batch):
            raise TypeError("a step that takes records was given files")
        return batch

    async def drain(self, station: Station) -> None:
        """Pass on what a station has rejected."""
        if station.errors:
            for batch in station.services.take_error_batches():
                for channel in station.errors:
                    with suppress(NotWanted):
                        await channel.send(batch)
        elif rejects := station.services.take_rejects():
            # They are kept although the job ends meanwhile; without the shield, a call from a thread whose scope is
            # cancelled waits for ever.
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._rejects.add, station.step.id, rejects)

    async def call(
        self,
        station: Station,
        opened: AbstractAsyncContextManager[object],
        work: Callable[[Batch], Awaitable[Batch]],
        *,
        delivers: bool = False,
    ) -> None:
        """Do the work for every batch that comes, and hand on what it gives.

        Args:
            station: Whose work it is.
            opened: Holds a connection meanwhile.
            work: Gives the records that go on.
            delivers: The work is worth doing though nobody wants what it gives.
        """
        counts = station.counts
        async with opened:
            while (batch := await self.receive(station)) is not None:
                counts.records_in += batch.num_rows
                delivered = await work(batch)
                counts.records_out += delivered.num_rows - station.services.take_left_out()
                if isinstance(station.component, Lookup):
                    counts.filtered = max(0, counts.records_in - counts.records_out - counts.rejected)
                await self.drain(station)
                try:
                    await self.send(station, delivered)
                except NotWanted:
                    if not delivers:
                        if station.source:
                            station.source.decline()
                        return

    async def drive(self, group: list[Station]) -> None:
        """Drive the generators of a group in a worker thread."""
        await anyio.to_thread.run_sync(self._drive, group, limiter=self._threads)

    def _drive(self, group: list[Station]) -> None:
        last = group[-1]
        source = group[0].source
        items = _received(group[0], source) if source else iter(())
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

    def _drain_from_thread(self, station: Station) -> None:
        if station.services.has_rejects:
            anyio.from_thread.run(self.drain, station)


def check_counts(stations: Sequence[Station]) -> None:
    """Refuse to go on when records were lost or doubled between two steps, or within one.

    Raises:
        LandbridgeError: LB-6003.
    """
    for station in stations:
        counts = station.counts
        if station.source is None or not station.source.is_wanted:
            continue
        if station.source.records and station.source.records != counts.records_in:
            raise _differ(
                station,
                f"{station.source.records:,} records were sent to the step but it counted {counts.records_in:,}",
            )
        if not isinstance(station.component, Formatter | RecordWriter) or not station.is_told:
            continue
        if counts.records_in != counts.records_out + counts.rejected + counts.filtered:
            raise _differ(
                station,
                f"the step was given {counts.records_in:,} records, and told of {counts.records_out:,}, of "
                f"{counts.rejected:,} that failed and of {counts.filtered:,} that were left out",
            )


def records_written(stations: Sequence[Station]) -> int:
    """How many records the record writers have delivered so far."""
    return sum(station.counts.records_out for station in stations if isinstance(station.component, RecordWriter))


def _differ(station: Station, message: str) -> LandbridgeError:
    return LandbridgeError("LB-6003", message, hint="Please report this with the dataflow.", step=station.step.id)


def _received(station: Station, source: Channel) -> Iterator[Item]:
    while True:
        station.counts.now(Activity.WAITING)
        try:
            item = source.take()
        except Ended:
            return
        station.counts.now(Activity.WORKING)
        yield item


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
