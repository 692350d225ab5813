"""Which files of a folder are new, by their time, name and size as the other side tells them.

The clocks of other machines are not ours, a file may become visible later than its time says, and times may be equal
down to the second. So time alone does not decide: a job remembers the names, sizes and times of all files that are
not more than a day older than the newest one, and the next job reads every file of that day that it does not remember
exactly so.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from landbridge.components.base import ChosenFile
from landbridge.remote.publish import Entry

FILES_KEY: Final = "seenFiles"
"""The key of a job's result under which the memory after it stands."""

REMEMBERED: Final = timedelta(hours=24)
"""Files that are older than the newest one by more than this count as read."""

MAX_FILES: Final = 20_000
"""When more files are remembered, only the newest are, and older ones count as read."""


@dataclass(frozen=True, slots=True)
class FileMemory:
    """What earlier jobs have read.

    Attributes:
        floor: Files with an earlier time count as read.
        seen: Time and size of each file that was read, by name; none is earlier than ``floor``.
    """

    floor: datetime
    seen: Mapping[str, tuple[datetime, int]] = field(default_factory=dict)

    def is_new(self, entry: Entry) -> bool:
        """Whether a file has to be read."""
        return entry.modified >= self.floor and self.seen.get(entry.name) != (entry.modified, entry.size)

    def after(self, listed: Sequence[Entry], *, now: datetime) -> FileMemory:
        """What is known when all new files among ``listed`` have been read.

        A file whose time lies in the future does not move the floor beyond ``now``: those that come later would
        count as read.
        """
        if not listed:
            return self
        newest = sorted((entry for entry in listed if entry.modified >= self.floor), key=lambda e: e.modified)
        floor = max(self.floor, min(now, max(entry.modified for entry in listed)) - REMEMBERED)
        if len(newest) > MAX_FILES:
            floor = max(floor, newest[-MAX_FILES].modified)
        seen = {entry.name: (entry.modified, entry.size) for entry in newest if entry.modified >= floor}
        return FileMemory(floor, seen)

    def as_json(self) -> dict[str, Any]:
        """As the database keeps it."""
        seen = sorted((name, modified.isoformat(), size) for name, (modified, size) in self.seen.items())
        return {"floor": self.floor.isoformat(), "seen": [list(item) for item in seen]}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> FileMemory:
        """From the database."""
        seen = {name: (datetime.fromisoformat(time), size) for name, time, size in document["seen"]}
        return cls(datetime.fromisoformat(document["floor"]), seen)


class FileHistory:
    """Chooses the files that one job reads, the same ones each time its work is begun.

    Args:
        memory: What earlier jobs have read.
        read_all: Read also what was read before, as a full extract does.
        started: When the job began.
        kept: A file for the choice, in the job's own folder.
    """

    def __init__(self, memory: FileMemory, *, read_all: bool, started: datetime, kept: Path) -> None:
        self._memory = memory
        self._read_all = read_all
        self._started = started
        self._kept = kept

    @property
    def reads_all(self) -> bool:
        """See ``components.base.FileHistory``."""
        return self._read_all

    def chosen(self) -> list[ChosenFile] | None:
        """See ``components.base.FileHistory``."""
        choice = self._load()
        return None if choice is None else msgspec.convert(choice["chosen"], list[ChosenFile])

    def new(self, entries: Sequence[Entry]) -> list[Entry]:
        """See ``components.base.FileHistory``."""
        return [entry for entry in entries if self._read_all or self._memory.is_new(entry)]

    def choose(self, files: Sequence[ChosenFile], *, seen: Sequence[Entry]) -> None:
        """See ``components.base.FileHistory``; the memory after this job is what it has ``seen``."""
        memory = FileMemory(datetime.min.replace(tzinfo=UTC)) if self._read_all else self._memory
        self._keep(memory.after(seen, now=self._started), files)

    def result(self) -> dict[str, Any] | None:
        """The memory after this job as JSON; None when no file was asked for."""
        choice = self._load()
        memory: dict[str, Any] | None = choice["memory"] if choice else None
        return memory

    def _load(self) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = msgspec.json.decode(self._kept.read_bytes())
        except FileNotFoundError:
            return None
        return found

    def _keep(self, memory: FileMemory, chosen: Sequence[ChosenFile]) -> None:
        self._kept.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._kept.with_suffix(".new")
        with temporary.open("wb") as file:
            file.write(msgspec.json.encode({"memory": memory.as_json(), "chosen": list(chosen)}))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._kept)
