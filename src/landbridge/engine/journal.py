"""The journal of a job that survives its process: what was gathered, written and published, in a folder.

======================  ==============================================================================================
file                    holds
======================  ==============================================================================================
``job.json``            the job's id and start
``plan.json``           which steps the job has, so that a journal is never used for another dataflow
``writer-N/``           one record writer: all that it has to write, and the outcome of every unit written
``uploads``             temporary names of files under way
``intents.json``        the files to publish, written when everything else is done; ``published`` marks each one
``copies/``             content of files for stores that cannot keep an upload for another process
``splits/``             results of finished splits of the input
``result.json``         the report, when the job has ended well; everything else is removed then
======================  ==============================================================================================

The folder belongs to one process at a time. It holds records, that is personal data, and is readable by its owner only.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from landbridge.components.base import RecordError
from landbridge.dataflow.plan import Plan
from landbridge.engine import failures
from landbridge.engine.frames import Frames
from landbridge.engine.segment import flush_folder
from landbridge.errors import StorageError

IN_USE: Final = "LB-7005"
"""The code of the error that another process works on the job."""

_RESULT: Final = "result.json"
_INTENTS: Final = "intents.json"


class Rejected(msgspec.Struct, frozen=True, array_like=True):
    """Records of a unit that failed: a small segment, and a code and message for each."""

    records: bytes
    errors: list[tuple[str | int, str]]


class Outcome(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """What became of one unit.

    Attributes:
        unit: Its number; -1 for records that were refused before they came into a unit.
        rows: How many of its records succeeded.
        records: Those that go on, as a small segment; None where none go on, or where the unit goes on as it is.
        same: The unit goes on as it is.
        rejected: Those that failed.
        left_out: How many of the records that succeeded were left out on purpose.
    """

    unit: int
    rows: int
    records: bytes | None
    same: bool
    rejected: list[Rejected]
    left_out: int = 0


class Started(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """A unit is being written; unless its outcome follows nobody knows whether it was."""

    unit: int


_ENTRY: Final = msgspec.msgpack.Decoder(Outcome | Started)
_ENTRY_ENCODER: Final = msgspec.msgpack.Encoder()


class Gathered(msgspec.Struct, frozen=True):
    """All input of a record writer is on disk.

    Attributes:
        rows: Number of records.
        unit_records: Size of a unit, fixed for the life of the journal.
        tally: What guards counted; see ``guards.Tally``.
        counts: Counts of the steps before it, which are not run again for its sake.
    """

    rows: int
    unit_records: int
    tally: dict[str, int] = {}
    counts: dict[str, dict[str, int]] = {}


class Intent(msgspec.Struct, frozen=True):
    """A file that is to be published.

    Attributes:
        step: Id of its writer.
        name: Its final name.
        size: In bytes.
        records: How many it holds, where known.
        temporary: The name under which the store keeps it; None where the store cannot.
        copy: Name of its copy in the journal, where the store cannot keep it.
    """

    step: str
    name: str
    size: int
    records: int | None
    temporary: str | None
    copy: str | None


class Intents(msgspec.Struct, frozen=True):
    """All files to publish, in order, and the counts of the job so far. ``at`` is in seconds since 1970."""

    at: float
    files: list[Intent]
    counts: dict[str, dict[str, int]]
    tallies: dict[str, dict[str, int]] = {}


@dataclass(slots=True)
class WriterJournal:
    """One record writer's part of a journal."""

    folder: Path
    gathered: Gathered | None = None
    _entries: Frames | None = None
    _outcomes: dict[int, int] = field(default_factory=dict)
    _started: set[int] = field(default_factory=set)

    @property
    def records(self) -> Path:
        """The segment with all that the writer has to write."""
        return self.folder / "records.arrow"

    @property
    def is_gathered(self) -> bool:
        """Whether the segment is complete."""
        return self.gathered is not None

    @property
    def has_begun(self) -> bool:
        """Whether a unit was begun, so that guards have let the writer pass."""
        return bool(self._started)

    def open(self) -> Self:
        """Read what an earlier process has left, and drop what it did not finish."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.gathered = _read(self.folder / "gathered.json", Gathered)
        self._entries = Frames(self.folder / "outcomes")
        if self.gathered is None:
            self._entries.clear()
        for number, value in enumerate(self._entries):
            entry = _ENTRY.decode(value)
            if isinstance(entry, Outcome):
                self._outcomes[entry.unit] = number
            else:
                self._started.add(entry.unit)
        return self

    def close(self) -> None:
        """Let go of the files."""
        if self._entries is not None:
            self._entries.close()

    def finish_gathering(self, gathered: Gathered, refused: list[Rejected]) -> None:
        """The segment is complete; ``refused`` are records that did not come into it."""
        if refused:
            self.keep(Outcome(-1, 0, None, same=False, rejected=refused))
        write_whole(self.folder / "gathered.json", msgspec.json.encode(gathered))
        self.gathered = gathered

    def outcome(self, unit: int) -> Outcome | None:
        """What became of a unit, where it is known."""
        number = self._outcomes.get(unit)
        if number is None:
            return None
        entry = _ENTRY.decode(self._log[number])
        return entry if isinstance(entry, Outcome) else None

    def was_started(self, unit: int) -> bool:
        """Whether an earlier process may have written some of a unit whose outcome is not known."""
        return unit in self._started and unit not in self._outcomes

    def start(self, unit: int) -> None:
        """A unit is about to be written."""
        if unit not in self._started:
            self._log.append(_ENTRY_ENCODER.encode(Started(unit)))
            self._started.add(unit)

    def keep(self, outcome: Outcome) -> None:
        """What became of a unit; on disk when this returns."""
        self._outcomes[outcome.unit] = self._log.append(_ENTRY_ENCODER.encode(outcome))

    @property
    def _log(self) -> Frames:
        if self._entries is None:
            raise ValueError("the journal is not open")
        return self._entries


class Journal:
    """The journal of one job.

    Args:
        folder: Made when it is missing; readable by its owner only.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = -1
        self._writers: dict[str, WriterJournal] = {}
        self._uploads: Frames | None = None
        self._published: Frames | None = None
        self._copies = 0

    def identity(self, job: str, started: datetime) -> tuple[str, datetime]:
        """The id and the start of the job whose journal this is; those given where it is a new one.

        A job that is begun again means the same instant by ``now`` and makes files of the same names.

        Raises:
            StorageError: LB-7002, the folder cannot be used.
        """
        path = self.folder / "job.json"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found: tuple[str, datetime] | None = _read(path, tuple[str, datetime])
            if found is None:
                found = (job, started)
                write_whole(path, msgspec.json.encode(found))
        except OSError as error:
            raise failures.storage_error(error, None) from None
        return found

    def open(self, plan: Plan) -> None:
        """Take the folder for this process and read what an earlier one has left.

        Raises:
            StorageError: LB-7005, another process works on the job; LB-7006, the journal is of another dataflow;
                LB-7002, the folder cannot be used.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            self._lock = -1
            raise StorageError(
                IN_USE,
                f'another process works on the job whose journal is "{self.folder}"',
                hint="Wait until it has ended, or use another folder.",
            ) from None
        own = _shape(plan)
        found = _read(self.folder / "plan.json", dict[str, str])
        if found is not None and found.get("steps") != own:
            self.close()
            raise StorageError(
                "LB-7006",
                f'the journal "{self.folder}" is of a dataflow with other steps',
                hint="Run the dataflow that it was begun with, or remove the folder to give the old job up.",
            )
        if found is None:
            write_whole(self.folder / "plan.json", msgspec.json.encode({"steps": own}))
        self._uploads = Frames(self.folder / "uploads")
        self._published = Frames(self.folder / "published")

    def close(self) -> None:
        """Let go of the folder."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
        for frames in (self._uploads, self._published):
            if frames is not None:
                frames.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # -- records ---------------------------------------------------------------------------------------------------

    def writer(self, step: str, *, number: int) -> WriterJournal:
        """The part of the record writer ``step``, which is number ``number`` of the plan's steps."""
        if step not in self._writers:
            self._writers[step] = WriterJournal(self.folder / f"writer-{number}").open()
        return self._writers[step]

    def has_begun(self, step: str) -> bool:
        """Whether a record writer, whose part was asked for, has begun to write."""
        return step in self._writers and self._writers[step].has_begun

    # -- files -----------------------------------------------------------------------------------------------------

    @property
    def intents(self) -> Intents | None:
        """The files to publish, when that point was reached."""
        found: Intents | None = _read(self.folder / _INTENTS, Intents)
        return found

    def intend(self, intents: Intents) -> None:
        """From now on the files must be published, whatever happens to this process."""
        write_whole(self.folder / _INTENTS, msgspec.json.encode(intents))

    def published(self) -> set[int]:
        """The numbers of the intents that are known to be done."""
        return {int(value) for value in self._published or ()}

    def mark_published(self, number: int) -> None:
        """An intent is done."""
        if self._published is not None:
            self._published.append(str(number).encode())

    def uploads(self) -> list[tuple[str, str, str]]:
        """Step, name and temporary name of every file that was begun."""
        return [msgspec.json.decode(value, type=tuple[str, str, str]) for value in self._uploads or ()]

    def keep_upload(self, step: str, name: str, temporary: str) -> None:
        """A file was begun under a temporary name."""
        if self._uploads is not None:
            self._uploads.append(msgspec.json.encode((step, name, temporary)))

    def forget_copies(self) -> None:
        """Remove the copies of files that an earlier process has begun."""
        shutil.rmtree(self.folder / "copies", ignore_errors=True)

    def new_copy(self) -> Path:
        """Where the content of another file is kept for a store that cannot keep it."""
        folder = self.folder / "copies"
        folder.mkdir(mode=0o700, exist_ok=True)
        self._copies += 1
        return folder / str(self._copies)

    def copy(self, name: str) -> Path:
        """The copy with this name."""
        return self.folder / "copies" / name

    # -- the end ---------------------------------------------------------------------------------------------------

    @property
    def result(self) -> dict[str, Any] | None:
        """The report of the job, when it has ended well."""
        found: dict[str, Any] | None = _read(self.folder / _RESULT, dict[str, Any])
        return found

    def finish(self, result: dict[str, Any]) -> None:
        """The job has ended well: keep its report and remove everything else."""
        write_whole(self.folder / _RESULT, msgspec.json.encode(result))
        self.clear()

    def clear(self) -> None:
        """Remove what a job that has ended well does not need any more."""
        for path in self.folder.iterdir():
            if path.name in (_RESULT, "lock", "plan.json", "job.json"):
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def errors_of(rejected: Rejected) -> list[RecordError]:
    """The errors as components give them."""
    return [RecordError(code, message) for code, message in rejected.errors]


def write_whole(path: Path, content: bytes) -> None:
    """Write a small file so that it is whole or not there, and on disk."""
    partial = path.with_name(path.name + ".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    flush_folder(path.parent)


def _read(path: Path, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None


def _shape(plan: Plan) -> str:
    """What must not change between two processes of one job. Parameters may: a password is renewed now and then."""
    shape = [(step.id, step.component, step.next, step.error) for step in plan.steps]
    return hashlib.sha256(msgspec.json.encode(shape)).hexdigest()
