"""Delivery of files: staged under temporary names while the job reads, published together when it has read all.

With a journal the intents are on disk before the first file gets its name, and each one is marked when it is done: a
process that takes the job over finishes exactly what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import time
from typing import BinaryIO, Final, TypeAlias

import anyio
import anyio.lowlevel
import anyio.to_thread

from landbridge.components.base import FileDrop, FileEnd, FileStart, FileWriter
from landbridge.dataflow.plan import PlanStep
from landbridge.engine.channel import Ended, Item
from landbridge.engine.counts import Activity, DeliveredFile, StepCounts
from landbridge.engine.failures import explained
from landbridge.engine.journal import Intent, Intents, Journal
from landbridge.engine.patience import see_through
from landbridge.engine.stations import Station
from landbridge.engine.work import broken
from landbridge.errors import DataError, LandbridgeError, StorageError
from landbridge.records import Batch
from landbridge.remote.publish import ABANDONED_AFTER, Store, Upload

Content: TypeAlias = bytes

GRACE_S: Final = 20.0
"""A file that is being published when the job is stopped has this long to get its name."""

_CHUNK_BYTES: Final = 1 << 20


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
    copy: Path | None = None
    _copying: BinaryIO | None = None

    async def publish(self) -> DeliveredFile:
        """Give the file its final name."""
        if self.upload is not None:
            await self.upload.publish()
        self.published = True
        return DeliveredFile(name=self.name, bytes=self.bytes, records=self.records)

    async def discard(self) -> None:
        """Remove what was staged, unless it is published."""
        if self._copying is not None:
            self._copying.close()
            self._copying = None
        if self.upload is not None and not self.published:
            await self.upload.discard()

    def keep_copy(self, path: Path) -> None:
        """Keep the content on this machine, too: nobody else could publish the upload."""
        self.copy = path
        self._copying = path.open("wb")

    async def append(self, chunk: Content) -> None:
        """Add content."""
        if self.upload:
            await self.upload.write(chunk)
        if self._copying:
            await anyio.to_thread.run_sync(self._copying.write, chunk)
        self.bytes += len(chunk)

    async def finish(self, records: int | None) -> None:
        """All content has come."""
        if self.upload:
            await self.upload.finish()
        if self._copying:
            self._copying.close()
            self._copying = None
        self.records = records

    def as_intent(self) -> Intent:
        """As the journal keeps it."""
        temporary = self.upload.temporary if self.upload else None
        copy = self.copy.name if self.copy else None
        return Intent(self.station.step.id, self.name, self.bytes, self.records, temporary, copy)


class Lane:
    """One stream of files into one writer.

    Args:
        station: The writer's station for this stream.
        store: Where files go; None in a dry run.
        names: Of all files that go to the same place so far, shared by its lanes.
        journal: Told of what is begun; None in a job that is not resumed.
    """

    def __init__(
        self, station: Station, store: Store | None, *, names: set[str], journal: Journal | None = None
    ) -> None:
        self._station = station
        self._store = store
        self._names = names
        self._journal = journal
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
        if start.name in self._names:
            raise DataError(
                "LB-4003",
                f'two files of the job have the name "{start.name}"; one would replace the other',
                hint="Give each formatter a file name of its own, or read the archives that hold files of the same "
                "name in separate jobs. Nothing was published.",
            )
        self._names.add(start.name)
        upload = await self._created(start.name)
        self._current = Staged(name=start.name, order=self._station.order, station=self._station, upload=upload)
        self.staged.append(self._current)
        if self._journal and upload and upload.temporary is None:
            self._current.keep_copy(self._journal.new_copy())

    async def _created(self, name: str) -> Upload | None:
        journal = self._journal
        if self._store is None:
            return None
        if journal is None:
            return await self._store.create(name)

        async def announce(temporary: str) -> None:
            await anyio.to_thread.run_sync(journal.keep_upload, self._station.step.id, name, temporary)

        return await self._store.create(name, announce=announce)

    async def _append(self, chunk: bytes) -> None:
        await self._open().append(chunk)
        self._station.counts.bytes += len(chunk)

    async def _finish(self, end: FileEnd) -> None:
        await self._open().finish(end.records)
        counts = self._station.counts
        counts.files += 1
        counts.records_in += end.records or 0
        self._current = None

    def _open(self) -> Staged:
        if self._current is None:
            raise broken("the stream of a file began in its middle")
        return self._current

    async def discard(self) -> None:
        """Remove all that was staged from this stream."""
        counts = self._station.counts
        for staged in self.staged:
            await staged.discard()
            self._names.discard(staged.name)
            counts.bytes -= staged.bytes
            if staged is not self._current:
                counts.files -= 1
                counts.records_in -= staged.records or 0
        self.staged, self._current = [], None

    def complete(self) -> None:
        """Check that the stream did not end in the middle of a file."""
        if self._current is not None:
            raise broken(f'the stream of "{self._current.name}" ended before the file')


def connection_of(station: Station) -> FileWriter:
    """The station's component as a file writer."""
    if not isinstance(station.component, FileWriter):
        raise TypeError(f"{type(station.component).__name__} is not a file writer")
    return station.component


def place_of(step: PlanStep) -> str:
    """Where a step writes; two steps with the same parameters write to the same place."""
    return json.dumps([step.component, step.params], sort_keys=True, default=str)


async def remove_leftovers(store: Store, step: str, journal: Journal) -> None:
    """Remove what an earlier process of the same job has staged in a store and could not publish."""
    for owner, name, temporary in await anyio.to_thread.run_sync(journal.uploads):
        if owner == step:
            with suppress(LandbridgeError):  # where it cannot be removed now, `clean` does it a day later
                upload = await store.take_up(name, temporary)
                if upload is not None:
                    await upload.discard()


async def publish_all(
    staged: list[Staged],
    *,
    journal: Journal | None,
    counts: Callable[[], dict[str, dict[str, int]]],
    tallies: Callable[[], dict[str, dict[str, int]]],
    delivered: list[DeliveredFile],
    unsure: list[str],
) -> None:
    """Give all staged files their names, in their order.

    Args:
        staged: The files, complete.
        journal: Keeps the intents and what is done.
        counts: The counts of the job so far, for the journal.
        tallies: What its writers did, for the journal.
        delivered: Gets each file when it has its name.
        unsure: Gets the name of a file of which nobody knows whether it has its name: the job was stopped, and the
            store did not answer in ``GRACE_S``.
    """
    ordered = sorted(staged, key=lambda file: file.order)
    if journal and ordered:
        intents = Intents(time(), [file.as_intent() for file in ordered], counts(), tallies())
        await anyio.to_thread.run_sync(journal.intend, intents)
    for number, file in enumerate(ordered):
        await anyio.lowlevel.checkpoint()  # here a job may be stopped, and not while a file gets its name
        with explained(file.station.step.id):
            finished = await see_through(
                partial(_publish_staged, number, file, journal=journal, delivered=delivered), grace_s=GRACE_S
            )
            if not finished:
                unsure.append(file.name)
                return


async def _publish_staged(
    number: int, file: Staged, *, journal: Journal | None, delivered: list[DeliveredFile]
) -> None:
    counts = file.station.counts
    counts.now(Activity.WORKING)
    before = counts.rejected + counts.filtered
    done = await file.publish()
    # A receiver that reads the file at once (an import) may refuse some of its records, or leave some out.
    not_taken = counts.rejected + counts.filtered - before
    if done.records is not None:
        taken = max(0, done.records - not_taken)
        done = replace(done, records=taken)
        counts.records_out += taken
    delivered.append(done)
    if journal:
        await anyio.to_thread.run_sync(journal.mark_published, number)
    counts.now(Activity.WAITING)


async def publish_rest(
    intents: Intents,
    *,
    writers: dict[str, FileWriter],
    journal: Journal,
    delivered: list[DeliveredFile],
    unsure: list[str],
) -> None:
    """Publish what an earlier process of the job has staged and not yet published.

    Args:
        intents: The files.
        writers: Components of the steps that deliver them.
        journal: Keeps what is done.
        delivered: Gets every file of the job, also those that the earlier process has published.
        unsure: As for ``publish_all``.

    Raises:
        StorageError: LB-7008, a file is neither under its temporary nor under its final name.
        LandbridgeError: What a store raises.
    """
    done = journal.published()
    async with AsyncExitStack() as stack:
        stores: dict[str, Store] = {}
        for number, intent in enumerate(intents.files):
            with explained(intent.step):
                if number not in done:
                    if intent.step not in stores:
                        stores[intent.step] = await stack.enter_async_context(writers[intent.step].connect())
                    await anyio.lowlevel.checkpoint()
                    finish = partial(_finish, number, intent, stores[intent.step], journal, at=intents.at)
                    if not await see_through(finish, grace_s=GRACE_S):
                        unsure.append(intent.name)
                        return
                delivered.append(DeliveredFile(name=intent.name, bytes=intent.size, records=intent.records))


def count_rest(intents: Intents, steps: Mapping[str, StepCounts], *, not_taken_before: Mapping[str, int]) -> None:
    """Count the records of all files of the job as delivered, but for those that a receiver has not taken meanwhile."""
    for intent in intents.files:
        steps[intent.step].records_out += intent.records or 0
    for step, before in not_taken_before.items():
        counts = steps[step]
        counts.records_out = max(0, counts.records_out - (counts.rejected + counts.filtered - before))


async def _finish(number: int, intent: Intent, store: Store, journal: Journal, *, at: float) -> None:
    await _publish_one(store, intent, journal, at=at)
    await anyio.to_thread.run_sync(journal.mark_published, number)


async def _publish_one(store: Store, intent: Intent, journal: Journal, *, at: float) -> None:
    if intent.temporary is not None:
        upload = await store.take_up(intent.name, intent.temporary)
        if upload is not None:
            size = await store.stored_size(intent.temporary)
            if size != intent.size:
                raise _lost(intent, f"its upload holds {size} instead of {intent.size} bytes")
            await upload.publish()
            return
        # Within a day nobody but the earlier process can have taken the upload away, and it did so by publishing it.
        is_old = time() - at > ABANDONED_AFTER.total_seconds()
        if is_old or await store.stored_size(intent.name) != intent.size:
            raise _lost(intent, "it is neither under its temporary nor under its final name")
        return
    # In doubt the same content is sent once more: an object of this size may be yesterday's.
    if any(
        entry.name == intent.name and entry.size == intent.size and entry.modified.timestamp() >= at
        for entry in await store.list()
    ):
        return
    upload = await store.create(intent.name)
    try:
        await _send(journal.copy(intent.copy or ""), upload)
        await upload.publish()
    except BaseException:
        with anyio.CancelScope(shield=True), suppress(LandbridgeError):
            await upload.discard()
        raise


async def _send(copy: Path, upload: Upload) -> None:
    async with await anyio.open_file(copy, "rb") as file:
        while chunk := await file.read(_CHUNK_BYTES):
            await upload.write(chunk)
    await upload.finish()


def _lost(intent: Intent, reason: str) -> StorageError:
    return StorageError(
        "LB-7008",
        f'"{intent.name}" cannot be published after the job was interrupted: {reason}',
        hint="Look into the target folder. If the receiver has fetched the file, remove the job's journal; otherwise "
        "remove it and run the dataflow again.",
        step=intent.step,
    )
