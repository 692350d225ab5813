"""What the worker and the process of a job tell each other, as msgpack over a socket pair."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """The first message to the process: what to do. It holds secrets.

    Attributes:
        flow: The dataflow as JSON text, its connections put in.
        connection_secrets: The secrets of these connections; see ``dataflow.connections``.
        started: The one instant of the job, the same whenever its work is begun again.
        journal: The folder of its journal.
        seen_files: What earlier jobs have read of files; see ``delta_files.FileMemory``.
        chosen_files: Where the choice of files is kept for the length of the job.
        options: ``JobOptions`` as JSON.
        data: The data folder.
        database: URL of the database; None where it is in the data folder.
        last_good: What each writer did in the last good run, by step; None where there was none.
        placeholders: Values for ``{{name}}``.
        split: Work on this split of the job's input only; None for the job itself.
    """

    job_id: str
    flow: str
    kind: str
    started: datetime
    journal: str
    seen_files: dict[str, Any]
    chosen_files: str
    options: dict[str, Any]
    stall_timeout_s: float
    last_good: dict[str, dict[str, int]] | None = None
    data: str = ""
    database: str | None = None
    connection_secrets: dict[str, str] = {}
    placeholders: dict[str, str] = {}
    split: int | None = None


class Alive(msgspec.Struct, frozen=True, tag="alive"):
    """The worker owns the job until ``until``, on the machine's monotonic clock; None: for as long as it lives."""

    until: float | None


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """End the job; ``reason`` completes "the job was stopped: "."""

    reason: str


ToJob: TypeAlias = Begin | Alive | Stop


class Step(msgspec.Struct, frozen=True):
    """A step of the plan, with its counts so far."""

    id: str
    component: str
    activity: str
    records_in: int
    records_out: int
    rejected: int
    filtered: int
    bytes: int
    files: int
    started: datetime | None = None
    ended: datetime | None = None


class Edge(msgspec.Struct, frozen=True):
    """An edge of the plan, with its counts so far."""

    source: str
    target: str
    kind: Literal["next", "error"]
    records: int
    bytes: int


class Counts(msgspec.Struct, frozen=True, tag="counts"):
    """Where the job stands; ``entry`` reads its input."""

    entry: str
    steps: list[Step]
    edges: list[Edge]


class Line(msgspec.Struct, frozen=True, tag="line"):
    """A line of the trace; ``sample`` holds up to three records as JSON text."""

    at: datetime
    level: Literal["debug", "info", "warning", "error"]
    step: str | None
    message: str
    sample: str | None = None


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The last message: the job ended, well or not. ``report`` is that of the engine as JSON."""

    report: dict[str, Any]


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The last message: the job could not begin."""

    code: str
    message: str
    hint: str
    step: str | None


class Crashed(msgspec.Struct, frozen=True, tag="crashed"):
    """A fault of ours ends the process, which says nothing more; ``traceback`` is for the log of the service."""

    traceback: str


FromJob: TypeAlias = Counts | Line | Done | Refused | Crashed

_ENCODER = msgspec.msgpack.Encoder()
_TO_JOB: msgspec.msgpack.Decoder[ToJob] = msgspec.msgpack.Decoder(ToJob)
_FROM_JOB: msgspec.msgpack.Decoder[FromJob] = msgspec.msgpack.Decoder(FromJob)


def encode(message: ToJob | FromJob) -> bytes:
    """A message as bytes."""
    return _ENCODER.encode(message)


def to_job(data: bytes) -> ToJob:
    """A message to the process of a job."""
    return _TO_JOB.decode(data)


def from_job(data: bytes) -> FromJob:
    """A message from the process of a job."""
    return _FROM_JOB.decode(data)
