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


def broken(message: str) -> DataError:
    """A component does not send whole files (LB-4001)."""
    return DataError("LB-4001", message, hint="Please report this with the dataflow.")


class Dropped(Exception):
    """The formatter starts over; what was received of the file is void."""


class Limit:
    """At most this many records of one stream; None for all."""

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
    group: list[Station], items: Iterator[Item], drain: Callable[[Station], None], limit: int | None
) -> Iterator[Item]:
    """The results of a group of fused stations.

    Args:
        group: The stations, each fed by the one before.
        items: What reaches the first.
        drain: Called after each piece of work to pass a station's rejects on.
        limit: How many records each parser gives at most; None for all.
    """
    results = items
    for station in group:
        results = _named(station, _work(station, results, drain, limit))
    return results


def _work(
    station: Station, items: Iterator[Item], drain: Callable[[Station], None], limit: int | None
) -> Iterator[Item]:
    component = station.component
    if isinstance(component, Parser):
        return _parse(station, component, _events(items), drain, Limit(limit))
    if isinstance(component, Transform):
        return _transform(station, component, _batches(items), drain)
    if isinstance(component, Formatter):
        return _format(station, component, _batches(items), drain)
    if isinstance(component, FileTransform):
        return _transform_files(station, component, _events(items), drain)
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
                raise broken("the stream of a file ended before the file")


def _parse(
    station: Station,
    parser: Parser,
    events: Iterator[FileEvent],
    drain: Callable[[Station], None],
    limit: Limit,
) -> Iterator[Batch]:
    for start in events:
        if not isinstance(start, FileStart):
            raise _read_already()
        station.counts.files += not start.lines_left_out
        file = OneFile(events)
        before = _told(station)
        try:
            yield from _parsed(station, parser, start, file, drain, limit)
            for _ in file.chunks():
                pass  # a parser may stop at the end of what it understands
        except Dropped:
            raise _read_already() from None
        drain(station)
        _check_number(start, _told(station) - before)


def _parsed(
    station: Station, parser: Parser, start: FileStart, file: OneFile, drain: Callable[[Station], None], limit: Limit
) -> Iterator[Batch]:
    counts = station.counts
    for batch in parser.parse(start, _sized(station, file.chunks())):
        taken = limit.take(batch)
        counts.records_in += taken.num_rows
        counts.records_out += taken.num_rows
        drain(station)
        if taken.num_rows:
            yield taken
        if limit.reached:
            raise NotWanted


def _told(station: Station) -> int:
    """Records that a parser has found so far, those that it could not read included."""
    return station.counts.records_in + station.counts.rejected


def _check_number(start: FileStart, found: int) -> None:
    if start.records is not None and start.records != found:
        raise DataError(
            "LB-4307",
            f'"{start.name}" holds {found:,} records, but the file beside it tells of {start.records:,}',
            hint="It was cut off, or it is still being written. Ask for the file again. Until then move it and the "
            "file beside it out of the folder: every run ends here as long as they are there.",
        )


def _read_already() -> DataError:
    return DataError(
        "LB-4002",
        "a file that was already read as records is sent again in another shape",
        hint="Name the columns of the formatter before this step, so that it need not start over.",
    )


def _sized(station: Station, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        station.counts.bytes += len(chunk)
        yield chunk


def _transform(
    station: Station, transform: Transform, batches: Iterator[Batch], drain: Callable[[Station], None]
) -> Iterator[Batch]:
    counts = station.counts
    for batch in batches:
        result = transform.apply(batch)
        counts.records_in += batch.num_rows
        counts.records_out += result.num_rows
        left_out = counts.records_in - counts.records_out - counts.rejected
        if left_out < 0 and not transform.makes_records:
            raise LandbridgeError(
                "LB-6007",
                f"the step was given {counts.records_in:,} records; it gave {counts.records_out:,} and rejected "
                f"{counts.rejected:,}",
                hint="Please report this with the dataflow.",
            )
        counts.filtered = max(0, left_out)
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

    made = Made(station)
    for event in formatter.format(counted()):
        made.count(event)
        drain(station)
        yield event
    drain(station)


def _watched(station: Station, batch: Batch, drain: Callable[[Station], None]) -> Batch:
    """What guards let pass of a batch that goes into a file."""
    passed, refused = watched(station, batch)
    for records, errors in refused:
        station.services.reject(records, errors)
    drain(station)
    return passed


def _transform_files(
    station: Station, transform: FileTransform, events: Iterator[FileEvent], drain: Callable[[Station], None]
) -> Iterator[FileEvent]:
    made = Made(station)
    for start in events:
        if isinstance(start, FileDrop):
            made.count(start)
            yield start
            continue
        if not isinstance(start, FileStart):
            raise broken("the stream of a file began in its middle")
        file = OneFile(events)
        try:
            for event in _renewed(transform, start, file):
                made.count(event)
                drain(station)
                yield event
            for _ in file.chunks():
                pass  # it may stop at the end of what it understands
        except Dropped:
            drop = FileDrop()
            made.count(drop)
            yield drop
        else:
            made.take(file.end)
        drain(station)


def _renewed(transform: FileTransform, start: FileStart, file: OneFile) -> Iterator[FileEvent]:
    """What becomes of a file; how many records it holds is known to its formatter only."""
    is_told = False
    for event in transform.transform(start, file.chunks()):
        if isinstance(event, FileEnd) and event.records is None and not is_told:
            is_told = True
            yield FileEnd(file.end.records if file.end else None)
        else:
            yield event


class Made:
    """Counts the files that one station makes, and takes them back when they are dropped.

    Stations of several streams share the counts of their step, so each takes back its own only.
    """

    def __init__(self, station: Station) -> None:
        self._station = station
        self._forget()

    def count(self, event: FileEvent) -> None:
        """Count what the station sends."""
        counts = self._station.counts
        if isinstance(event, bytes):
            self._bytes += len(event)
            counts.bytes += len(event)
        elif isinstance(event, FileStart):
            self._files += 1
            counts.files += 1
        elif isinstance(event, FileEnd):
            self._records_out += event.records or 0
            counts.records_out += event.records or 0
            self._station.is_told = self._station.is_told and event.records is not None
        else:
            counts.bytes -= self._bytes
            counts.files -= self._files
            counts.records_out -= self._records_out
            counts.records_in -= self._records_in
            self._station.is_told = True
            self._forget()

    def take(self, end: FileEnd | None) -> None:
        """Count the records of a file that the station was sent, where they are known."""
        if end is None or end.records is None:
            self._station.is_told = False
            return
        self._records_in += end.records
        self._station.counts.records_in += end.records

    def _forget(self) -> None:
        self._bytes = self._files = self._records_in = self._records_out = 0
