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
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path as FilePath
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

from landbridge.components.params import ComponentParams
from landbridge.records import Batch
from landbridge.records.needs import ALL, Needs
from landbridge.remote.publish import Store

Port = Literal["none", "records", "files"]

CHUNK_BYTES = 1 << 20
"""Readers and formatters hand on file content in pieces of about this size."""


@dataclass(frozen=True, slots=True)
class FileStart:
    """A file begins. ``name`` may hold ``/``: a folder below the writer's target folder."""

    name: str
    modified: datetime | None = None
    size: int | None = None


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

    def __init__(self, params: Any, services: StepServices) -> None:
        self.params = params
        self.services = services


class RecordReader(Component):
    """Entry of a flow that reads records from a remote system."""

    inputs, outputs = "none", "records"
    has_error_edge = False
    since: datetime | None = None
    """Read only what changed at or after this instant, in UTC; None reads all. Set by the engine before ``read``."""

    @abstractmethod
    def read(self) -> AsyncGenerator[Batch]:
        """Yield batches of some thousand records until the source is exhausted."""

    def columns(self) -> Sequence[str] | None:
        """The columns of its records, where the parameters fix them; None where they do not."""
        return None


class FileReader(Component):
    """Entry of a flow that reads files."""

    inputs, outputs = "none", "files"
    has_error_edge = False

    @abstractmethod
    def files(self) -> AsyncGenerator[OpenFile]:
        """Yield the matching files in order; the engine reads one to its end before it asks for the next."""


class Parser(Component):
    """Turns a file into records. One instance serves all files of one edge, one after the other."""

    inputs, outputs = "files", "records"
    needs: Needs = ALL
    """The fields that the steps behind it need, set by the engine before ``parse``; others may be left out."""

    @abstractmethod
    def parse(self, file: FileStart, chunks: Iterator[bytes]) -> Iterator[Batch]:
        """Yield the file's records; what cannot be read as a record goes to ``services.reject_text``."""


class Transform(Component):
    """Changes records, a batch at a time."""

    inputs, outputs = "records", "records"

    @abstractmethod
    def apply(self, batch: Batch) -> Batch:
        """Give the batch that goes on; failed records go to ``services.reject`` and not into the result."""

    def finish(self) -> Batch | None:
        """Records that are known only when all have been seen; called once, after the last batch."""
        return None

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

    def opened(self) -> AbstractAsyncContextManager[object]:
        """Hold the connection open; the engine enters it before the first batch and leaves it after the last."""
        return nullcontext()

    @abstractmethod
    async def write(self, batch: Batch) -> Batch:
        """Deliver ``batch`` and give the records that succeeded; failed ones go to ``services.reject``."""


class Lookup(Component):
    """Adds to records what a remote system knows of them. It only reads there, so it also works in a dry run."""

    inputs, outputs = "records", "records"

    def opened(self) -> AbstractAsyncContextManager[object]:
        """Hold the connection open; the engine enters it before the first batch and leaves it after the last."""
        return nullcontext()

    @abstractmethod
    async def look_up(self, batch: Batch) -> Batch:
        """Give the records that go on; failed ones go to ``services.reject``."""
