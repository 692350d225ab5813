"""What a component is: the kinds of step, their ports, and what the engine promises each of them.

A component is a class with a ``Params`` model, registered under its IdentitySync id by ``@component``. Its kind is its
base class:

================  =======================  ==============================================================
kind              ports                    one method to write
================  =======================  ==============================================================
RecordReader      -> records               ``async read()`` yields batches
FileReader        -> files                 ``async files()`` yields open files
Parser            files -> records         ``parse(file, chunks)`` yields batches
Transform         records -> records       ``apply(batch)`` gives a batch
Formatter         records -> files         ``format(batches)`` yields file events
FileTransform     files -> files           ``transform(file, chunks)`` yields file events
FileWriter        files -> files           ``async connect()`` gives a Store
RecordWriter      records -> records       ``async write(batch)`` gives the outcome of each record
Lookup            records -> records       ``async look_up(batch)`` gives the records with what was found
================  =======================  ==============================================================

Methods without ``async`` are CPU work: the engine runs them in a worker thread, several in a row fused into one
thread, so they may block and must not touch the network.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path as FilePath
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, runtime_checkable

from landbridge.components.params import ComponentParams
from landbridge.records import Batch
from landbridge.records.needs import ALL, Needs
from landbridge.remote.publish import Entry, Store

Port = Literal["none", "records", "files"]

CHUNK_BYTES = 1 << 20
"""Readers and formatters hand on file content in pieces of about this size."""


@dataclass(frozen=True, slots=True)
class FileStart:
    """A file begins. ``name`` may hold ``/``: a folder below the writer's target folder."""

    name: str
    modified: datetime | None = None
    size: int | None = None
    lines_left_out: int = 0
    """Lines before its content that another part of the same file holds; the header does not count."""
    records: int | None = None
    """How many records its sender says that it holds, where that is known; the engine compares."""

    def renamed(self, name: str) -> FileStart:
        """The start of what becomes of this file by compression, encryption or their opposites."""
        return FileStart(name, modified=self.modified, records=self.records)


@dataclass(frozen=True, slots=True)
class FileEnd:
    """The file that began last is complete. ``records`` is how many records it holds, where known."""

    records: int | None = None


@dataclass(frozen=True, slots=True)
class FileDrop:
    """Forget all files received so far on this edge, complete or not: they are sent again in another shape.

    A formatter that finds a new column after it has sent the header sends this and starts over; it is safe because
    no file is published before the whole job has been read.
    """


FileEvent: TypeAlias = FileStart | bytes | FileEnd | FileDrop


@dataclass(frozen=True, slots=True)
class RecordError:
    """Why one record failed: the vendor's or our code, and a message without personal data."""

    code: str | int
    message: str


def unknown_outcome() -> RecordError:
    """Why a record is rejected that cannot be written twice and may have been written once."""
    return RecordError("LB-3208", "the process ended while the record was being written; it may have been written")


class StepServices(Protocol):
    """What the engine gives a running step."""

    step_id: str
    job_id: str
    dataflow: str
    started: datetime
    spool_dir: FilePath

    def reject(self, records: Batch, errors: Sequence[RecordError]) -> None:
        """Send failed records to the step's error edge or the reject store, one error per record."""

    def reject_text(self, text: str, *, file: str, line: int | None, code: str, message: str) -> None:
        """Keep a piece of input that could not be read as a record."""

    def leave_out(self, records: int) -> None:
        """Tell that a writer has left so many of its records out on purpose: they are filtered, not delivered."""

    def log(self, level: Literal["debug", "info", "warning", "error"], message: str) -> None:
        """Write a line to the job's trace. Never log a record's content."""

    def progress(self) -> None:
        """Tell the stall detection that the step is alive though nothing moves on its edges."""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file that a reader offers: its start event and its content, read on demand."""

    start: FileStart
    chunks: AsyncGenerator[bytes]


@dataclass(frozen=True, slots=True)
class ComponentSpec:
    """What the registry, lint, docs and the console know of a component without making one."""

    id: str
    title: str
    kind: type[Component]
    extra: str | None = None

    @property
    def doc(self) -> str:
        """The component's docstring, as shown on its reference page."""
        return inspect.cleandoc(self.kind.__doc__ or "")


class Component(ABC):
    """Base of all kinds. ``params`` are validated; ``services`` belong to one run of one step."""

    spec: ClassVar[ComponentSpec]
    Params: ClassVar[type[ComponentParams]] = ComponentParams
    inputs: ClassVar[Port]
    outputs: ClassVar[Port]
    has_error_edge: ClassVar[bool] = True
    reads_text: ClassVar[bool] = False
    """Whether it works on the JSON text of records rather than on their fields."""

    def __init__(self, params: Any, services: StepServices) -> None:
        self.params = params
        self.services = services

    def close(self) -> None:  # noqa: B027 - most components have nothing to let go of
        """Let go of processes, files and the like. Called when the job ends, however it ends; must not raise."""


Split: TypeAlias = dict[str, Any]
"""An independent part of what a reader reads: a small JSON object that only the reader understands."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A place where a file can be cut.

    Attributes:
        offset: Bytes before it.
        lines: Lines before it that are not handed to the parser with what follows.
        header: Text to put before what follows, so that it can be read on its own.
    """

    offset: int
    lines: int
    header: bytes = b""


class LineCuts(Protocol):
    """Looks for places where a file can be cut, while its content passes."""

    def feed(self, chunk: bytes) -> bool:
        """Take the next piece of the file; False when it is known that there are no cuts."""

    def finish(self) -> list[Cut] | None:
        """The cuts, in order; None where the file cannot be cut."""


@runtime_checkable
class CutsLines(Protocol):
    """A parser of files that can be cut between two lines."""

    def line_cuts(self, wanted: Sequence[int]) -> LineCuts | None:
        """What looks for cuts at or right after these offsets; None where the parameters forbid it."""


@runtime_checkable
class Splittable(Protocol):
    """A reader that can divide what it reads."""

    split: Split | None
    """Read only this part; None reads all. Set by the engine before reading."""

    async def splits(self, *, target: int, parser: CutsLines | None) -> list[Split]:
        """About ``target`` parts of what would be read now, in the order in which it would be read.

        Args:
            target: How many are wanted; at least one.
            parser: What reads the files, where it can read parts of one.

        Returns:
            The parts; none where it cannot be divided.
        """


class RecordReader(Component):
    """Entry of a flow that reads records from a remote system."""

    inputs, outputs = "none", "records"
    has_error_edge = False
    since: datetime | None = None
    """Read only what changed at or after this instant, in UTC; None reads all. Set by the engine before ``read``."""
    split: Split | None = None
    """Read only this part; None reads all. Set by the engine before ``read``."""
    needs: Needs = ALL
    """The fields that the steps behind it need, set by the engine before ``read``; others may be left out."""
    as_text: bool = False
    """Whether all steps right behind it read text, so that no columns need to be made; set by the engine."""

    @abstractmethod
    def read(self) -> AsyncGenerator[Batch]:
        """Yield batches of some thousand records until the source is exhausted."""

    def columns(self) -> Sequence[str] | None:
        """The columns of its records, where the parameters fix them; None where they do not."""
        return None


@dataclass(frozen=True, slots=True)
class ChosenFile:
    """A file that a job reads.

    Attributes:
        entry: As the store has listed it.
        records: How many records it must have, where that is known.
    """

    entry: Entry
    records: int | None = None


class FileHistory(Protocol):
    """What earlier jobs have read of a folder, and what this one reads."""

    @property
    def reads_all(self) -> bool:
        """Whether also those files are read that an earlier job has read."""

    def chosen(self) -> Sequence[ChosenFile] | None:
        """The files that this job chose when its work began before, in their order; None at the first time."""

    def new(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Of the files that match, those that no job has read."""

    def choose(self, files: Sequence[ChosenFile], *, seen: Sequence[Entry]) -> None:
        """Remember that this job reads these files, and that these are there."""


class FileReader(Component):
    """Entry of a flow that reads files."""

    inputs, outputs = "none", "files"
    has_error_edge = False
    since: datetime | None = None
    """Read only files that were changed at or after this instant, in UTC; None reads all. Set before ``files``."""
    split: Split | None = None
    """Read only this part of the files; None reads all. Set by the engine before ``files``."""
    history: FileHistory | None = None
    """Tells better than ``since`` which files are new, where there is one. Set before ``files``."""

    @abstractmethod
    def files(self) -> AsyncGenerator[OpenFile]:
        """Yield the matching files in order; the engine reads one to its end before it asks for the next."""


class Parser(Component):
    """Turns a file into records. One instance serves all files of one edge, one after the other."""

    inputs, outputs = "files", "records"
    needs: Needs = ALL
    """The fields that the steps behind it need, set by the engine before ``parse``; others may be left out."""
    as_text: bool = False
    """Whether all steps right behind it read text, so that no columns need to be made; set by the engine."""

    @abstractmethod
    def parse(self, file: FileStart, chunks: Iterator[bytes]) -> Iterator[Batch]:
        """Yield the file's records; what cannot be read as a record goes to ``services.reject_text``."""


class Transform(Component):
    """Changes records, a batch at a time."""

    inputs, outputs = "records", "records"
    makes_records: ClassVar[bool] = False
    """Whether it may give more records than it was given; of others the engine takes that for a fault."""
    as_text: bool = False
    """Whether all steps right behind it read text, so that no columns need to be made; set by the engine."""

    @abstractmethod
    def apply(self, batch: Batch) -> Batch:
        """Give the batch that goes on; failed records go to ``services.reject`` and not into the result."""

    def finish(self) -> Batch | None:
        """Records that are known only when all have been seen; called once, after the last batch."""
        return None

    @property
    def keeps_state(self) -> bool:
        """Whether the result for one record may depend on others, so that one instance must see all in their order."""
        return type(self).finish is not Transform.finish

    def needs(self, after: Needs) -> Needs:
        """The fields that this step and those behind it need, when those behind it need ``after``.

        A step that may reject records needs all: a rejected record is kept as it was.
        """
        del after
        return ALL

    def columns(self, before: Sequence[str] | None) -> Sequence[str] | None:
        """The columns that leave this step when those of ``before`` enter it; None where it cannot be known."""
        del before
        return None


class Formatter(Component):
    """Turns records into files."""

    inputs, outputs = "records", "files"
    has_error_edge = False
    known_columns: Sequence[str] | None = None
    """Columns that the plan knows in advance, set by the engine before ``format``."""

    @abstractmethod
    def format(self, batches: Iterator[Batch]) -> Iterator[FileEvent]:
        """Yield one or more files with all records of ``batches``."""


class FileTransform(Component):
    """Changes files: compression, encryption."""

    inputs, outputs = "files", "files"
    has_error_edge = False

    @abstractmethod
    def transform(self, file: FileStart, chunks: Iterator[bytes]) -> Iterator[FileEvent]:
        """Yield what becomes of one file: one or more whole files, each from FileStart to FileEnd."""


class FileWriter(Component):
    """Delivers files to a store. The engine stages every file and publishes all of them when the job has read all."""

    inputs, outputs = "files", "files"
    has_error_edge = False

    @abstractmethod
    def connect(self) -> AbstractAsyncContextManager[Store]:
        """Open the store for the length of the job."""


class RecordWriter(Component):
    """Delivers records to a remote system."""

    inputs, outputs = "records", "records"
    unit_records: int = 1000
    """How many records one ``write`` is given at most in a job that looks before it writes; a kill repeats so many."""
    units_in_flight: int = 1
    """How many ``write`` calls may run at a time in such a job; for a writer to which their order means nothing."""
    idempotent: bool = False
    """Whether writing the same records twice has the effect of writing them once."""
    deletes: bool = False
    """Whether every record that it writes deletes something at the other side."""

    def opened(self) -> AbstractAsyncContextManager[object]:
        """Hold the connection open; the engine enters it before the first batch and leaves it after the last."""
        return nullcontext()

    @abstractmethod
    async def write(self, batch: Batch) -> Batch:
        """Deliver ``batch`` and give the records that succeeded; failed ones go to ``services.reject``."""

    async def repeat(self, batch: Batch) -> Batch:
        """Deliver records that may or may not have been delivered before the job's process ended.

        A writer that is not ``idempotent`` rejects them: a record whose fate is unknown is told, never written twice.
        """
        if self.idempotent:
            return await self.write(batch)
        self.services.reject(batch, [unknown_outcome()] * batch.num_rows)
        return batch.slice(0, 0)


class Verdict(StrEnum):
    """What a write would do with one record, as its target tells without being changed."""

    CREATE = "create"
    UPDATE = "update"
    UNCHANGED = "unchanged"
    INVALID = "invalid"
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True, slots=True)
class Forecast:
    """What would become of one record.

    Attributes:
        verdict: What would happen.
        opts_out: It would withdraw a consent that the target has.
        deactivates: It would deactivate an account that is active.
        deletes: It would delete something that is there.
        before: What the target has, in the fields of records; None where there is nothing, or it does not tell.
    """

    verdict: Verdict
    opts_out: bool = False
    deactivates: bool = False
    deletes: bool = False
    before: Mapping[str, Any] | None = None


@runtime_checkable
class Forecasts(Protocol):
    """A record writer whose target can be asked what a write would do. Used in a dry run, within ``opened``."""

    async def forecast(self, batch: Batch) -> list[Forecast]:
        """What would become of each record; nothing is changed."""


class Lookup(Component):
    """Adds to records what a remote system knows of them. It only reads there, so it also works in a dry run."""

    inputs, outputs = "records", "records"

    def opened(self) -> AbstractAsyncContextManager[object]:
        """Hold the connection open; the engine enters it before the first batch and leaves it after the last."""
        return nullcontext()

    @abstractmethod
    async def look_up(self, batch: Batch) -> Batch:
        """Give the records that go on; failed ones go to ``services.reject``."""
