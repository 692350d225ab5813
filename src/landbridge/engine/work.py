"""What one station does with a stream of items: plain generators, which the runner drives in worker threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from landbridge.components.base import (
    FileDrop,
    FileEnd,
    FileEvent,
    FileStart,
    FileTransform,
    Formatter,
    Parser,
    Transform,
)
from landbridge.engine.channel import Item, NotWanted
from landbridge.engine.stations import Station, watched
from landbridge.errors import DataError, LandbridgeError
from landbridge.records import Batch

T = TypeVar("T")


class Dropped(Exception):
    """The formatter starts over; what was received of the file is void."""


class Limit:
    """At most this many records of a job; None for all."""

    def __init__(self, records: int | None) -> None:
        self.left = records

    def take(self, batch: Batch) -> Batch:
        """As much of ``batch`` as is still wanted."""
        if self.left is None:
            return batch
        taken = batch.slice(0, self.left)
        self.left -= taken.num_rows
        return taken

    @property
    def reached(self) -> bool:
        """Whether no more records are wanted."""
        return self.left == 0


def chain(
    group: list[Station], items: Iterator[Item], drain: Callable[[Station], None], limit: Limit
) -> Iterator[Item]:
    """The results of a group of fused stations.

    Args:
        group: The stations, each fed by the one before.
        items: What reaches the first.
        drain: Called after each piece of work to pass a station's rejects on.
        limit: Applied by a parser to the records it yields.
    """
    results = items
    for station in group:
        results = _named(station, _work(station, results, drain, limit))
    return results


def _work(station: Station, items: Iterator[Item], drain: Callable[[Station], None], limit: Limit) -> Iterator[Item]:
    component = station.component
    if isinstance(component, Parser):
        return _parse(station, component, _events(items), drain, limit)
    if isinstance(component, Transform):
        return _transform(station, component, _batches(items), drain)
    if isinstance(component, Formatter):
        return _format(station, component, _batches(items), drain)
    if isinstance(component, FileTransform):
        return _transform_files(station, component, _events(items))
    raise TypeError(f"{type(component).__name__} does not work in a thread")


def _named(station: Station, results: Iterator[T]) -> Iterator[T]:
    """The same items; errors without a step get this one."""
    try:
        yield from results
    except LandbridgeError as error:
        error.step = error.step or station.step.id
        raise


def _batches(items: Iterator[Item]) -> Iterator[Batch]:
    for item in items:
        if isinstance(item, Batch):
            yield item
        else:
            raise TypeError(f"expected records, got {type(item).__name__}")


def _events(items: Iterator[Item]) -> Iterator[FileEvent]:
    for item in items:
        if isinstance(item, Batch):
            raise TypeError("expected files, got records")
        yield item


class OneFile:
    """The content of the file that is being received; ``end`` is set when it is complete."""

    def __init__(self, events: Iterator[FileEvent]) -> None:
        self._events = events
        self.end: FileEnd | None = None

    def chunks(self) -> Iterator[bytes]:
        """The pieces of this file."""
        while self.end is None:
            event = next(self._events, None)
            if isinstance(event, bytes):
                yield event
            elif isinstance(event, FileEnd):
                self.end = event
            elif isinstance(event, FileDrop):
                raise Dropped
            else:
                raise DataError("LB-4001", "the stream of a file ended before the file")


def _parse(
    station: Station,
    parser: Parser,
    events: Iterator[FileEvent],
    drain: Callable[[Station], None],
    limit: Limit,
) -> Iterator[Batch]:
    counts = station.counts
    for start in events:
        if not isinstance(start, FileStart):
            raise DataError("LB-4002", "a file that was already read is sent again in another shape")
        counts.files += not start.lines_left_out
        file = OneFile(events)
        for batch in parser.parse(start, _sized(station, file.chunks())):
            taken = limit.take(batch)
            counts.records_in += taken.num_rows
            counts.records_out += taken.num_rows
            drain(station)
            if taken.num_rows:
                yield taken
            if limit.reached:
                raise NotWanted
        for _ in file.chunks():
            pass  # a parser may stop at the end of what it understands
        drain(station)


def _sized(station: Station, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        station.counts.bytes += len(chunk)
        yield chunk


def _transform(
    station: Station, transform: Transform, batches: Iterator[Batch], drain: Callable[[Station], None]
) -> Iterator[Batch]:
    counts = station.counts
    for batch in batches:
        rejected_before = counts.rejected
        result = transform.apply(batch)
        counts.records_in += batch.num_rows
        counts.records_out += result.num_rows
        counts.filtered += max(0, batch.num_rows - result.num_rows - (counts.rejected - rejected_before))
        drain(station)
        if result.num_rows:
            yield result
    last = transform.finish()
    drain(station)
    if last is not None and last.num_rows:
        counts.records_out += last.num_rows
        yield last


def _format(
    station: Station, formatter: Formatter, batches: Iterator[Batch], drain: Callable[[Station], None]
) -> Iterator[FileEvent]:
    counts = station.counts

    def counted() -> Iterator[Batch]:
        for batch in batches:
            counts.records_in += batch.num_rows
            yield _watched(station, batch, drain) if station.watches else batch

    yield from _made(station, formatter.format(counted()))


def _watched(station: Station, batch: Batch, drain: Callable[[Station], None]) -> Batch:
    """What guards let pass of a batch that goes into a file."""
    passed, refused = watched(station, batch)
    for records, errors in refused:
        station.services.reject(records, errors)
    drain(station)
    return passed


def _transform_files(station: Station, transform: FileTransform, events: Iterator[FileEvent]) -> Iterator[FileEvent]:
    for start in events:
        if isinstance(start, FileDrop):
            yield from _made(station, iter((start,)))
            continue
        if not isinstance(start, FileStart):
            raise DataError("LB-4001", "the stream of a file began in its middle")
        file = OneFile(events)
        try:
            last: FileEnd | None = None
            for event in _made(station, transform.transform(start, file.chunks())):
                # How many records a file holds is known to its formatter only.
                if isinstance(event, FileEnd) and event.records is None and last is None:
                    last = FileEnd(file.end.records if file.end else None)
                    station.counts.records_in += last.records or 0
                    station.counts.records_out += last.records or 0
                    yield last
                else:
                    yield event
        except Dropped:
            yield from _made(station, iter((FileDrop(),)))


def _made(station: Station, events: Iterator[FileEvent]) -> Iterator[FileEvent]:
    """The same events, counted as what the step has made."""
    counts = station.counts
    for event in events:
        if isinstance(event, bytes):
            counts.bytes += len(event)
        elif isinstance(event, FileStart):
            counts.files += 1
        elif isinstance(event, FileEnd):
            counts.records_out += event.records or 0
        elif isinstance(event, FileDrop):
            counts.bytes = counts.files = counts.records_out = 0
        yield event
