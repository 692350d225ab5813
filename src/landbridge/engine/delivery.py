"""Delivery of files: staged under temporary names while the job reads, published together when it has read all."""

from __future__ import annotations

from dataclasses import dataclass

from landbridge.components.base import FileDrop, FileEnd, FileStart, FileWriter
from landbridge.engine.channel import Ended, Item
from landbridge.engine.counts import Activity, DeliveredFile
from landbridge.engine.stations import Station
from landbridge.errors import DataError
from landbridge.records import Batch
from landbridge.remote.publish import Store, Upload


@dataclass(slots=True)
class Staged:
    """A file that waits for its publication."""

    name: str
    order: int
    station: Station
    upload: Upload | None
    bytes: int = 0
    records: int | None = None
    published: bool = False

    async def publish(self) -> DeliveredFile:
        """Give the file its final name."""
        if self.upload is not None:
            await self.upload.publish()
        self.published = True
        return DeliveredFile(name=self.name, bytes=self.bytes, records=self.records)

    async def discard(self) -> None:
        """Remove what was staged, unless it is published."""
        if self.upload is not None and not self.published:
            await self.upload.discard()


class Lane:
    """One stream of files into one writer.

    Args:
        station: The writer's station for this stream.
        store: Where files go; None in a dry run.
    """

    def __init__(self, station: Station, store: Store | None) -> None:
        self._station = station
        self._store = store
        self.staged: list[Staged] = []
        self._current: Staged | None = None

    async def receive(self) -> Item:
        """The next event from the edge."""
        counts = self._station.counts
        counts.now(Activity.WAITING)
        if self._station.source is None:
            raise Ended
        item = await self._station.source.receive()
        counts.now(Activity.WORKING)
        return item

    async def take(self, item: Item) -> None:
        """Stage one event of the stream."""
        if isinstance(item, FileStart):
            await self._begin(item)
        elif isinstance(item, bytes):
            await self._append(item)
        elif isinstance(item, FileEnd):
            await self._finish(item)
        elif isinstance(item, FileDrop):
            await self.discard()
        elif isinstance(item, Batch):
            raise TypeError("a file writer was given records")

    async def _begin(self, start: FileStart) -> None:
        upload = await self._store.create(start.name) if self._store else None
        self._current = Staged(name=start.name, order=self._station.order, station=self._station, upload=upload)
        self.staged.append(self._current)

    async def _append(self, chunk: bytes) -> None:
        staged = self._open()
        if staged.upload:
            await staged.upload.write(chunk)
        staged.bytes += len(chunk)
        self._station.counts.bytes += len(chunk)

    async def _finish(self, end: FileEnd) -> None:
        staged = self._open()
        if staged.upload:
            await staged.upload.finish()
        staged.records = end.records
        counts = self._station.counts
        counts.files += 1
        counts.records_in += end.records or 0
        self._current = None

    def _open(self) -> Staged:
        if self._current is None:
            raise DataError("LB-4001", "the stream of a file began in its middle")
        return self._current

    async def discard(self) -> None:
        """Remove all that was staged from this stream."""
        counts = self._station.counts
        for staged in self.staged:
            await staged.discard()
            counts.bytes -= staged.bytes
            if staged is not self._current:
                counts.files -= 1
                counts.records_in -= staged.records or 0
        self.staged, self._current = [], None

    def complete(self) -> None:
        """Check that the stream did not end in the middle of a file."""
        if self._current is not None:
            raise DataError("LB-4001", f'the stream of "{self._current.name}" ended before the file')


def connection_of(station: Station) -> FileWriter:
    """The station's component as a file writer."""
    if not isinstance(station.component, FileWriter):
        raise TypeError(f"{type(station.component).__name__} is not a file writer")
    return station.component
